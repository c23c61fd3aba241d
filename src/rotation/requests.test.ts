import { describe, expect, test } from 'vitest';
import { START, World } from '../../test/support/situations.ts';
import { DAY, HOUR, MINUTE, PENDING_ANNOTATION, REFUSED_ANNOTATION } from '../api/constants.ts';
import type { KeyState } from '../keys/keyring.ts';
import { RESTORE_ANNOTATION } from './pending.ts';
import { currentKey, nextKey } from './situation.ts';

const P = 90 * MINUTE;
/** R + L + S of the fixture: the shortest grace. */
const GRACE = HOUR + 24 * HOUR + 5 * MINUTE;

function states(world: World): KeyState[] {
  return world.keys.keys.map(({ state }) => state);
}

describe('a request', () => {
  test('is consumed, so that the same command works again', () => {
    const world = World.start().annotate({ rotate: 'now' });
    expect(world.set?.annotations).not.toHaveProperty('rotate');
  });

  test('counts once, however often it is typed before it is carried out (I9)', () => {
    const world = World.start().annotate({ rotate: 'now' });
    world
      .annotate({ rotate: 'now' })
      .annotate({ rotate: 'now' })
      .wait(3 * P);
    expect(world.told.filter((reason) => reason === 'Rotated')).toHaveLength(2);
  });

  test('is cancelled by removing signet.dev/pending', () => {
    const world = World.start().annotate({ rotate: 'now' }).annotate({ rotate: 'now' });
    world.annotate({ [PENDING_ANNOTATION]: null }).wait(3 * P);
    expect(world.told.filter((reason) => reason === 'Rotated')).toHaveLength(1);
  });

  test('of the form rotate=id: stays, and counts once for each text', () => {
    const world = World.start().annotate({ rotate: 'id:a' });
    expect(world.set?.annotations['rotate']).toBe('id:a');
    world
      .wait(2 * P)
      .annotate({ rotate: 'id:b' })
      .wait(2 * P)
      .annotate({ rotate: 'id:a' })
      .wait(P);
    expect(world.told.filter((reason) => reason === 'Rotated')).toHaveLength(2);
    expect(world.keys.requests.ids).toEqual(['a', 'b']);
  });

  test('of the form rotate=id: stays cancelled', () => {
    const world = World.start().annotate({ rotate: 'now' }).annotate({ rotate: 'id:a' });
    world.annotate({ [PENDING_ANNOTATION]: null }).wait(3 * P);
    expect(world.told.filter((reason) => reason === 'Rotated')).toHaveLength(1);
  });

  test('of the form rotate=id: stays cancelled when a later one was carried out and it comes back', () => {
    const world = World.start().annotate({ rotate: 'now' }).annotate({ rotate: 'id:a' });
    world.annotate({ [PENDING_ANNOTATION]: null });
    world.annotate({ rotate: 'id:b' }).wait(3 * P);
    world.annotate({ rotate: 'id:a' }).wait(3 * P);
    expect(world.told.filter((reason) => reason === 'Rotated')).toHaveLength(2);
    expect(world.keys.requests.ids).toEqual(['b']);
  });

  test('of the form rotate=id: is refused once, and so is another one beside it', () => {
    const lost = World.start().annotate({ rotate: 'now' }).keys;
    const world = World.start({ suspend: true });
    world.also = { backup: { secret: 'old-keys', keyring: lost } };
    world.annotate({ [RESTORE_ANNOTATION]: 'old-keys' });
    world.annotate({ rotate: 'id:a', 'signet.dev/rotate': 'id:b' });
    expect(world.told.filter((reason) => reason === 'RequestRefused')).toHaveLength(2);
    expect(world.plan().intake).toBeUndefined();
  });

  test('that was refused on the original of a copied set is not said of the copy', () => {
    const world = World.start().annotate({ revoke: 'previous' });
    expect(world.condition('RotationPending').reason).toBe('RequestRefused');
    const refused = world.set?.annotations[REFUSED_ANNOTATION] ?? '';
    const copy = World.start().annotate({
      [REFUSED_ANNOTATION]: refused.replace('uid-1', 'uid-0'),
    });
    expect(copy.condition('RotationPending').reason).toBe('NoRequest');
  });

  test('that a copied set brought along is ignored, and told', () => {
    const world = World.start().annotate({ rotate: 'now' }).annotate({ rotate: 'now' });
    const pending = world.set?.annotations[PENDING_ANNOTATION] ?? '';
    const copy = World.start().annotate({
      [PENDING_ANNOTATION]: pending.replace('uid-1', 'uid-0'),
    });
    expect(copy.told).toEqual(['KeysCreated', 'RequestIgnored']);
    expect(copy.set?.annotations).not.toHaveProperty(PENDING_ANNOTATION);
  });

  test('that is ignored is told also when another one is typed with it (I9)', () => {
    const world = World.start();
    world.annotate({ [PENDING_ANNOTATION]: 'by hand', rotate: 'now' });
    expect(world.told).toEqual(['KeysCreated', 'RequestIgnored', 'Rotated']);
  });

  test('with a number that nobody here gave it is ignored, and told (I9)', () => {
    const world = World.start();
    const asked = { rotate: true, ids: [], revoke: [], asked: ['rotate=now'] };
    const forged = JSON.stringify({
      uid: world.set?.uid,
      number: Number.MAX_SAFE_INTEGER,
      ...asked,
    });
    world.annotate({ [PENDING_ANNOTATION]: forged });
    expect(world.told).toEqual(['KeysCreated', 'RequestIgnored']);
    expect(world.annotate({ rotate: 'now' }).told).toContain('Rotated');
  });

  test('of any length is refused in a message that fits into a condition', () => {
    const world = World.start().annotate({ rotate: 'x'.repeat(40_000) });
    expect(world.condition('RotationPending').message.length).toBeLessThan(1_000);
  });

  test.each([
    ['rotate', 'froce', 'type rotate=now'],
    ['rotate', 'false', 'type rotate=now'],
    ['rotate', '', 'type rotate=now'],
    ['rotate', 'id:', 'rotate=id:<text>'],
    ['signet.dev/rotate', 'soon', 'type rotate=now'],
    ['revoke', 'previous', 'no previous key to revoke: type rotate=compromised'],
    ['revoke', 'unknown-kid', 'names no key of this set: type revoke=<kid> with one of'],
    ['revoke', 'unknown-kid', 'for the key that signs, rotate=compromised, or rotate=now revoke='],
    ['revoke', '', 'revoke=<kid> with one of'],
  ])('%s=%s changes nothing, and says what to type', (annotation, value, advice) => {
    const world = World.start();
    const { keys } = world.keys;
    world.annotate({ [annotation]: value });
    expect(world.keys.keys).toBe(keys);
    expect(world.told.at(-1)).toBe('RequestRefused');
    expect(world.set?.annotations).not.toHaveProperty(annotation);
    expect(world.refusal).toContain(advice);
    expect(world.condition('RotationPending')).toMatchObject({
      status: 'False',
      reason: 'RequestRefused',
      message: expect.stringContaining(advice),
    });
  });

  test('that is refused while another waits is in the message of that one', () => {
    const world = World.start().annotate({ rotate: 'now' }).annotate({ rotate: 'now' });
    world.annotate({ rotate: 'froce' });
    const { status, reason, message } = world.condition('RotationPending');
    expect([status, reason]).toEqual(['True', 'WaitingForPropagation']);
    expect(message).toMatch(
      /^rotate=now: will be .* signet\.dev\/pending-\. Refused: rotate=froce/,
    );
  });

  test('to revoke a key that is unknown is told of revoke=previous where there is one', () => {
    const world = World.start().annotate({ rotate: 'now' }).annotate({ revoke: 'unknown-kid' });
    expect(world.refusal).toContain('type revoke=previous, or revoke=');
  });

  test('to revoke the current key is refused', () => {
    const world = World.start();
    const { kid } = currentKey(world.keys);
    world.annotate({ revoke: kid });
    expect(world.refusal).toContain(`rotate=now revoke=${kid}`);
    expect(currentKey(world.keys).kid).toBe(kid);
  });

  test('to revoke the current key together with a rotation takes one write (I7, I10)', () => {
    const world = World.start();
    const { kid } = currentKey(world.keys);
    world.annotate({ rotate: 'now', revoke: kid });
    expect(states(world)).toEqual(['current', 'next']);
    expect(world.keys.revoked.map((key) => key.kid)).toEqual([kid]);
    expect(world.told).toEqual(['KeysCreated', 'Rotated', 'KeyRevoked']);
  });

  test('to revoke does not wait for a rotation that waits', () => {
    const world = World.start().annotate({ rotate: 'now' }).annotate({ rotate: 'now' });
    world.annotate({ revoke: 'previous' });
    expect(states(world)).toEqual(['current', 'next']);
    expect(world.wait(P).told.filter((reason) => reason === 'Rotated')).toHaveLength(2);
  });

  test('to revoke the next key makes another, whose wait starts over', () => {
    const world = World.start().wait(DAY);
    const { kid } = nextKey(world.keys);
    world.annotate({ revoke: kid.slice(0, 43) });
    expect(nextKey(world.keys)).toMatchObject({ inFirstJwks: false, publishedAt: START + DAY });
    expect(nextKey(world.keys).kid).not.toBe(kid);
  });

  test.each([{ rotate: 'compromised' }, { rotate: 'now', revoke: 'previous' }])(
    'of %o under suspend is a Warning with the command that lifts it',
    (asked) => {
      const world = World.start().annotate({ rotate: 'now' }).spec({ suspend: true });
      world.annotate(asked);
      expect(world.notices.at(-1)).toMatchObject({ type: 'Warning', reason: 'RotationDeferred' });
      expect(world.heard).toContain(
        `kubectl patch signingkeyset login -n identity --type=merge -p '{"spec":{"rotation":{"suspend":false}}}'`,
      );
    },
  );

  test('finds the hold told before it is made', () => {
    const world = World.start({ suspend: true });
    expect(world.condition('RotationPending')).toMatchObject({
      status: 'False',
      reason: 'Suspended',
      message: expect.stringContaining('revocation and restore is held by spec.rotation.suspend'),
    });
    world.annotate({ rotate: 'now' });
    expect(world.notices.at(-1)).toMatchObject({ type: 'Normal', reason: 'RotationDeferred' });
  });

  test('waits while the set is suspended, and so does a revocation that is due', () => {
    const world = World.start().annotate({ rotate: 'now' }).spec({ suspend: true });
    world.annotate({ rotate: 'now' }).wait(2 * GRACE);
    expect(states(world)).toContain('previous');
    expect(world.condition('RotationPending').reason).toBe('Suspended');
    world.spec({ suspend: false });
    expect(world.keys.lastRotation?.at).toBe(START + 2 * GRACE);
  });
});
