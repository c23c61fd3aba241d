import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SECOND } from '../../../src/api/constants.ts';
import {
  REPLICA_ROLE,
  type ReplicaReport,
  readReplica,
  replicaLeaseName,
} from '../../../src/api/replica.ts';
import { type Lease, leasesPath } from '../../../src/kube/lease.ts';
import { eventually } from '../../support/eventually.ts';
import { aKeyring } from '../../support/keyrings.ts';
import { json, REPLICA, startWorld, type World } from './world.ts';

const R = 4 * SECOND;

let world: World;

beforeAll(async () => {
  world = await startWorld({ maxStaleness: R, inPod: true });
});
afterAll(() => world?.[Symbol.asyncDispose]());

const path = () => `${leasesPath(world.operator)}/${replicaLeaseName(REPLICA)}`;

/** What the replica says of itself; undefined where there is no Lease. */
async function report(): Promise<ReplicaReport | undefined> {
  const lease = await world.find<Lease>(path());
  return lease === undefined ? undefined : readReplica(lease);
}

const build = (name: string) => aKeyring().with(world.identity(name)).build();

async function signs(name: string, issuer: string): Promise<boolean> {
  const response = await world.fetch(`/${world.tenant}/${name}/sign`, {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      Authorization: `Bearer ${await world.token('authority', issuer)}`,
    },
    body: '{"claims":{}}',
  });
  return (await json<{ token?: string }>(response)).token !== undefined;
}

describe('the Lease of a replica', () => {
  it('is there once the replica is ready, and belongs to its pod', async () => {
    expect(world.issuer.ready()).toBe(true);
    const lease = (await world.find<Lease>(path())) ?? expect.fail('there is no Lease');
    expect(lease.metadata?.labels).toMatchObject({ [REPLICA_ROLE.key]: REPLICA_ROLE.value });
    expect(lease.metadata?.ownerReferences).toMatchObject([{ kind: 'Pod', name: REPLICA }]);
    expect(readReplica(lease)).toMatchObject({ pod: REPLICA, maxStaleness: R, unloadable: [] });
  });

  it('tells at once what was loaded, and of which set the Secret could not be', async () => {
    const ring = await world.store(await build('seen'));
    const version = async () => BigInt((await world.version(ring)) ?? 0);
    const loaded = await version();
    await eventually(async () =>
      expect((await report())?.watermark).toBeGreaterThanOrEqual(loaded),
    );
    await world.replace(ring, { 'keyring.json': '{' });
    const damaged = await version();
    await eventually(async () => {
      const said = await report();
      expect(said?.unloadable).toEqual([ring.owner.uid]);
      expect(said?.watermark).toBeGreaterThanOrEqual(damaged);
    });
    await world.replace(ring);
    await eventually(async () => expect((await report())?.unloadable).toEqual([]));
  });

  it('is renewed with each confirmation, and with the time of that', async () => {
    const first = await eventually(async () => (await report())?.confirmedAt ?? expect.fail());
    const later = await eventually(async () => {
      const { confirmedAt = 0 } = (await report()) ?? {};
      expect(confirmedAt).toBeGreaterThan(first);
      return confirmedAt;
    });
    expect(Date.now()).toBeGreaterThanOrEqual(later);
    expect(Date.now() - later).toBeLessThan(60 * SECOND);
  });

  it('that somebody deletes is put back', async () => {
    const before = await eventually(async () => (await world.find<Lease>(path())) ?? expect.fail());
    await world.remove(path());
    const after = await eventually(async () => (await world.find<Lease>(path())) ?? expect.fail());
    expect(after.metadata?.uid).not.toBe(before.metadata?.uid);
  });

  it('that cannot be written is counted; after R this replica signs no more, and stays ready to publish, until it can', async () => {
    const ring = await world.store(await build('signs'));
    await eventually(async () => expect(await signs('signs', ring.issuer)).toBe(true));
    await world.forbid('leases');
    const failed = /signet_replica_lease_writes_total\{result="failed"\} [1-9]/;
    await eventually(async () => expect(await world.registry.metrics()).toMatch(failed));
    const patience = { timeout: 40 * SECOND };
    await eventually(async () => expect(await signs('signs', ring.issuer)).toBe(false), patience);
    expect(world.issuer.ready()).toBe(true);
    const jwks = await world.fetch(`/${world.tenant}/signs/.well-known/jwks.json`);
    expect(jwks.status).toBe(200);
    await world.allow();
    await eventually(async () => expect(await signs('signs', ring.issuer)).toBe(true), patience);
  });

  it('is deleted when the replica stops', async () => {
    expect(await report()).toBeDefined();
    await world.issuer.close();
    expect(await world.find(path())).toBeUndefined();
  });
});
