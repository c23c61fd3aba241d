import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { paths } from '../../../src/controller/objects.ts';
import { type AuditEvent, auditEvents, countWrites } from '../../controlplane/audit.ts';
import { SERVICE_ACCOUNTS } from '../../stack/permissions.ts';
import { eventually } from '../../support/eventually.ts';
import { expectPromotions, makePublished, request, TARGET } from './promotions.ts';
import { startWatchedController, takeLeaseAway } from './watched-controller.ts';
import { ES256, NAMESPACE, startWorld, type TenantSet, type World } from './world.ts';

let world: World;

beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.stop());

const CONTROLLER = `system:serviceaccount:${NAMESPACE}:${SERVICE_ACCOUNTS.controller}`;

/** Writes that were complete, Leases and Events apart. */
function writesIn(events: readonly AuditEvent[]): string[] {
  return countWrites(events)
    .filter(({ resource }) => resource !== 'leases' && resource !== 'events')
    .map(({ verb, resource, count }) => `${verb} ${resource} ${count}`);
}

function audit(since: number): readonly AuditEvent[] {
  return auditEvents(world.stack.controlPlane.auditLog, { since });
}

async function make(): Promise<TenantSet> {
  return makePublished(await world.tenant());
}

describe('a controller that has nothing to do', () => {
  it('writes nothing but Leases', async () => {
    const tenant = await world.tenant();
    const names = ['a', 'b', 'c', 'd'];
    const sets = await Promise.all(names.map((name) => tenant.apply(ES256, { name })));
    const published = await Promise.all([make(), make()]);
    for (const set of [...sets, ...published]) {
      await set.until('Published', 'True');
      await world.patch(set.path, { metadata: { annotations: { owner: 'somebody' } } });
    }
    const converged = Date.now() + 500;
    await eventually(() => Date.now() > converged + 5_000, { timeout: 7_000, interval: 200 });
    const writes = audit(converged).filter(({ user }) => user.username === CONTROLLER);
    expect(writesIn(writes)).toEqual([]);
    expect(countWrites(writes).map(({ resource }) => resource)).toEqual(['leases']);
  });
});

describe('a rotation', () => {
  it('takes at most 8 writes, the command itself among them', async () => {
    const sets = await Promise.all([make(), make(), make()]);
    for (const set of sets) {
      const since = Date.now();
      await set.annotate('rotate=now');
      await expectPromotions(set, 1);
      const rotated = audit(since).filter(
        ({ objectRef = { resource: '' } }) =>
          objectRef.namespace === set.tenant.name || objectRef.name === `sks-${set.uid}`,
      );
      const total = countWrites(rotated)
        .filter(({ resource }) => resource !== 'events')
        .reduce((sum, { count }) => sum + count, 0);
      expect(total, writesIn(rotated).join(', ')).toBeLessThanOrEqual(8);
      expect(writesIn(rotated)).toContain('update secrets 2');
    }
  });
});

describe('a controller that is killed in the middle of many rotations', () => {
  it('promotes once for each request when it is back, however often that happens', async () => {
    const tenant = await world.tenant();
    const names = Array.from({ length: 8 }, (_, index) => `set-${index}`);
    const sets = await Promise.all(names.map((name) => makePublished(tenant, name)));
    for (const round of [1, 2, 3]) {
      await Promise.all(sets.map(request));
      await eventually(
        async () => {
          const rings = await Promise.all(sets.map((set) => set.keyring()));
          return rings.filter(({ requests }) => requests.number === round).length >= round * 2;
        },
        { interval: 1 },
      );
      await world.stack.controller.kill('SIGKILL');
      await takeLeaseAway(world);
      await world.stack.controller.restart();
      await Promise.all(sets.map((set) => expectPromotions(set, round)));
    }
  });
});

describe('a controller that has lost the leadership while it was stopped', () => {
  const agentOf = (event: AuditEvent) =>
    'userAgent' in event && typeof event.userAgent === 'string' ? event.userAgent : '';
  const writesOf = (agent: string, since: number) =>
    writesIn(audit(since).filter((event) => agentOf(event).startsWith(agent)));

  it('writes nothing when it wakes up, and everything when it leads again', async () => {
    const set = await make();
    const second = await startWatchedController(world, 'second-controller');
    try {
      world.stack.controller.pause();
      await request(set);
      await eventually(() => expectPromotions(set, 1), { timeout: 60_000 });

      const awake = Date.now();
      world.stack.controller.resume();
      await request(set);
      await expectPromotions(set, 2);
      await world.delete(paths.configMap(set.tenant.name, TARGET));
      await eventually(async () => (await set.tenant.configMap(TARGET)) !== undefined);
      // It is awake, and campaigns: the Lease is read again by its own process.
      await eventually(() =>
        audit(awake).some(
          (event) => agentOf(event).startsWith('signet-controller') && event.verb === 'get',
        ),
      );
      expect(writesOf('signet-controller', awake)).toEqual([]);
      expect(writesOf('second-controller', awake)).not.toEqual([]);
    } finally {
      world.stack.controller.resume();
      await second.stop();
    }
    const since = Date.now();
    await request(set);
    await expectPromotions(set, 3);
    expect(writesOf('signet-controller', since)).not.toEqual([]);
  });
});
