import { describe, expect, test } from 'vitest';
import { World } from '../../test/support/situations.ts';
import { HOUR, MINUTE, PENDING_ANNOTATION } from '../api/constants.ts';
import { currentKey, nextKey, previousKeys } from './situation.ts';

const P = 90 * MINUTE;

/** A set whose next key is not published for P yet. */
function closed(): World {
  return World.start().annotate({ rotate: 'now' });
}

function refusal(world: World): string | undefined {
  return world.refusal;
}

describe('rotate=force', () => {
  test('promotes though the gate is closed, and three places tell of it (I17)', () => {
    const world = closed();
    const { kid } = nextKey(world.keys);
    world.annotate({ rotate: 'force' });
    expect(currentKey(world.keys).kid).toBe(kid);
    expect(world.told.slice(-2)).toEqual(['Rotated', 'RotationForced']);
    expect(world.heard).toContain('PyJWT and jose within 30s, kube-apiserver within max-age');
    expect(world.heard).toContain('2026-01-01T01:30:00Z');
    expect(world.condition('Published')).toMatchObject({
      status: 'False',
      reason: 'ForcedEarly',
      message: expect.stringContaining('until 2026-01-01T01:30:00Z'),
    });
    expect(world.condition('RotationPending').reason).toBe('Forced');
    expect(world.plan().report?.lastRotation).toMatchObject({
      trigger: 'Force',
      request: 'rotate=force',
    });
  });

  test('is forgiven when verifiers have seen the key, and remembered until another signs', () => {
    const world = closed().annotate({ rotate: 'force' }).wait(P);
    expect(world.condition('Published').reason).toBe('PublishedEverywhere');
    expect(world.condition('RotationPending').reason).toBe('Forced');
    world.annotate({ rotate: 'now' });
    expect(world.condition('RotationPending').reason).toBe('NoRequest');
  });

  test('is not hidden by a refusal, a hold or a ConfigMap that cannot be written (I17)', () => {
    const world = closed().annotate({ rotate: 'force' }).annotate({ rotate: 'froce' });
    const fault = { reason: 'ConfigMapNotOurs', message: 'ConfigMap keys is not ours' } as const;
    world.lagging = [{ name: 'ConfigMap keys', kids: [], fault }];
    world.spec({ suspend: true });
    const [pending, published] = [world.condition('RotationPending'), world.condition('Published')];
    expect(pending).toMatchObject({ status: 'False', reason: 'RequestRefused' });
    expect(pending.message).toMatch(/^rotate=froce is .* held by .* did not wait for verifiers/);
    expect(published).toMatchObject({ status: 'False', reason: 'ConfigMapNotOurs' });
    expect(published.message).toMatch(
      /^ConfigMap keys is not ours\. .* until 2026-01-01T01:30:00Z/,
    );
  });

  test('names the command that undoes it, where there is one', () => {
    const undo = 'To undo: kubectl annotate signingkeyset login -n identity rollback=now';
    const world = closed().annotate({ rotate: 'force' });
    expect(world.heard).toContain(undo);
    expect(world.condition('Published').message).toContain(undo);
    const other = closed();
    other.annotate({ rotate: 'force', revoke: currentKey(other.keys).kid });
    expect(other.messages.join()).not.toContain(undo);
    const compromised = closed().annotate({ rotate: 'compromised' });
    expect(compromised.condition('Published').message).not.toContain(undo);
  });

  test('with the gate open costs nothing, and says so', () => {
    const world = World.start().annotate({ rotate: 'force' });
    expect(world.told).toContain('RotationForced');
    expect(world.heard).toContain('nothing is refused');
    expect(world.condition('Published').reason).toBe('PublishedEverywhere');
  });

  test('names who lacks the key while it is not published everywhere', () => {
    const world = World.start();
    world.replicas = [{ name: 'issuer a', hasLoaded: false }];
    world.annotate({ rotate: 'now' }).annotate({ 'signet.dev/rotate': 'force' });
    expect(world.heard).toContain('Without it are yet: issuer a');
    expect(world.condition('Published').message).toContain('for now');
  });

  test('joins a rotation that waits, which becomes one by force (I9)', () => {
    const world = closed().annotate({ rotate: 'now' }).annotate({ rotate: 'force' });
    expect(world.told.filter((reason) => reason === 'Rotated')).toHaveLength(2);
    expect(world.keys.lastRotation?.request).toBe('rotate=now rotate=force');
    expect(world.set?.annotations).not.toHaveProperty(PENDING_ANNOTATION);
  });

  test('is refused while three previous keys verify, with the revoke to type (I18)', () => {
    const world = closed().annotate({ rotate: 'force' }).annotate({ rotate: 'force' });
    world.annotate({ rotate: 'force' });
    expect(previousKeys(world.keys)).toHaveLength(3);
    expect(world.told.at(-1)).toBe('RequestRefused');
    expect(refusal(world)).toContain('type rotate=force revoke=previous');
    world.annotate({ rotate: 'force', revoke: 'previous' });
    expect(previousKeys(world.keys)).toHaveLength(1);
  });
});

describe('rotate=compromised', () => {
  test('makes a new pair and revokes every other key in one write (I2, I10, I17)', () => {
    const world = closed().wait(2 * P);
    const old = world.keys.keys.map(({ kid }) => kid);
    const written = world.annotate({ rotate: 'compromised' }).keys;
    expect(written.keys.map(({ state }) => state)).toEqual(['current', 'next']);
    expect(written.keys.some(({ kid }) => old.includes(kid))).toBe(false);
    expect(written.revoked.map(({ kid }) => kid)).toEqual(old);
    expect(written.lastRotation).toMatchObject({ trigger: 'Compromised', from: old[0] });
    expect(written.lastRotation?.to).toBe(currentKey(written).kid);
    expect(world.told.at(-1)).toBe('KeysCompromised');
    expect(world.heard).toContain('until a verifier refetches the JWKS');
    expect(world.condition('Published').reason).toBe('ForcedEarly');
  });

  test('does not let the new next key sign before it was published for P (I3)', () => {
    const world = World.start().annotate({ rotate: 'compromised' });
    const { kid } = nextKey(world.keys);
    expect(nextKey(world.keys).inFirstJwks).toBe(false);
    world.annotate({ rotate: 'now' }).wait(P - 1);
    expect(nextKey(world.keys).kid).toBe(kid);
    expect(currentKey(world.wait(1).keys).kid).toBe(kid);
  });

  test('is held by suspend like everything else, and says so', () => {
    const world = World.start({ suspend: true }).annotate({ rotate: 'compromised' });
    expect(world.told.at(-1)).toBe('RotationDeferred');
    expect(world.condition('RotationPending')).toMatchObject({
      reason: 'Suspended',
      message: expect.stringContaining('set it to false'),
    });
  });

  test('is not what a value on the prototype of an object is', () => {
    expect(World.start().annotate({ rotate: 'constructor' }).told.at(-1)).toBe('RequestRefused');
  });
});

test('rotate=now revoke=previous with three previous keys is one write (I9, I10)', () => {
  const world = World.start();
  for (let count = 0; count < 3; count += 1) world.annotate({ rotate: 'now' }).wait(P);
  const { kid } = currentKey(world.keys);
  expect(previousKeys(world.keys)).toHaveLength(3);
  world.annotate({ rotate: 'now', revoke: 'previous' });
  expect(previousKeys(world.keys).map((key) => key.kid)).toEqual([kid]);
  expect(world.told.slice(-2)).toEqual(['Rotated', 'KeyRevoked']);
  expect(world.now).toBeLessThan((world.keys.lastRotation?.at ?? 0) + HOUR);
});
