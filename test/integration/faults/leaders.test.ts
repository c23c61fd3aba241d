import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { StackProcess } from '../../stack/stack.ts';
import { type ApiCall, type ApiProxy, startApiProxy } from '../../support/api-proxy.ts';
import { eventually } from '../../support/eventually.ts';
import { takeLeaseAway } from '../controller/watched-controller.ts';
import type { TenantSet } from '../controller/world.ts';
import { FAULT, PATIENCE, Site } from './site.ts';

let proxy: ApiProxy;
let site: Site;
let set: TenantSet;
/** Not behind the proxy. */
let second: StackProcess;

beforeAll(async () => {
  site = await Site.start(async (plane) => {
    proxy = await startApiProxy(plane);
    return { servers: { controller: proxy.url } };
  });
  set = await site.set();
  second = await site.stack.secondController('second-controller', { server: site.plane.server });
  await second.restart();
}, FAULT.timeout);
afterAll(async () => {
  site?.stack.controller.resume();
  await second?.kill();
  await site?.stop();
  await proxy?.[Symbol.asyncDispose]();
});

function isWrite({ method, path }: ApiCall): boolean {
  return method !== 'GET' && !/\/(leases|events|token)\b/.test(path);
}

describe('two controllers', FAULT, () => {
  it('the leader stands still in the middle of a promotion, beyond its lease, and wakes while the other leads: nothing of its own gets through, no token is refused', async () => {
    const held = Promise.withResolvers<void>();
    const holding = Promise.withResolvers<void>();
    const written: string[] = [];
    await site.inMidRotation(set, async () => {
      proxy.before = async (call) => {
        const isPromotion = call.method === 'PUT' && call.path === set.secretPath;
        if (!isPromotion) return undefined;
        holding.resolve();
        await held.promise;
        return undefined;
      };
      proxy.after = (call, code) => {
        if (isWrite(call)) written.push(`${call.method} ${call.path} ${code}`);
        return undefined;
      };
      await holding.promise;
      written.length = 0;
      const current = await set.kid('current');
      site.stack.controller.pause();
      await set.promoted(current, PATIENCE.timeout);
      // What the old leader had sent arrives now.
      held.resolve();
      await eventually(() => written.length === 1, PATIENCE);
      site.stack.controller.resume();
      expect(written).toEqual([`PUT ${set.secretPath} 409`]);
    });
    await site.rotate(set);
    expect(written.filter((write) => !write.endsWith(' 409'))).toEqual([]);
  });

  it('the Lease is deleted again and again: each request is carried out once, no token is refused', async () => {
    const { number } = (await set.keyring()).requests;
    const { asked } = site;
    await site.inMidRotation(set, async () => {
      for (let round = 0; round < 5; round += 1) {
        await takeLeaseAway(site);
        await eventually(async () => {
          const lease = await site.find<object>(
            '/apis/coordination.k8s.io/v1/namespaces/signet-system/leases/signet-controller',
          );
          return lease !== undefined;
        }, PATIENCE);
      }
    });
    expect((await set.keyring()).requests.number).toBe(number + site.asked - asked);
  });
});

it('afterwards nothing but Leases is written (I20)', FAULT, () => site.fallsSilent());
