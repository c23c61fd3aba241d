import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { MINUTE, SECOND } from '../../../src/api/constants.ts';
import { parseDuration } from '../../../src/api/duration.ts';
import { paths } from '../../../src/controller/objects.ts';
import type { Replica } from '../../stack/stack.ts';
import { eventually } from '../../support/eventually.ts';
import { ES256, LONG_GRACE, startWorld, type TenantSet, type World } from './world.ts';

let world: World;

beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.stop());

const SPEC = { ...ES256, ...LONG_GRACE, publish: { configMaps: [{ name: 'login-keys' }] } };

/** Another replica, which the controller waits for until `R` after its last word. */
async function startReplica(name: string, staleness: string): Promise<Replica> {
  const replica = await world.stack.replica(name, ['--max-staleness', staleness]);
  onTestFinished(async () => {
    replica.resume();
    await replica.kill('SIGTERM');
  });
  await replica.restart();
  return replica;
}

async function make(): Promise<TenantSet> {
  const set = await (await world.tenant()).applyReady(SPEC);
  await set.until('Published', 'True');
  return set;
}

/** Promotes the first next key, so that another is to be published. @returns the new one. */
async function rotate(set: TenantSet): Promise<string> {
  const current = await set.kid('current');
  await set.annotate('rotate=now');
  await set.promoted(current);
  return set.kid('next');
}

async function publishedAt(set: TenantSet, kid: string): Promise<number | undefined> {
  return (await set.keyring()).keys.find((key) => key.kid === kid)?.publishedAt;
}

describe('a ConfigMap that is put back to content without the next key', () => {
  it('is written again, and the wait starts over: gateways have mounted what stood there (I1, I3)', async () => {
    const set = await make();
    const { data } = (await set.tenant.configMap('login-keys')) ?? expect.fail('no ConfigMap');
    const next = await rotate(set);
    await set.until('Published', 'True');
    const before = (await publishedAt(set, next)) ?? expect.fail('not published');
    const target = paths.configMap(set.tenant.name, 'login-keys');
    await world.patch(target, { metadata: { labels: { seen: 'yes' } } });
    await world.patch(target, { data: { unknown: 'to us' } });
    await eventually(async () => {
      expect((await set.tenant.configMap('login-keys'))?.data).not.toHaveProperty('unknown');
    });
    await set.until('Published', 'True');
    expect(await publishedAt(set, next)).toBe(before);
    await world.patch(target, { data });
    await eventually(async () => expect(await publishedAt(set, next)).toBeGreaterThan(before));
    await set.until('Published', 'True');
    expect((await set.tenant.configMap('login-keys'))?.data?.['jwks']).toContain(next);
  });
});

describe('a replica of the issuer', () => {
  it('that has not loaded the next key blocks by name, until it has', async () => {
    const replica = await startReplica('slow', '10m');
    const set = await make();
    replica.pause();
    const next = await rotate(set);
    await eventually(async () => expect((await set.status()).blockedBy).toEqual(['issuer slow']));
    expect(await set.until('Published', 'Publishing')).toContain('issuer slow');
    await set.annotate('rotate=now');
    expect(await set.until('RotationPending', 'WaitingForPublication')).toContain('issuer slow');
    expect(await publishedAt(set, next)).toBeUndefined();
    const resumedAt = Date.now();
    replica.resume();
    await set.until('Published', 'True');
    expect(await publishedAt(set, next)).toBeGreaterThanOrEqual(resumedAt);
    await eventually(async () => expect(await set.kid('current')).toBe(next));
  });

  it('that serves a revoked key keeps it from counting as gone, until it has loaded that too', async () => {
    const replica = await startReplica('holds', '10m');
    const set = await make();
    const first = await set.kid('current');
    await rotate(set);
    await set.until('Published', 'True');
    replica.pause();
    await set.annotate('revoke=previous');
    const revoked = async () =>
      (await set.status()).keys?.find(({ kid, state }) => kid === first && state === 'revoked');
    await eventually(async () => expect(await revoked()).toBeDefined());
    expect((await revoked())?.revokedEverywhereAt).toBeUndefined();
    replica.resume();
    await eventually(async () => expect((await revoked())?.revokedEverywhereAt).toBeDefined());
  });

  it('that crashed is waited for until it has lapsed, and no longer', async () => {
    const R = parseDuration('6s');
    const replica = await startReplica('crashed', '6s');
    const set = await make();
    await replica.kill('SIGKILL');
    const crashedAt = Date.now();
    const next = await rotate(set);
    const at = await eventually(
      async () => (await publishedAt(set, next)) ?? expect.fail('not published yet'),
      { timeout: MINUTE },
    );
    // Its last confirmation was at most R/4 before, and a moment for the Lease.
    expect(at - crashedAt).toBeGreaterThan(R / 4);
    await set.until('Published', 'True');
  });

  it('that stopped gracefully is not waited for', async () => {
    const replica = await startReplica('stopped', '10m');
    const set = await make();
    await replica.kill('SIGTERM');
    const next = await rotate(set);
    await eventually(async () => expect(await publishedAt(set, next)).toBeDefined());
  });

  it('costs an idle controller nothing, however often it renews its Lease (I20)', async () => {
    await startReplica('renews', '2s');
    const sets = await Promise.all(Array.from({ length: 5 }, make));
    const passes = async () => {
      const text = await (await fetch(world.stack.controller.metricsUrl)).text();
      return Number(/signet_controller_pass_seconds_count\{outcome="done"\} (\d+)/.exec(text)?.[1]);
    };
    const settled = await eventually(
      async () => {
        const before = await passes();
        const until = performance.now() + 3 * SECOND;
        await eventually(() => performance.now() > until);
        expect(await passes()).toBe(before);
        return before;
      },
      { timeout: MINUTE },
    );
    expect(settled).toBeGreaterThan(sets.length);
  });
});
