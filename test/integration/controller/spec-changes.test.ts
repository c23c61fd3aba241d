import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HOUR, MINUTE, SECOND } from '../../../src/api/constants.ts';
import type { SigningKeySetSpec } from '../../../src/api/signingkeyset.generated.ts';
import { paths } from '../../../src/controller/objects.ts';
import type { SigningKey } from '../../../src/keys/keyring.ts';
import { eventually } from '../../support/eventually.ts';
import { ES256, LONG_GRACE, startWorld, type TenantSet, type World } from './world.ts';

let world: World;

beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.stop());

const R = SECOND;
const S = SECOND;
const AT_ONCE = { ...ES256, ...LONG_GRACE, rotation: { propagationDelay: '0s' } };

async function make(spec: SigningKeySetSpec): Promise<TenantSet> {
  return (await world.tenant()).applyReady(spec);
}

async function key(set: TenantSet, state: SigningKey['state']): Promise<SigningKey> {
  const found = (await set.keyring()).keys.find((candidate) => candidate.state === state);
  if (found === undefined) throw new Error(`there is no ${state} key`);
  return found;
}

/** Waits for a next key of this algorithm. */
async function nextOf(set: TenantSet, algorithm: string): Promise<SigningKey> {
  return eventually(async () => {
    const next = await key(set, 'next');
    expect(next.algorithm).toBe(algorithm);
    return next;
  });
}

async function rotate(set: TenantSet): Promise<string> {
  const from = await set.kid('current');
  await set.annotate('rotate=now');
  return set.promoted(from);
}

/** Waits until the controller has taken in the newest spec. */
async function settled(set: TenantSet): Promise<void> {
  await eventually(async () => {
    const { metadata, status } = await set.read();
    expect(status?.observedGeneration).toBe(metadata.generation);
  });
}

describe.concurrent('another algorithm', () => {
  it('replaces the next key, which waits anew, and never touches the one that signs', async () => {
    const set = await make({ ...ES256, rotation: { propagationDelay: '3s' } });
    const current = await key(set, 'current');
    const replaced = await set.kid('next');
    await set.change({ algorithm: 'ES384' });
    const next = await nextOf(set, 'ES384');
    expect(next.inFirstJwks).toBe(false);
    expect(await set.told('NextKeyReplaced')).toMatchObject({
      type: 'Normal',
      message: `The next key is ES384 now, as the spec asks, and may sign 3s after it is published; ${current.kid.slice(0, 8)} goes on signing until a rotation`,
    });
    expect(await set.kid('current')).toBe(current.kid);
    expect(JSON.stringify(await set.secret())).not.toContain(replaced);

    await set.annotate('rotate=now');
    expect(await set.promoted(current.kid)).toBe(next.kid);
    const { publishedAt = Number.NaN, promotedAt = 0 } = await key(set, 'current');
    expect(promotedAt - publishedAt).toBeGreaterThanOrEqual(3 * SECOND);
    expect((await set.status()).keys?.map(({ algorithm }) => algorithm)).toEqual([
      'ES384',
      'ES384',
      'ES256',
    ]);
  });

  it('asked for after a rotation that waits, makes it wait for the new kind of key', async () => {
    const set = await make({ ...ES256, ...LONG_GRACE, rotation: { propagationDelay: '20s' } });
    const second = await rotate(set);
    await set.annotate('rotate=now');
    await set.until('RotationPending', 'WaitingForPropagation');
    await set.change({ algorithm: 'EdDSA' });
    const next = await nextOf(set, 'EdDSA');
    expect(await set.promoted(second, MINUTE)).toBe(next.kid);
    expect((await set.status()).lastRotation?.request).toBe('rotate=now');
  });

  it('asked for after a rotation that was immediate, leaves the rotation as it was', async () => {
    const set = await make({ ...ES256, ...LONG_GRACE, rotation: { propagationDelay: '1h' } });
    const second = await rotate(set);
    await set.change({ algorithm: 'ES512' });
    await nextOf(set, 'ES512');
    expect(await key(set, 'current')).toMatchObject({ kid: second, algorithm: 'ES256' });
    await set.until('RotationPending', 'NoRequest');
  });
});

describe.concurrent('another key size', () => {
  it('replaces the next key alone, with one of that size', async () => {
    const set = await make({ ...AT_ONCE, algorithm: 'RS256' });
    const [current, replaced] = [await set.kid('current'), await set.kid('next')];
    await set.change({ rsa: { modulusLength: 3072 } });
    await eventually(async () => expect(await set.kid('next')).not.toBe(replaced));
    const { jwk } = await key(set, 'next');
    expect(Buffer.from(jwk.n ?? '', 'base64url')).toHaveLength(3072 / 8);
    expect(await set.kid('current')).toBe(current);
    expect(await rotate(set)).toBe(jwk.kid);
  });
});

describe.concurrent('another propagation delay', () => {
  it('holds at once where it is longer, also for the key that waits', async () => {
    const set = await make({ ...ES256, ...LONG_GRACE });
    await rotate(set);
    await eventually(async () => (await key(set, 'next')).publishedAt !== undefined);
    const next = await key(set, 'next');
    await set.change({ rotation: { propagationDelay: '1h' } });
    const { publishedAt = Number.NaN } = next;
    await eventually(async () => {
      const { promotableAt = '' } = await set.status();
      expect(Date.parse(promotableAt)).toBeGreaterThanOrEqual(publishedAt + HOUR);
    });
    await set.annotate('rotate=now');
    expect(await set.until('RotationPending', 'WaitingForPropagation')).toContain('1h');
    expect(await set.kid('next')).toBe(next.kid);
  });

  it('holds only from the next key on where it is shorter', async () => {
    const set = await make({ ...ES256, ...LONG_GRACE, rotation: { propagationDelay: '20s' } });
    const second = await rotate(set);
    const promised = await key(set, 'next');
    await set.change({ rotation: { propagationDelay: '0s' } });
    await settled(set);
    expect(await key(set, 'next')).toMatchObject({ kid: promised.kid, propagationDelay: 20_000 });
    await set.annotate('rotate=now');
    await set.until('RotationPending', 'WaitingForPropagation');
    await set.promoted(second, MINUTE);
    const { publishedAt = Number.NaN, promotedAt = 0 } = await key(set, 'current');
    expect(promotedAt - publishedAt).toBeGreaterThanOrEqual(20_000);
    expect(await key(set, 'next')).toMatchObject({ propagationDelay: 0 });
  });

  it('is not shorter for a key made at once than what caches still hold (I1)', async () => {
    const set = await make({ ...ES256, rotation: { propagationDelay: '20s' } });
    await set.change({ algorithm: 'EdDSA', rotation: { propagationDelay: '0s' } });
    await eventually(async () => {
      expect(await key(set, 'next')).toMatchObject({ algorithm: 'EdDSA', propagationDelay: 5_000 });
    });
  });
});

describe.concurrent('another token lifetime', () => {
  it('keeps a key for the tokens that were made under the longer one', async () => {
    const set = await make({ ...ES256, tokens: { maxLifetime: '1h' } });
    const current = await set.kid('current');
    const before = Date.now();
    await set.change({ tokens: { maxLifetime: '1s' } });
    await eventually(async () => expect((await set.keyring()).maxLifetime).toBe(SECOND));
    const promised = (await key(set, 'current')).tokensUntil ?? 0;
    expect(promised).toBeGreaterThanOrEqual(before + HOUR + R + S);

    await rotate(set);
    const demoted = await key(set, 'previous');
    expect(demoted).toMatchObject({ kid: current, tokensUntil: promised, revokeAt: promised });
    const { keys = [] } = await set.status();
    const told = Date.parse(keys.find(({ kid }) => kid === current)?.tokensUntil ?? '');
    expect(told).toBe(Math.floor(promised / SECOND) * SECOND);
  });

  it('where it is longer, holds a key for longer once that signs', async () => {
    const set = await make(AT_ONCE);
    await set.change({ tokens: { maxLifetime: '2h' }, revocation: { gracePeriod: '3h' } });
    await eventually(async () => expect((await set.keyring()).maxLifetime).toBe(2 * HOUR));
    const before = Date.now();
    await rotate(set);
    const { tokensUntil = 0, revokeAt = 0 } = await key(set, 'previous');
    expect(tokensUntil).toBeGreaterThanOrEqual(before + 2 * HOUR + R + S);
    expect(revokeAt).toBeGreaterThanOrEqual(before + 3 * HOUR);
  });
});

describe.concurrent('the grace period', () => {
  it('is the shortest safe one by default, and the key goes when it ends', async () => {
    const tokens = { maxLifetime: '10s' };
    const set = await make({ ...ES256, rotation: { propagationDelay: '0s' }, tokens });
    expect((await set.status()).effectiveGracePeriod).toBe('12s');
    await rotate(set);
    const { kid, demotedAt = 0, tokensUntil, revokeAt } = await key(set, 'previous');
    expect(revokeAt).toBe(demotedAt + 10 * SECOND + R + S);
    expect(tokensUntil).toBe(revokeAt);
    await eventually(async () => expect(await set.kids('previous')).toEqual([]), {
      timeout: MINUTE,
    });
    expect(Date.now()).toBeGreaterThanOrEqual(revokeAt ?? Number.NaN);
    expect((await set.told('KeyRevoked')).message).toBe(
      `${kid} left the JWKS: the grace period is over`,
    );
  });

  it('made shorter, keeps what was promised; made longer, holds for previous keys too', async () => {
    const set = await make(AT_ONCE);
    await rotate(set);
    const promised = (await key(set, 'previous')).revokeAt ?? 0;
    await set.change({ revocation: { gracePeriod: '1m' } });
    await eventually(async () => expect((await set.status()).effectiveGracePeriod).toBe('1m'));
    expect((await key(set, 'previous')).revokeAt).toBe(promised);
    await set.change({ revocation: { gracePeriod: '2h' } });
    await eventually(async () => {
      expect((await key(set, 'previous')).revokeAt).toBe(promised + HOUR);
    });
  });
});

describe.concurrent('rotation.every', () => {
  it('rotates at that age by itself, and says when it will', async () => {
    const set = await make({ ...AT_ONCE, rotation: { propagationDelay: '0s', every: '10s' } });
    const first = await key(set, 'current');
    const { nextRotationAt = '' } = await set.status();
    expect(Date.parse(nextRotationAt)).toBeGreaterThanOrEqual((first.promotedAt ?? 0) + 10_000);
    await set.promoted(first.kid, MINUTE);
    const { lastRotation } = await set.keyring();
    expect(lastRotation).toMatchObject({ trigger: 'Age', from: first.kid });
    expect(lastRotation?.at).toBeGreaterThanOrEqual((first.promotedAt ?? 0) + 10_000);
    await set.change({ rotation: { suspend: true } });
  });

  it('says why it does not come when it is due, and tells it once', async () => {
    const tenant = await world.tenant();
    const name = 'taken';
    await world.create(paths.configMaps(tenant.name), {
      ...{ apiVersion: 'v1', kind: 'ConfigMap' },
      metadata: { name },
    });
    const set = await tenant.applyReady({
      ...AT_ONCE,
      publish: { configMaps: [{ name }] },
      rotation: { propagationDelay: '0s', every: '1s' },
    });
    const whatFor = `ConfigMap ${name} was not made for this set`;
    const waiting = await set.until('RotationPending', 'WaitingForPublication');
    expect(waiting).toMatch(/^spec\.rotation\.every: due since /);
    expect(waiting).toContain(whatFor);
    expect(await set.told('RotationDeferred')).toMatchObject({
      type: 'Normal',
      message: expect.stringContaining(whatFor),
    });
  });
});
