import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  MINUTE,
  PENDING_ANNOTATION,
  SET_UID_LABEL,
  secretName,
} from '../../../src/api/constants.ts';
import { type ConfigMapObject, paths, type SecretObject } from '../../../src/controller/objects.ts';
import { eventually } from '../../support/eventually.ts';
import { accountsIn } from '../issuer/accounts.ts';
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

const TARGET = 'login-keys';
const PUBLISHED = { ...ES256, publish: { configMaps: [{ name: TARGET }] } };
/** A next key that has not been published for long enough, as long as a test looks. */
const PATIENT = { ...PUBLISHED, ...LONG_GRACE, rotation: { propagationDelay: '1h' } };

async function make(spec = PUBLISHED): Promise<TenantSet> {
  const set = await (await world.tenant()).applyReady(spec);
  await set.until('Published', 'True');
  return set;
}

/** Every kid with its state, the current one first. */
async function kidsOf(set: TenantSet): Promise<readonly string[]> {
  return (await set.keyring()).keys.map(({ kid, state }) => `${state} ${kid}`);
}

async function target(tenant: Tenant, name = TARGET): Promise<ConfigMapObject> {
  const found = await tenant.configMap(name);
  if (found === undefined) throw new Error(`there is no ConfigMap ${name}`);
  return found;
}

async function setEntry(set: TenantSet, entry: string, text: string | null): Promise<void> {
  const value = text === null ? null : Buffer.from(text).toString('base64');
  await world.patch(set.secretPath, { data: { [entry]: value } });
}

/** Makes a rotation wait for as long as a test looks. @returns the kid that signs. */
async function withPendingRotation(set: TenantSet): Promise<string> {
  const first = await set.kid('current');
  await set.annotate('rotate=now');
  const current = await set.promoted(first);
  await set.consumed();
  await set.annotate('rotate=now');
  await set.until('RotationPending', 'WaitingForPropagation');
  return current;
}

/** Waits until the controller has taken in the newest spec. */
async function observed(set: TenantSet): Promise<void> {
  await eventually(async () => {
    const { metadata, status } = await set.read();
    expect(status?.observedGeneration).toBe(metadata.generation);
  });
}

async function jwks(set: TenantSet): Promise<readonly string[]> {
  const url = `${world.stack.issuerUrl}/${set.tenant.name}/${set.name}/.well-known/jwks.json`;
  const response = await fetch(url);
  const { keys = [] } = (await response.json()) as { keys?: { kid: string }[] };
  return keys.map(({ kid }) => kid);
}

describe.concurrent('a Secret that was deleted', () => {
  it('is written back as it was, with the request that waits', async () => {
    const set = await make(PATIENT);
    const current = await withPendingRotation(set);
    const before = await kidsOf(set);
    const uid = (await set.secret())?.metadata.uid;
    await world.delete(set.secretPath);
    await eventually(async () => expect(await kidsOf(set)).toEqual(before));
    expect((await set.secret())?.metadata.uid).not.toBe(uid);
    expect(await set.told('KeysRestored')).toMatchObject({
      type: 'Warning',
      message: expect.stringContaining('to drop the keys for good, delete the set first'),
    });
    await set.until('RotationPending', 'WaitingForPropagation');
    expect(await set.kid('current')).toBe(current);
  });
});

describe.concurrent('a Secret that is damaged', () => {
  it('with a key cut off, is left as it is and named, and goes on once it is repaired', async () => {
    const set = await make();
    const [current, next] = [await set.kid('current'), await set.kid('next')];
    const entry = `${current}.key`;
    const pem = Buffer.from((await set.secret())?.data?.[entry] ?? '', 'base64').toString();
    await setEntry(set, entry, pem.slice(0, 60));
    const damaged = await set.secret();
    const message = await set.until('Ready', 'KeyringDamaged');
    expect(message).toContain(
      `Secret ${NAMESPACE}/sks-${set.uid}: ${entry} (key ${current}): is not one PKCS#8 PEM key; `,
    );
    expect(message).toContain(
      'restore the Secret from a backup, or delete it: a controller that has read it whole',
    );
    expect(message).not.toContain(pem.split('\n')[1]?.slice(0, 16));
    const { issuer = 'none', jwksURI } = await set.status();
    expect(jwksURI).toBe(`${issuer}/.well-known/jwks.json`);

    await set.annotate('rotate=now');
    await set.change({ algorithm: 'ES384' });
    await observed(set);
    expect((await set.secret())?.metadata.resourceVersion).toBe(damaged?.metadata.resourceVersion);
    await set.change({ algorithm: 'ES256' });
    await observed(set);
    await setEntry(set, entry, pem);
    await set.until('Ready', 'True');
    expect(await set.promoted(current)).toBe(next);
  });

  it('by a key that somebody added, is left as it is until that entry is removed', async () => {
    const set = await make();
    const before = await kidsOf(set);
    const entry = `${'x'.repeat(43)}.key`;
    await setEntry(set, entry, 'not one of ours');
    const { metadata } = (await set.secret()) ?? {};
    expect(await set.until('Ready', 'KeyringDamaged')).toContain(
      `${entry}: no key in keyring.json has this entry; remove this entry from the Secret`,
    );
    expect((await set.secret())?.metadata.resourceVersion).toBe(metadata?.resourceVersion);
    await setEntry(set, entry, null);
    await set.until('Ready', 'True');
    expect(await kidsOf(set)).toEqual(before);
  });
});

describe.concurrent('a ConfigMap of ours', () => {
  it.each<[string, (path: string) => Promise<void>]>([
    ['edited', (path) => world.patch(path, { data: { 'current.crt': 'mine', more: 'text' } })],
    ['emptied', (path) => world.patch(path, { data: null, binaryData: null })],
    ['deleted', (path) => world.delete(path)],
    ['stripped of its labels', (path) => world.patch(path, { metadata: { labels: null } })],
  ])('%s by hand is as before in a moment', async (_, harm) => {
    const set = await make();
    const { metadata, ...content } = await target(set.tenant);
    await harm(paths.configMap(set.tenant.name, TARGET));
    await eventually(async () => {
      const { metadata: now, ...rewritten } = await target(set.tenant);
      expect(rewritten).toEqual(content);
      expect(now.labels).toEqual(metadata.labels);
      expect(now.resourceVersion).not.toBe(metadata.resourceVersion);
    });
    await set.until('Published', 'True');
  });

  it('is deleted when the spec asks for it no more; another one stays', async () => {
    const both = { configMaps: [{ name: TARGET }, { name: 'gateway-keys' }] };
    const set = await make({ ...PUBLISHED, publish: both });
    await set.change({ publish: { configMaps: [{ name: 'gateway-keys' }] } });
    await eventually(async () => expect(await set.tenant.configMap(TARGET)).toBeUndefined());
    await target(set.tenant, 'gateway-keys');
  });
});

describe.concurrent('a ConfigMap of that name that is not ours', () => {
  it('is left alone and blocks promotion by name, until it is out of the way (I13, I19)', async () => {
    const tenant = await world.tenant();
    const foreign = await world.create<ConfigMapObject>(paths.configMaps(tenant.name), {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: TARGET },
      data: { mine: 'since ever' },
    });
    const set = await tenant.applyReady(PUBLISHED);
    const current = await set.kid('current');
    await set.annotate('rotate=now');
    const whatToDo =
      `ConfigMap ${TARGET} was not made for this set and is left alone: delete or rename it, ` +
      'or choose another name in spec.publish.configMaps';
    expect(await set.until('Published', 'ConfigMapNotOurs')).toBe(whatToDo);
    expect(await set.until('RotationPending', 'WaitingForPublication')).toContain(
      `not published everywhere: ${whatToDo}`,
    );
    // The replica blocks too until it has told that it serves the newest keyring.
    await eventually(async () =>
      expect((await set.status()).blockedBy).toEqual([`ConfigMap ${TARGET}`]),
    );
    expect((await set.told('RotationDeferred')).message).toContain(whatToDo);
    expect(await target(tenant)).toEqual(foreign);
    expect(await set.kid('current')).toBe(current);

    await world.delete(paths.configMap(tenant.name, TARGET));
    // No watch of ours shows it: it is looked at again every 10 s.
    await set.promoted(current, MINUTE);
    expect((await target(tenant)).data).toHaveProperty('jwks');
  });
});

describe.concurrent('a set that was deleted', () => {
  it('signs no more, goes on verifying, and made again goes on with the same keys', async () => {
    const tenant = await world.tenant();
    const accounts = { input: JSON.stringify(accountsIn(tenant.name)) };
    await world.cluster.kubectl(['create', '-f', '-'], accounts);
    const spec = { ...PUBLISHED, tokens: { maxLifetime: '1h' } };
    const set = await tenant.applyReady(spec);
    await set.until('Published', 'True');
    const { issuer = '' } = await set.status();
    const token = await world.cluster.token(tenant.name, 'authority', { audiences: [issuer] });
    const sign = async (): Promise<number> => {
      const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
      const body = JSON.stringify({ claims: { sub: 'somebody' } });
      return (await fetch(`${issuer}/sign`, { method: 'POST', headers, body })).status;
    };
    await eventually(async () => expect(await sign()).toBe(200));
    const kids = await kidsOf(set);
    const { metadata, ...content } = await target(tenant);
    const served = await jwks(set);

    await set.delete();
    expect((await set.told('KeysRetired')).message).toMatch(
      /^The set was deleted: nothing is signed any more, tokens verify until \S+Z \(1h\S*\)\. Make it again/,
    );
    await eventually(async () => expect(await sign()).toBe(410));
    expect(await jwks(set)).toEqual(served);
    expect((await target(tenant)).data).toEqual(content.data);
    expect(await kidsOf(set)).toEqual(kids);

    const again = await tenant.applyReady(spec);
    expect((await again.told('KeysResumed')).message).toContain(
      `${kids[0]?.replace('current ', '').slice(0, 8)} signs, tokens signed before still verify`,
    );
    expect(await again.events('KeysCreated')).toEqual([]);
    expect(await kidsOf(again)).toEqual(kids);
    await eventually(async () => expect(await sign()).toBe(200));
    await eventually(async () => expect(await set.secret()).toBeUndefined());
    const kept = await eventually(async () => {
      const found = await target(tenant);
      expect(found.metadata.labels).toMatchObject({ [SET_UID_LABEL]: again.uid });
      return found;
    });
    expect(kept.metadata.uid).toBe(metadata.uid);
    expect(kept.data).toEqual(content.data);
    await again.until('Published', 'True');
  });

  it('while a rotation waited, does not rotate when it is made again', async () => {
    const set = await make(PATIENT);
    const current = await withPendingRotation(set);
    const pending = (await set.annotations())[PENDING_ANNOTATION] ?? '';
    const kids = await kidsOf(set);
    await set.delete();
    await set.told('KeysRetired');
    // As `kubectl get -o yaml` before and `kubectl apply` after would do it.
    const spec = { ...PATIENT, rotation: { propagationDelay: '0s' } };
    const annotations = { [PENDING_ANNOTATION]: pending };
    const again = await set.tenant.applyReady(spec, { annotations });
    expect((await again.told('RequestIgnored')).type).toBe('Warning');
    await again.until('Published', 'True');
    await again.until('RotationPending', 'NoRequest');
    expect(await kidsOf(again)).toEqual(kids);
    expect(await again.kid('current')).toBe(current);
  });

  it('at once made again, before anybody saw it go, keeps its keys too', async () => {
    const set = await make();
    const kids = await kidsOf(set);
    await set.delete();
    const again = await set.tenant.applyReady(PUBLISHED);
    expect(again.uid).not.toBe(set.uid);
    expect(await kidsOf(again)).toEqual(kids);
    await eventually(async () => expect(await set.secret()).toBeUndefined());
    await again.until('Published', 'True');
  });

  it('keeps its ConfigMap as it was, also when that is edited', async () => {
    const set = await make({ ...PUBLISHED, tokens: { maxLifetime: '1h' } });
    const { data } = await target(set.tenant);
    await set.delete();
    await set.told('KeysRetired');
    await world.patch(paths.configMap(set.tenant.name, TARGET), {
      data: { 'current.crt': 'mine' },
    });
    await eventually(async () => expect((await target(set.tenant)).data).toEqual(data));
  });

  it('and not made again, leaves nothing once its last token has expired', async () => {
    const set = await make({ ...PUBLISHED, tokens: { maxLifetime: '10s' } });
    await set.delete();
    await set.told('KeysRetired');
    const end = Math.max(...(await set.keyring()).keys.map(({ tokensUntil }) => tokensUntil ?? 0));
    await eventually(async () => expect(await set.secret()).toBeUndefined(), { timeout: MINUTE });
    expect(Date.now()).toBeGreaterThanOrEqual(end);
    expect(await set.tenant.configMap(TARGET)).toBeUndefined();
    await eventually(async () => expect(await jwks(set)).toEqual([]));
  });

  it('leaves nothing at once when its Secret is deleted, and is a new one when made again', async () => {
    const set = await make({ ...PUBLISHED, tokens: { maxLifetime: '1h' } });
    const kids = await kidsOf(set);
    await set.delete();
    await set.told('KeysRetired');
    await world.delete(set.secretPath);
    await eventually(async () => (await set.tenant.configMap(TARGET)) === undefined);
    expect(await set.secret()).toBeUndefined();
    expect(await set.events('KeysRestored')).toEqual([]);
    const again = await set.tenant.applyReady(PUBLISHED);
    await again.told('KeysCreated');
    await again.until('Published', 'True');
    const fresh = await kidsOf(again);
    for (const kid of kids) expect(fresh).not.toContain(kid);
  });
});

describe.concurrent('a status that was wiped', () => {
  it('is written again as it was; nothing rotates, no key is made', async () => {
    const set = await make(PATIENT);
    await withPendingRotation(set);
    const [kids, { status }] = [await kidsOf(set), await set.read()];
    const { metadata } = (await set.secret()) ?? {};
    const { status: _, ...wiped } = await set.read();
    const input = JSON.stringify({ ...wiped, status: {} });
    const args = ['replace', '--raw', `${set.path}/status`, '-f', '-'];
    await world.cluster.kubectl(args, { input });
    await eventually(async () => {
      const { conditions = [], ...rest } = await set.status();
      const { conditions: before = [], ...was } = status ?? {};
      expect(rest).toEqual(was);
      expect(conditions.map(({ lastTransitionTime: _time, ...said }) => said)).toEqual(
        before.map(({ lastTransitionTime: _time, ...said }) => said),
      );
    });
    expect(await kidsOf(set)).toEqual(kids);
    expect((await set.secret())?.metadata.resourceVersion).toBe(metadata?.resourceVersion);
  });
});

// Last: the controller is down for a while.
describe('what happened while the controller was down', () => {
  const FOREIGN = { mine: Buffer.from('since ever').toString('base64') };
  let lost: TenantSet;
  let damaged: TenantSet;
  let taken: TenantSet;
  let copied: TenantSet;
  let lostKid: string;
  let foreign: SecretObject;

  beforeAll(async () => {
    [lost, damaged, taken, copied] = await Promise.all([make(), make(), make(), make()]);
    lostKid = await lost.kid('current');
    await setEntry(damaged, 'keyring.json', '{');
    await damaged.until('Ready', 'KeyringDamaged');
    const original = await lost.secret();

    await world.stack.controller.kill('SIGTERM');
    for (const { secretPath } of [lost, damaged, taken, copied]) await world.delete(secretPath);
    foreign = await secret(taken, 'Opaque', FOREIGN);
    await secret(copied, original?.type ?? '', original?.data ?? {});
    await world.stack.controller.restart();
  });

  function secret(
    { uid }: TenantSet,
    type: string,
    data: Readonly<Record<string, string>>,
  ): Promise<SecretObject> {
    const metadata = { name: secretName(uid) };
    const object = { apiVersion: 'v1', kind: 'Secret', metadata, type, data };
    return world.create<SecretObject>(paths.secrets(NAMESPACE), object);
  }

  it.each([
    ['a Secret that was deleted', () => lost],
    ['a damaged Secret that was deleted', () => damaged],
  ])('to %s: new keys sign, and a Warning says that the old ones are lost', async (_, find) => {
    const set = find();
    expect(await set.told('KeysLost')).toMatchObject({
      type: 'Warning',
      message: expect.stringContaining('new keys sign from now on'),
    });
    await set.until('Ready', 'True');
    await set.until('Published', 'True');
    expect(await set.kid('current')).not.toBe(lostKid);
  });

  it('to the name of a Secret: one of another type is not used, and not touched (I19)', async () => {
    expect(await taken.until('Ready', 'SecretNotOurs')).toBe(
      `Secret ${NAMESPACE}/sks-${taken.uid} is not used: somebody else made it (type Opaque, not ` +
        'signet.dev/signing-keys). Delete or rename it, and new keys are made',
    );
    expect(await taken.secret()).toEqual(foreign);
    expect((await taken.status()).keys).toBeUndefined();
  });

  it('to the name of a Secret: the keys of another set are not used, until they are removed', async () => {
    expect(await copied.until('Ready', 'SecretNotOurs')).toContain(
      'it holds the keys of another set. Delete or rename it, and new keys are made',
    );
    expect((await copied.keyring()).owner.uid).toBe(lost.uid);
    await world.delete(copied.secretPath);
    await copied.told('KeysLost');
    await copied.until('Ready', 'True');
    expect((await copied.keyring()).owner.uid).toBe(copied.uid);
  });
});
