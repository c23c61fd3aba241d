import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { paths, type SecretObject } from '../../../src/controller/objects.ts';
import { eventually } from '../../support/eventually.ts';
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

/** A next key that has to wait does so for as long as a test looks. */
const SPEC = {
  ...ES256,
  ...LONG_GRACE,
  rotation: { propagationDelay: '1h' },
  tokens: { maxLifetime: '1h' },
};

async function make(tenant?: Tenant): Promise<TenantSet> {
  const set = await (tenant ?? (await world.tenant())).applyReady(SPEC);
  await set.until('Published', 'True');
  return set;
}

/** A copy of the set's Secret, as somebody keeps one. @returns its name. */
async function backUp(set: TenantSet): Promise<string> {
  const { type, data } = (await set.secret()) ?? expect.fail('there is no Secret');
  const name = `backup-of-${set.uid}`;
  await world.create<SecretObject>(paths.secrets(NAMESPACE), { metadata: { name }, type, data });
  return name;
}

const damage = (set: TenantSet) =>
  world.patch(set.secretPath, { data: { 'keyring.json': Buffer.from('{').toString('base64') } });

describe.concurrent('signet.dev/restore=<secret>', () => {
  it('takes the keys of a backup where the Secret is damaged', async () => {
    const set = await make();
    const current = await set.kid('current');
    const backup = await backUp(set);
    await damage(set);
    await set.until('Ready', 'KeyringDamaged');
    await set.annotate(`signet.dev/restore=${backup}`);
    expect((await set.told('KeysRestoredFromBackup')).message).toContain(backup);
    await set.until('Ready', 'True');
    expect(await set.kid('current')).toBe(current);
    await set.until('Published', 'True');
    expect(Object.keys(await set.annotations())).not.toContain('signet.dev/restore');
    // Nobody knows which JWKS verifiers hold by now: the next key waits like any other.
    await set.annotate('rotate=now');
    await set.until('RotationPending', 'WaitingForPropagation');
  });

  it('where the set has keys, lets those of the backup verify again, and sign no more', async () => {
    const set = await make();
    const [old, next] = [await set.kid('current'), await set.kid('next')];
    const backup = await backUp(set);
    await set.delete();
    await set.told('KeysRetired');
    await world.delete(set.secretPath);
    await eventually(async () => expect(await set.secret()).toBeUndefined());
    const again = await make(set.tenant);
    const fresh = await again.kid('current');
    expect(fresh).not.toBe(old);
    await again.annotate(`signet.dev/restore=${backup}`);
    expect((await again.told('KeysRestoredFromBackup')).message).toContain('sign no more');
    expect(await again.kid('current')).toBe(fresh);
    // The next key may have signed since the backup.
    expect(await again.kids('previous')).toEqual([old, next]);
    await again.until('Ready', 'True');
  });

  it('brings back no key that the set has revoked', async () => {
    const set = await make();
    const old = await set.kid('current');
    const backup = await backUp(set);
    await set.annotate('rotate=compromised');
    await eventually(async () => expect(await set.kid('current')).not.toBe(old));
    const fresh = await set.kid('current');
    await set.annotate(`signet.dev/restore=${backup}`);
    expect(await set.until('RotationPending', 'RequestRefused')).toContain('nothing to restore');
    expect(await set.kid('current')).toBe(fresh);
    expect(await set.kids('previous')).toEqual([]);
  });

  it('brings back no key that was revoked before the Secret was damaged', async () => {
    const set = await make();
    const compromised = [await set.kid('current'), await set.kid('next')];
    const backup = await backUp(set);
    await set.annotate('rotate=compromised');
    await set.told('KeysCompromised');
    await damage(set);
    await set.until('Ready', 'KeyringDamaged');
    const { keys = [] } = await set.status();
    expect(keys.map(({ kid, state }) => [kid, state])).toEqual(
      compromised.map((kid) => [kid, 'revoked']),
    );
    await set.annotate(`signet.dev/restore=${backup}`);
    const { message } = await set.told('KeysRestoredFromBackup');
    for (const kid of compromised) expect(message).toContain(kid.slice(0, 8));
    await set.until('Ready', 'True');
    const ring = await set.keyring();
    expect(ring.keys.filter(({ kid }) => compromised.includes(kid))).toEqual([]);
    expect(ring.revoked.map(({ kid }) => kid)).toEqual(compromised);
  });

  it.each([
    ['that is not there', 'no-such-secret', 'there is no Secret no-such-secret of type'],
    ['of another type', 'signet-ca', 'there is no Secret signet-ca of type'],
    ['whose name is no name', '../login', 'restore=../login'],
  ])('naming a Secret %s is refused, and tells nothing of what is there', async (_, name, said) => {
    const set = await make();
    const current = await set.kid('current');
    await set.annotate(`signet.dev/restore=${name}`);
    expect(await set.until('RotationPending', 'RequestRefused')).toContain(said);
    expect(await set.kid('current')).toBe(current);
  });

  it('naming the keys of another set is refused', async () => {
    const [set, other] = await Promise.all([make(), make()]);
    await set.annotate(`signet.dev/restore=${await backUp(other)}`);
    expect(await set.until('RotationPending', 'RequestRefused')).toContain(
      `it holds the keys of ${other.tenant.name}/login`,
    );
  });
});

describe.concurrent('a Secret that was put back to an older state by hand', () => {
  it('is written back, and a Warning names the revoked keys that verified again', async () => {
    const set = await make();
    const { data, type } = (await set.secret()) ?? expect.fail('there is no Secret');
    const first = await set.kid('current');
    await set.annotate('rotate=compromised');
    await set.told('KeysCompromised');
    await set.until('Published', 'ForcedEarly');
    const { keys, revoked } = await set.keyring();
    // The controller may be writing that the keys are published.
    await eventually(async () => {
      const { metadata } = (await set.secret()) ?? expect.fail('there is no Secret');
      await world.kube.request('PUT', set.secretPath, { body: { metadata, type, data } });
    });
    expect((await set.told('KeyringRolledBack')).message).toContain(first.slice(0, 8));
    await eventually(async () => {
      const ring = await set.keyring();
      expect(ring.keys.map(({ kid }) => kid)).toEqual(keys.map(({ kid }) => kid));
      expect(ring.revoked.map(({ kid }) => kid)).toEqual(revoked.map(({ kid }) => kid));
    });
  });
});

// The one controller of all tests here: no other runs meanwhile.
describe('a Secret that was put back to an older state while no controller ran', () => {
  it('loses the keys that the status lists as revoked', async () => {
    const set = await make();
    const { data, type } = (await set.secret()) ?? expect.fail('there is no Secret');
    const first = await set.kid('current');
    await set.annotate('rotate=now');
    await set.promoted(first);
    await set.annotate(`revoke=${first}`);
    await set.told('KeyRevoked');
    await eventually(async () => {
      const { keys = [] } = await set.status();
      expect(keys.find(({ kid }) => kid === first)?.state).toBe('revoked');
    });
    await world.stack.controller.kill();
    const { metadata } = (await set.secret()) ?? expect.fail('there is no Secret');
    await world.kube.request('PUT', set.secretPath, { body: { metadata, type, data } });
    await world.stack.controller.restart();
    expect((await set.told('KeyringRolledBack')).message).toContain(first.slice(0, 8));
    expect(await set.kid('current')).not.toBe(first);
  });
});
