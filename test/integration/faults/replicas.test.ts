import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Replica } from '../../stack/stack.ts';
import { eventually } from '../../support/eventually.ts';
import type { TenantSet } from '../controller/world.ts';
import { type FaultyNetwork, startProxy } from '../kube/proxy.ts';
import { FAULT, PATIENCE, Site } from './site.ts';

let site: Site;
let set: TenantSet;
let network: FaultyNetwork;
let second: Replica;

beforeAll(async () => {
  site = await Site.start();
  network = await startProxy(site.plane.server);
  const server = `https://127.0.0.1:${network.port}`;
  second = await site.stack.replica('second-issuer', [], { server });
  await second.restart();
  site.traffic.route([site.stack.issuer, second]);
  set = await site.set();
}, FAULT.timeout);
afterAll(async () => {
  second?.resume();
  await second?.kill();
  await site?.stop();
  await network?.[Symbol.asyncDispose]();
});

async function ready(): Promise<boolean> {
  return (await fetch(second.metricsUrl.replace(/metrics$/, 'readyz'))).ok;
}

const lapses = () => eventually(async () => !(await ready()), PATIENCE);
const comesBack = () => eventually(ready, PATIENCE);

/** The second replica serves what the Secret holds. */
async function agrees(): Promise<void> {
  await eventually(async () => {
    const url = `${second.url}/${set.tenant.name}/${set.name}/.well-known/jwks.json`;
    const { keys }: { keys: { kid: string }[] } = JSON.parse(await (await fetch(url)).text());
    const wanted = (await set.keyring()).keys.map(({ kid }) => kid);
    expect(keys.map(({ kid }) => kid)).toEqual(wanted);
  }, PATIENCE);
}

describe('one of two replicas of the issuer', FAULT, () => {
  it('is cut off without a sound, lapses and comes back: the rotation is carried out, no token is refused', async () => {
    await site.inMidRotation(set, async () => {
      network.accepting = false;
      network.swallow();
      await lapses();
    });
    network.accepting = true;
    await comesBack();
    await agrees();
    await site.recovers(set);
  });

  it('is partitioned as a key is published, and is back before it lapses: no token is refused', async () => {
    for (let round = 0; round < 3; round += 1) {
      await site.inMidRotation(set, async () => {
        network.accepting = false;
        network.cut();
        network.accepting = true;
      });
    }
    await agrees();
  });

  it('stands still while a key is published and promoted, and wakes: no token is refused', async () => {
    await site.inMidRotation(set, async () => {
      const current = await set.kid('current');
      second.pause();
      await set.promoted(current, PATIENCE.timeout);
      second.resume();
    });
    await comesBack();
    await agrees();
  });

  it('is killed, and never comes back: the others go on, no token is refused', async () => {
    await site.inMidRotation(set, async () => {
      await second.kill();
      site.traffic.route([site.stack.issuer]);
    });
  });
});

it('afterwards nothing but Leases is written (I20)', FAULT, () => site.fallsSilent());
