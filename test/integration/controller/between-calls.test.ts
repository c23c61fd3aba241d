import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import {
  HOUR,
  PENDING_ANNOTATION,
  REFUSED_ANNOTATION,
  secretName,
} from '../../../src/api/constants.ts';
import { replicaLeaseName, writeReplica } from '../../../src/api/replica.ts';
import { paths, type SecretObject } from '../../../src/controller/objects.ts';
import { ApiError } from '../../../src/kube/errors.ts';
import { leasesPath } from '../../../src/kube/lease.ts';
import { RESTORE_ANNOTATION } from '../../../src/rotation/pending.ts';
import { eventually } from '../../support/eventually.ts';
import {
  AT_ONCE,
  expectPromotions,
  makePublished,
  request,
  settled,
  TARGET,
} from './promotions.ts';
import {
  type Call,
  startWatchedController,
  takeLeaseAway,
  type WatchedController,
} from './watched-controller.ts';
import { NAMESPACE, startWorld, type TenantSet, type World } from './world.ts';

let world: World;
let controller: WatchedController;
const ended: Promise<void>[] = [];

beforeAll(async () => {
  world = await startWorld();
  await world.stack.controller.kill('SIGTERM');
  controller = await startWatchedController(world);
});
afterEach(() => controller.kube.unwatch());
afterAll(async () => {
  await controller?.stop();
  await Promise.all(ended);
  await world?.stop();
});

async function make(): Promise<TenantSet> {
  return makePublished(await world.tenant());
}

/** ConfigMaps alone decide what is published, until the end of the test. */
async function withoutIssuer(): Promise<void> {
  const { issuer } = world.stack;
  onTestFinished(() => issuer.restart());
  await issuer.kill('SIGTERM');
}

describe('between two calls of the controller', () => {
  const isUpdate = ({ method, path }: Call, of: string) => method === 'PUT' && path === of;

  /** Runs once, right before the first such call of the controller. */
  function beforeFirst(is: (call: Call) => boolean, run: () => Promise<void>): () => boolean {
    let begun = false;
    let done = false;
    controller.kube.before = async (call) => {
      if (begun || !is(call)) return;
      begun = true;
      await run();
      done = true;
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

  it('a Secret that somebody puts back while the Leases are read is not written over (I10)', async () => {
    await withoutIssuer();
    const [set, other] = [await make(), await make()];
    const current = await set.kid('current');
    const earlier = (await set.secret())?.data;
    // Once before the promotion, once before the next key is taken for published.
    let looks = 0;
    const changed = beforeFirst(
      ({ method, path }) => {
        if (method === 'GET' && path.endsWith('/leases')) looks += 1;
        return looks === 2;
      },
      async () => {
        const entries = Object.keys((await set.secret())?.data ?? {});
        const none = Object.fromEntries(entries.map((name) => [name, null]));
        await world.patch(set.secretPath, { data: { ...none, ...earlier } });
        await world.patch(other.secretPath, { data: { mine: 'bWluZQ==' } });
        // Events come in order: who has seen the second change has seen the first.
        await other.until('Ready', 'KeyringDamaged');
      },
    );
    await request(set);
    await eventually(changed);
    await set.told('KeyringRolledBack');
    await expectPromotions(set, 1);
    expect(await set.kid('previous')).toBe(current);
    await world.patch(other.secretPath, { data: { mine: null } });
  });

  it('a revoked key does not count as gone while a ConfigMap that carries it cannot be written (I6)', async () => {
    const set = await make();
    const path = paths.configMap(set.tenant.name, TARGET);
    await request(set);
    await expectPromotions(set, 1);
    await set.until('Published', 'True');
    const previous = await set.kid('previous');
    await withoutIssuer();
    controller.kube.before = (call) => {
      if (isUpdate(call, path)) throw new ApiError(403, 'Forbidden', 'not now');
    };
    await world.patch(set.path, { metadata: { annotations: { revoke: 'previous' } } });
    await set.until('Published', 'ConfigMapNotWritten');
    const revoked = async () =>
      (await set.keyring()).revoked.find(({ kid }) => kid === previous) ?? expect.fail('not yet');
    expect(await revoked()).not.toHaveProperty('revokedEverywhereAt');
    controller.kube.unwatch();
    await eventually(async () => expect(await revoked()).toHaveProperty('revokedEverywhereAt'));
  });

  it('nor while one that is asked for no more cannot be deleted, which status says (I6)', async () => {
    const set = await make();
    const path = paths.configMap(set.tenant.name, TARGET);
    await request(set);
    await expectPromotions(set, 1);
    const previous = await set.kid('previous');
    await withoutIssuer();
    controller.kube.before = (call) => {
      if (call.method === 'DELETE' && call.path === path)
        throw new ApiError(403, 'Forbidden', 'no');
    };
    await set.change({ publish: { configMaps: [] } });
    expect(await set.until('Published', 'ConfigMapNotWritten')).toContain('could not be deleted');
    await world.patch(set.path, { metadata: { annotations: { revoke: 'previous' } } });
    const revoked = async () =>
      (await set.status()).keys?.find(({ kid, state }) => kid === previous && state === 'revoked');
    await eventually(async () => expect(await revoked()).toBeDefined());
    expect(await revoked()).not.toHaveProperty('revokedEverywhereAt');
    // It keeps no new key from being published.
    await request(set);
    await set.told('Rotated', 'signs now');
    await eventually(async () => {
      expect((await set.keyring()).requests.number).toBe(3);
      expect((await set.keyring()).keys.every((key) => key.publishedAt !== undefined)).toBe(true);
    });
    expect(await revoked()).not.toHaveProperty('revokedEverywhereAt');
    controller.kube.unwatch();
    await eventually(async () => expect(await revoked()).toHaveProperty('revokedEverywhereAt'));
    expect(await set.tenant.configMap(TARGET)).toBeUndefined();
  });

  it('how long a replica may sign is read live before a key is demoted (I15)', async () => {
    await withoutIssuer();
    const set = await make();
    const name = replicaLeaseName('late');
    const report = { pod: 'late', watermark: 0n, unloadable: [], maxStaleness: HOUR };
    const { metadata, spec } = writeReplica(report);
    onTestFinished(() => world.delete(`${leasesPath(NAMESPACE)}/${name}`));
    const started = beforeFirst(
      ({ method, path }) => method === 'GET' && path.endsWith('/leases'),
      async () => {
        const renewTime = new Date().toISOString().replace('Z', '000Z');
        await world.create(leasesPath(NAMESPACE), {
          metadata: { ...metadata, name },
          spec: { ...spec, renewTime },
        });
      },
    );
    await request(set);
    await eventually(started);
    const previous = await eventually(async () => {
      const { keys } = await set.keyring();
      return keys.find(({ state }) => state === 'previous') ?? expect.fail('not yet');
    });
    const { demotedAt = 0, tokensUntil = 0 } = previous;
    expect(tokensUntil - demotedAt).toBeGreaterThan(HOUR);
  });

  it('a Secret that takes the name of one to be restored is named, and nothing counts as restored (I9, I19)', async () => {
    const first = await make();
    const { type, data } = (await first.secret()) ?? expect.fail('there is no Secret');
    const backup = `backup-of-${first.uid}`;
    await world.create(paths.secrets(NAMESPACE), { metadata: { name: backup }, type, data });
    await first.delete();
    await first.told('KeysRetired');
    await world.delete(first.secretPath);
    await eventually(async () => (await first.tenant.configMap(TARGET)) === undefined);
    let foreign: SecretObject | undefined;
    const taken = beforeFirst(
      ({ method, path }) => method === 'POST' && path.endsWith('/secrets'),
      async () => {
        const metadata = { name: secretName(again.uid) };
        foreign = await world.create(paths.secrets(NAMESPACE), { metadata, type: 'Opaque' });
      },
    );
    const restore = { annotations: { [RESTORE_ANNOTATION]: backup } };
    const again = await first.tenant.apply(AT_ONCE, restore);
    await eventually(taken);
    const refused = () =>
      eventually(async () => {
        const annotations = await again.annotations();
        expect(annotations[REFUSED_ANNOTATION]).toContain(
          `a Secret ${secretName(again.uid)} that somebody else made is in the way: delete it`,
        );
        expect(Object.keys(annotations)).not.toContain(PENDING_ANNOTATION);
      });
    await refused();
    await world.patch(again.path, {
      metadata: { annotations: { ...restore.annotations, [REFUSED_ANNOTATION]: null } },
    });
    await refused();
    expect(await again.events('KeysRestoredFromBackup')).toEqual([]);
    expect(await again.secret()).toEqual(foreign);
    expect(await again.until('Ready', 'SecretNotOurs')).toContain('somebody else made it');
  });

  it('a ConfigMap that becomes somebody else’s is not written over (I19)', async () => {
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

  it('a ConfigMap that somebody puts in the place of ours is not deleted (I19)', async () => {
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
    const REPORT = 'PUT signingkeysets/status';
    const STEPS = [
      'PATCH signingkeysets',
      'PUT secrets',
      'PATCH signingkeysets',
      'PUT configmaps',
      'PUT secrets',
      REPORT,
    ];

    /** A replica that has not loaded the new Secret at once is reported in between, or is not. */
    function isStep({ method, path }: Call, before: number): boolean {
      if (method === 'GET') return false;
      return kindOf(path) !== 'signingkeysets/status' || before === STEPS.indexOf(REPORT);
    }

    it('in a rotation of these writes, the Secret before all that publishes its keys (I4)', async () => {
      const set = await make();
      const steps: string[] = [];
      controller.kube.after = (call) => {
        if (isStep(call, steps.length)) steps.push(`${call.method} ${kindOf(call.path)}`);
      };
      await request(set);
      await expectPromotions(set, 1);
      await eventually(() => expect(steps).toEqual(STEPS));
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
        if (!isStep(call, count)) return;
        count += 1;
        if (count !== index + 1) return;
        died = true;
        kube.die();
      };
      if (moment === 'before') kube.before = dieAt;
      else kube.after = dieAt;
      await request(set);
      await eventually(() => died);
      ended.push(controller.stop());
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
