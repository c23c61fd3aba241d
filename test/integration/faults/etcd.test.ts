import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { SECOND } from '../../../src/api/constants.ts';
import type { TenantSet } from '../controller/world.ts';
import { FAULT, Site } from './site.ts';

let site: Site;
let set: TenantSet;

beforeAll(async () => {
  site = await Site.start();
  set = await site.set();
}, FAULT.timeout);
afterAll(async () => {
  site?.plane.components.etcd.resume();
  await site?.stop();
});

describe('in the middle of a rotation', FAULT, () => {
  it('etcd is killed and comes back: the rotation is carried out, no token is refused', async () => {
    const { etcd } = site.plane.components;
    await site.inMidRotation(set, async () => {
      await etcd.kill();
      await site.lapses();
      await etcd.restart();
    });
  });

  it('etcd stands still for 20 s: the rotation is carried out, no token is refused', async () => {
    const { etcd } = site.plane.components;
    await site.inMidRotation(set, async () => {
      etcd.pause();
      await delay(20 * SECOND);
      etcd.resume();
    });
  });
});

it('afterwards nothing but Leases is written (I20)', FAULT, () => site.fallsSilent());
