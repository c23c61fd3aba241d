import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SET_NAME_LABEL, SET_NAMESPACE_LABEL } from '../../../src/api/constants.ts';
import type { SigningKeySetSpec } from '../../../src/api/signingkeyset.generated.ts';
import { paths } from '../../../src/controller/objects.ts';
import { eventually } from '../../support/eventually.ts';
import { ES256, NAMESPACE, startWorld, type Tenant, type TenantSet, type World } from './world.ts';

let world: World;

beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.stop());

const POLICIES = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies';
const WHY = 'the security team allows no keys here';

/** An admission policy of somebody else's that lets no Secret of a tenant's sets be written. */
async function refuseKeysOf({ name }: Tenant): Promise<{ lift(): Promise<void> }> {
  const expression = `!has(object.metadata.labels) || !('${SET_NAMESPACE_LABEL}' in object.metadata.labels)
    || object.metadata.labels['${SET_NAMESPACE_LABEL}'] != '${name}'`;
  const resourceRules = [
    {
      apiGroups: [''],
      apiVersions: ['v1'],
      resources: ['secrets'],
      operations: ['CREATE', 'UPDATE'],
    },
  ];
  await world.create(POLICIES, {
    metadata: { name },
    spec: { matchConstraints: { resourceRules }, validations: [{ expression, message: WHY }] },
  });
  const binding = { policyName: name, validationActions: ['Deny'] };
  await world.create(`${POLICIES.slice(0, -'policies'.length)}policybindings`, {
    metadata: { name },
    spec: binding,
  });
  const labels = { [SET_NAMESPACE_LABEL]: name, [SET_NAME_LABEL]: 'none' };
  const canary = { metadata: { generateName: 'canary-', labels } };
  const path = `/api/v1/namespaces/${NAMESPACE}/secrets?dryRun=All`;
  const isRefused = () =>
    world.create(path, canary).then(
      () => false,
      (error: Error) => error.message.includes(WHY),
    );
  const lift = async () => {
    await world.delete(`${POLICIES}/${name}`);
    await eventually(async () => !(await isRefused()));
  };
  await eventually(isRefused);
  return { lift };
}

describe.concurrent('what the API server refuses again and again', () => {
  it('stands in the status of a set that gets no keys, until it gets them', async () => {
    const tenant = await world.tenant();
    const { lift } = await refuseKeysOf(tenant);
    const set = await tenant.apply();
    expect(await set.until('Ready', 'KeysNotCreated')).toContain(WHY);
    expect(await set.until('RotationPending', 'ReconcileFailed')).toContain(WHY);
    await lift();
    await set.until('Ready', 'True');
    await set.until('RotationPending', 'NoRequest');
  });

  it('stands in the status of a set that is to rotate, which goes on with the keys it has', async () => {
    const tenant = await world.tenant();
    const set = await tenant.applyReady(ES256);
    const current = await set.kid('current');
    const { lift } = await refuseKeysOf(tenant);
    await set.annotate('rotate=now');
    expect(await set.until('RotationPending', 'ReconcileFailed')).toContain(WHY);
    expect((await set.condition('Ready'))?.reason).toBe('Signing');
    const { resourceVersion } = (await set.read()).metadata;
    const told = await set.told('ReconcileFailed', WHY);
    await eventually(async () =>
      expect((await set.told('ReconcileFailed', WHY)).count).toBeGreaterThan(told.count),
    );
    expect((await set.read()).metadata.resourceVersion).toBe(resourceVersion);
    await lift();
    await set.promoted(current);
    await set.until('RotationPending', 'NoRequest');
  });
});

describe.concurrent('a set that was deleted and is held by somebody’s finalizer', () => {
  it('says so and changes nothing, until it is gone and is retired', async () => {
    const set = await (await world.tenant()).applyReady(ES256);
    const before = await set.keyring();
    await world.patch(set.path, { metadata: { finalizers: ['example.com/hold'] } });
    await set.delete();
    expect(await set.until('RotationPending', 'BeingDeleted')).toContain('{.metadata.finalizers}');
    await set.annotate('rotate=now');
    expect(await set.until('RotationPending', 'True')).toContain('rotate=now: held, because');
    expect(await set.keyring()).toEqual(before);
    expect(await set.events('ReconcileFailed')).toEqual([]);
    await world.patch(set.path, { metadata: { finalizers: null } });
    await set.told('KeysRetired');
  });
});

describe.concurrent('a ConfigMap of ours that somebody made immutable', () => {
  it('is made anew at once, and follows the next rotation', async () => {
    const publish = { configMaps: [{ name: 'keys' }] };
    const set = await (await world.tenant()).applyReady({ ...ES256, publish });
    await set.until('Published', 'True');
    const before = await set.tenant.configMap('keys');
    await world.patch(paths.configMap(set.tenant.name, 'keys'), { immutable: true });
    const after = await eventually(async () => {
      const found = await set.tenant.configMap('keys');
      expect(found).toBeDefined();
      expect(found?.metadata.uid).not.toBe(before?.metadata.uid);
      return found;
    });
    expect(after).toMatchObject({ data: before?.data, binaryData: before?.binaryData });
    expect(after?.immutable).toBeUndefined();
    const current = await set.kid('current');
    await set.annotate('rotate=now');
    const next = await set.promoted(current);
    await eventually(async () =>
      expect((await set.tenant.configMap('keys'))?.data?.['current.crt']).toBe(
        (await set.tenant.configMap('keys'))?.data?.[`${next}.crt`],
      ),
    );
  });
});

describe.concurrent('a set that is deleted while its Secret is damaged', () => {
  async function damaged(spec: SigningKeySetSpec): Promise<TenantSet> {
    const set = await (await world.tenant()).applyReady(spec);
    await world.patch(set.secretPath, { data: { [`${await set.kid('next')}.key`]: null } });
    await set.until('Ready', 'KeyringDamaged');
    return set;
  }

  it('is retired from what was last read, and goes when its last token has expired', async () => {
    const set = await damaged(ES256);
    await set.delete();
    await set.told('KeysRetired');
    await eventually(async () => expect(await set.secret()).toBeUndefined());
  });

  it('goes on verifying, and made again goes on with these keys', async () => {
    const set = await damaged({ ...ES256, tokens: { maxLifetime: '1h' } });
    const { jwksURI = '' } = await set.status();
    const served = await (await fetch(jwksURI)).json();
    await set.delete();
    await set.told('KeysRetired');
    expect(await (await fetch(jwksURI)).json()).toEqual(served);
    const kids = await set.kids('current');
    const again = await set.tenant.applyReady(ES256);
    await again.told('KeysResumed');
    expect(await again.kids('current')).toEqual(kids);
  });
});
