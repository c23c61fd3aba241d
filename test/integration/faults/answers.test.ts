import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { SECOND } from '../../../src/api/constants.ts';
import { type ApiCall, type ApiProxy, startApiProxy, status } from '../../support/api-proxy.ts';
import { eventually } from '../../support/eventually.ts';
import type { TenantSet } from '../controller/world.ts';
import { FAULT, Site } from './site.ts';

/** What the API server asks to wait, in seconds. */
const RETRY_AFTER = 2;
/** How late watches are, in milliseconds: the controller's by more than R, the issuer's by less. */
const LATE = { controller: 3_500, issuer: 1_000 };

/** Between controller and API server. */
let proxy: ApiProxy;
/** Between issuer and API server. */
let issuerProxy: ApiProxy;
let site: Site;
let set: TenantSet;

beforeAll(async () => {
  site = await Site.start(async (plane) => {
    proxy = await startApiProxy(plane);
    issuerProxy = await startApiProxy(plane);
    return { servers: { controller: proxy.url, issuer: issuerProxy.url } };
  });
  set = await site.set();
}, FAULT.timeout);
afterAll(async () => {
  await site?.stop();
  await proxy?.[Symbol.asyncDispose]();
  await issuerProxy?.[Symbol.asyncDispose]();
});
afterEach(behaveWell);

function isOfLease({ path }: ApiCall): boolean {
  return path.includes('/leases/');
}

function behaveWell(): void {
  for (const one of [proxy, issuerProxy]) {
    one.before = () => undefined;
    one.watchDelay = 0;
  }
}

describe('in the middle of a rotation', FAULT, () => {
  it('a storm of 409: two of three updates find that somebody was faster; no token is refused', async () => {
    let count = 0;
    let conflicts = 0;
    await site.inMidRotation(set, async () => {
      proxy.before = (call) => {
        if (!['PUT', 'PATCH'].includes(call.method) || isOfLease(call)) return undefined;
        count += 1;
        if (count % 3 === 0) return undefined;
        conflicts += 1;
        return status(409, 'Conflict');
      };
    });
    // Two rotations, each of several updates: those that are under way and the fresh one.
    expect(conflicts).toBeGreaterThan(10);
  });

  it('429 with Retry-After to everything: it is heeded, the JWKS is always there, and no token is refused', async () => {
    const asked = new Map<string, number[]>();
    const { unpublished } = await site.traffic.tally();
    await site.inMidRotation(set, async () => {
      const since = performance.now();
      for (const one of [proxy, issuerProxy]) {
        one.before = ({ method, path, query }) => {
          const what = `${method} ${path} ${query.get('watch')} ${one.url}`;
          asked.set(what, [...(asked.get(what) ?? []), performance.now()]);
          return status(429, 'TooManyRequests', { 'Retry-After': `${RETRY_AFTER}` });
        };
      }
      await site.lapses();
      const over = () => performance.now() > since + 10 * SECOND;
      await eventually(over, { timeout: 20 * SECOND });
      behaveWell();
    });
    expect((await site.traffic.tally()).unpublished).toBe(unpublished);
    // A watch has nobody who asks again for another reason: its pauses are what was asked for.
    const watches = [...asked].filter(([what]) => what.includes(' true '));
    const pauses = watches.flatMap(([, times]) =>
      times.slice(1).map((time, index) => time - (times[index] ?? 0)),
    );
    for (const pause of pauses) expect(pause).toBeGreaterThan(RETRY_AFTER * SECOND - 100);
  });

  it('a cache that is stale: every watch is late, the controller’s by more than R; no token is refused', async () => {
    proxy.watchDelay = LATE.controller;
    issuerProxy.watchDelay = LATE.issuer;
    const { number } = (await set.keyring()).requests;
    const { asked } = site;
    await site.inMidRotation(set, async () => undefined);
    expect((await set.keyring()).requests.number).toBe(number + site.asked - asked);
  });

  it('every watch falls silent and looks alive: the rotation is carried out, no token is refused', async () => {
    // The controller gives a watch up that has said nothing, not even a bookmark, for 100 s.
    const patience = { timeout: 150 * SECOND, interval: 500 };
    proxy.silenceWatches();
    issuerProxy.silenceWatches();
    const before = await site.traffic.tally();
    const current = await set.kid('current');
    await site.patch(set.path, { metadata: { annotations: { rotate: 'now' } } });
    await eventually(async () => expect(await set.kid('current')).not.toBe(current), patience);
    await site.recovers(set);
    await site.unbroken(before);
  });
});

it('afterwards nothing but Leases is written (I20)', FAULT, async () => {
  await site.fallsSilent();
});
