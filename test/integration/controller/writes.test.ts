import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { PENDING_ANNOTATION } from '../../../src/api/constants.ts';
import { paths } from '../../../src/controller/objects.ts';
import { type AuditEvent, auditEvents, countWrites } from '../../controlplane/audit.ts';
import { SERVICE_ACCOUNTS } from '../../stack/permissions.ts';
import { eventually } from '../../support/eventually.ts';
import {
  type Call,
  startWatchedController,
  takeLeaseAway,
  type WatchedController,
} from './watched-controller.ts';
import {
  ES256,
  LONG_GRACE,
  NAMESPACE,
  startWorld,
  type Tenant,
  type TenantSet,
  type World,
} from './world.ts';

let world: World;

beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.stop());

const AT_ONCE = { ...ES256, ...LONG_GRACE, rotation: { propagationDelay: '0s' } };
const TARGET = 'login-keys';
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

async function make(tenant?: Tenant, name = 'login'): Promise<TenantSet> {
  const home = tenant ?? (await world.tenant());
  const publish = { configMaps: [{ name: `${name}-keys` }] };
  const set = await home.applyReady({ ...AT_ONCE, publish }, { name });
  await set.until('Published', 'True');
  return set;
}

/** Types `rotate=now` without kubectl, which takes longer than the rotation. */
async function request(set: TenantSet): Promise<void> {
  await world.patch(set.path, { metadata: { annotations: { rotate: 'now' } } });
}

/** Waits until nothing is left to do. */
async function settled(set: TenantSet): Promise<void> {
  await set.until('RotationPending', 'NoRequest');
  await set.until('Published', 'True');
}

/** Exactly so many promotions: each leaves one previous key, and the record is of the last. */
async function expectPromotions(set: TenantSet, times: number): Promise<void> {
  await eventually(async () => {
    const { requests, keys } = await set.keyring();
    expect(requests.number).toBe(times);
    expect(keys.every(({ publishedAt }) => publishedAt !== undefined)).toBe(true);
  });
  await settled(set);
  const { keys, revoked, lastRotation } = await set.keyring();
  const previous = keys.filter(({ state }) => state === 'previous');
  expect(previous).toHaveLength(times);
  expect(revoked).toEqual([]);
  expect(lastRotation).toMatchObject({ from: previous[0]?.kid, to: await set.kid('current') });
  expect(Object.keys(await set.annotations())).not.toContain(PENDING_ANNOTATION);
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
    const sets = await Promise.all(names.map((name) => make(tenant, name)));
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
      await eventually(() => expectPromotions(set, 1), { timeout: 25_000 });

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

describe('between two calls of the controller', () => {
  const buried: Promise<void>[] = [];
  let controller: WatchedController;

  beforeAll(() => world.stack.controller.kill('SIGTERM'));
  afterAll(async () => {
    await Promise.all(buried);
    await world.stack.controller.restart();
  });
  beforeEach(async () => {
    controller = await startWatchedController(world);
  });
  afterEach(() => controller.stop());

  const isUpdate = ({ method, path }: Call, of: string) => method === 'PUT' && path === of;

  /** Runs once, right before the first such call of the controller. */
  function beforeFirst(is: (call: Call) => boolean, run: () => Promise<void>): () => boolean {
    let done = false;
    controller.kube.before = async (call) => {
      if (done || !is(call)) return;
      done = true;
      await run();
    };
    return () => done;
  }

  it('every update carries uid and resourceVersion, and every delete a uid', async () => {
    const calls: Call[] = [];
    controller.kube.before = (call) => void calls.push(call);
    const set = await make();
    await request(set);
    await expectPromotions(set, 1);
    await world.patch(set.path, { metadata: { annotations: { rotate: 'froce' } } });
    await set.until('RotationPending', 'RequestRefused');
    await set.change({ publish: { configMaps: [{ name: 'other' }] }, algorithm: 'ES384' });
    await set.until('Published', 'True');
    await world.patch(set.path, { metadata: { annotations: { revoke: 'previous' } } });
    await eventually(async () => (await set.kids('previous')).length === 0);
    await set.delete();
    await eventually(async () => (await set.secret()) === undefined);

    const version = { uid: expect.any(String), resourceVersion: expect.any(String) };
    const kinds = new Set(calls.map(({ method, path }) => `${method} ${kindOf(path)}`));
    for (const { method, path, body } of calls) {
      if (method === 'PUT' || method === 'PATCH') {
        expect(body, path).toMatchObject({ metadata: version });
      }
      if (method === 'DELETE') {
        expect(body, path).toMatchObject({ preconditions: { uid: expect.any(String) } });
      }
    }
    expect([...kinds].filter((kind) => !kind.startsWith('GET')).sort()).toEqual([
      'DELETE configmaps',
      'DELETE secrets',
      'PATCH signingkeysets',
      'POST configmaps',
      'POST secrets',
      'PUT configmaps',
      'PUT secrets',
      'PUT signingkeysets/status',
    ]);
  });

  it('a Secret that somebody changes is not written over', async () => {
    const set = await make();
    const kids = [await set.kid('current'), await set.kid('next')];
    const entry = Buffer.from('mine').toString('base64');
    const changed = beforeFirst(
      (call) => isUpdate(call, set.secretPath),
      () => world.patch(set.secretPath, { data: { mine: entry } }),
    );
    await request(set);
    await eventually(changed);
    expect(await set.until('Ready', 'KeyringDamaged')).toContain('mine');
    await world.patch(set.secretPath, { data: { mine: null } });
    await expectPromotions(set, 1);
    expect([await set.kid('previous'), await set.kid('current')]).toEqual(kids);
  });

  it('a ConfigMap that becomes somebody else’s is not written over', async () => {
    const set = await make();
    const path = paths.configMap(set.tenant.name, TARGET);
    const theirs = { data: { mine: 'now' }, metadata: { labels: null, annotations: null } };
    beforeFirst(
      (call) => isUpdate(call, path),
      () => world.patch(path, theirs),
    );
    await request(set);
    await set.until('Published', 'ConfigMapNotOurs');
    expect((await set.tenant.configMap(TARGET))?.data).toMatchObject({ mine: 'now' });
  });

  it('a ConfigMap that somebody puts in the place of ours is not deleted', async () => {
    const set = await make();
    const path = paths.configMap(set.tenant.name, TARGET);
    const theirs = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: TARGET } };
    const replaced = beforeFirst(
      (call) => call.method === 'DELETE' && call.path === path,
      async () => {
        await world.delete(path);
        await world.create(paths.configMaps(set.tenant.name), theirs);
      },
    );
    await set.change({ publish: { configMaps: [] } });
    await eventually(replaced);
    await request(set);
    await expectPromotions(set, 1);
    expect(await set.tenant.configMap(TARGET)).not.toHaveProperty('data');
  });

  it('a request that is cancelled before the Secret is written is not carried out', async () => {
    const set = await make();
    const current = await set.kid('current');
    const cancelled = beforeFirst(
      ({ method, path }) => method === 'GET' && path === set.path,
      () => world.patch(set.path, { metadata: { annotations: { [PENDING_ANNOTATION]: null } } }),
    );
    await request(set);
    await eventually(cancelled);
    await settled(set);
    expect(await set.kid('current')).toBe(current);
    expect(await set.kids('previous')).toEqual([]);
  });

  it('a request that is cancelled as the Secret is written was too late, says an Event', async () => {
    const set = await make();
    beforeFirst(
      (call) => isUpdate(call, set.secretPath),
      () => world.patch(set.path, { metadata: { annotations: { [PENDING_ANNOTATION]: null } } }),
    );
    await request(set);
    await expectPromotions(set, 1);
    expect(await set.told('CancelTooLate')).toMatchObject({
      type: 'Warning',
      message: 'The request was cancelled, but it had been carried out a moment before',
    });
  });

  it('a set that is deleted and made again does not rotate for the request of the first', async () => {
    const set = await make();
    const current = await set.kid('current');
    let again: TenantSet | undefined;
    beforeFirst(
      ({ method, path }) => method === 'GET' && path === set.path,
      async () => {
        await set.delete();
        again = await set.tenant.apply(AT_ONCE);
      },
    );
    await request(set);
    const second = await eventually(() => again ?? false);
    await second.until('Ready', 'True');
    await settled(second);
    expect(await second.kid('current')).toBe(current);
    expect(await second.kids('previous')).toEqual([]);
  });

  describe('it dies', () => {
    const STEPS = [
      'PATCH signingkeysets',
      'PUT secrets',
      'PATCH signingkeysets',
      'PUT configmaps',
      'PUT secrets',
      'PUT signingkeysets/status',
    ];

    it('in a rotation of these writes', async () => {
      const set = await make();
      const steps: string[] = [];
      controller.kube.after = ({ method, path }) => {
        if (method !== 'GET') steps.push(`${method} ${kindOf(path)}`);
      };
      await request(set);
      await expectPromotions(set, 1);
      expect(steps).toEqual(STEPS);
    });

    it.each(
      STEPS.flatMap((step, index) => [
        ['before', `${index + 1} (${step})`, index] as const,
        ['right after', `${index + 1} (${step})`, index] as const,
      ]),
    )('%s write %s, and the next one promotes exactly once', async (moment, _, index) => {
      const set = await make();
      const { kube } = controller;
      let count = 0;
      let died = false;
      const dieAt = (call: Call) => {
        if (call.method === 'GET') return;
        count += 1;
        if (count !== index + 1) return;
        died = true;
        kube.die();
      };
      if (moment === 'before') kube.before = dieAt;
      else kube.after = dieAt;
      await request(set);
      await eventually(() => died);
      buried.push(controller.bury());
      await takeLeaseAway(world);
      controller = await startWatchedController(world);
      await expectPromotions(set, 1);
      expect((await set.tenant.configMap(TARGET))?.data).toHaveProperty(
        `${await set.kid('next')}.crt`,
      );
    });
  });
});

/** `signingkeysets/status` of an object's path. */
function kindOf(path: string): string {
  return path.replace(/^.*\/namespaces\/[^/]+\//, '').replace(/^([^/]+)\/[^/]+/, '$1');
}
