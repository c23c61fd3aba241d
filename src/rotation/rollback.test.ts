import { describe, expect, test } from 'vitest';
import { World } from '../../test/support/situations.ts';
import { DAY, HOUR, MINUTE, PENDING_ANNOTATION } from '../api/constants.ts';
import { currentKey, nextKey, previousKeys } from './situation.ts';

const P = 90 * MINUTE;
const GRACE = HOUR + 24 * HOUR + 5 * MINUTE;

function refusal(world: World): string {
  return world.refusal ?? '';
}

describe('rollback=now', () => {
  test('lets the newest previous key sign again and keeps the next key (I7)', () => {
    const world = World.start();
    const first = currentKey(world.keys);
    world.annotate({ rotate: 'now' });
    const [second, next] = [currentKey(world.keys), nextKey(world.keys)];
    world.wait(HOUR).annotate({ rollback: 'now' });
    expect(currentKey(world.keys)).toMatchObject({ kid: first.kid, promotedAt: world.now });
    expect(currentKey(world.keys)).not.toHaveProperty('demotedAt');
    expect(nextKey(world.keys)).toBe(next);
    expect(previousKeys(world.keys).map(({ kid }) => kid)).toEqual([second.kid]);
    expect(previousKeys(world.keys)[0]?.tokensUntil).toBe(world.now + GRACE);
    expect(world.told.at(-1)).toBe('RolledBack');
    expect(world.plan().report?.lastRotation).toMatchObject({
      trigger: 'Rollback',
      from: second.kid,
      to: first.kid,
    });
  });

  test('keeps what was promised to the key that signs again, for its next demotion (I22)', () => {
    const world = World.start({ gracePeriod: 10 * DAY }).annotate({ rotate: 'now' });
    const promised = previousKeys(world.keys)[0]?.revokeAt ?? 0;
    world.annotate({ rollback: 'now' }).spec({ gracePeriod: 2 * DAY });
    expect(world.plan().report?.keys?.[0]).not.toHaveProperty('revokeAt');
    world.wait(P).annotate({ rotate: 'now' });
    expect(previousKeys(world.keys)[0]?.revokeAt).toBe(promised);
  });

  test('cancels a rotation that waits, also one that was asked for by rotate=id:', () => {
    const world = World.start().annotate({ rotate: 'now' });
    world.annotate({ 'signet.dev/rotate': 'id:a' }).annotate({ 'signet.dev/rollback': 'now' });
    expect(world.told.slice(-2)).toEqual(['RotationCancelled', 'RolledBack']);
    expect(world.set?.annotations).not.toHaveProperty(PENDING_ANNOTATION);
    world.wait(3 * P);
    expect(world.told.filter((reason) => reason === 'Rotated')).toHaveLength(1);
    expect(world.keys.requests.ids).toEqual(['a']);
  });

  test('revokes the key that signed, in the same write, where that is asked for (I7, I10)', () => {
    const world = World.start().annotate({ rotate: 'now' });
    const { kid } = currentKey(world.keys);
    world.annotate({ rollback: 'now', revoke: kid });
    expect(world.keys.keys.map(({ state }) => state)).toEqual(['current', 'next']);
    expect(world.keys.revoked.map((key) => key.kid)).toEqual([kid]);
  });

  test('does not let a key sign that signed by force before verifiers could know it (I3)', () => {
    const world = World.start().annotate({ rotate: 'now' }).wait(MINUTE);
    const forced = nextKey(world.keys);
    const { kid } = currentKey(world.keys);
    world.annotate({ rotate: 'force' }).annotate({ rollback: 'now' }).annotate({ rollback: 'now' });
    expect(refusal(world)).toContain('verifiers may not know it before');
    expect(currentKey(world.keys).kid).toBe(kid);
    world.wait(P).annotate({ rollback: 'now' });
    expect(currentKey(world.keys).kid).toBe(forced.kid);
  });

  test('is not refused by a wrong clock, but waits for a right one', () => {
    const world = World.start().annotate({ rotate: 'now' });
    const { kid } = currentKey(world.keys);
    world.also = { clockSkew: 3 * DAY };
    world.now += 3 * DAY;
    world.annotate({ rollback: 'now' });
    expect(refusal(world)).toBe('');
    world.also = {};
    world.now -= 3 * DAY;
    expect(currentKey(world.settle().keys).kid).not.toBe(kid);
  });

  test('counts the age of the key from when it signs again', () => {
    const world = World.start().annotate({ rotate: 'now' }).wait(HOUR);
    world.annotate({ rollback: 'now' });
    const automatic = { trigger: 'Age', dueAfter: (since: number) => since + DAY } as const;
    world.spec({ automatic }).wait(DAY - 1);
    expect(world.told.filter((reason) => reason === 'Rotated')).toHaveLength(1);
    world.wait(1);
    expect(world.told.filter((reason) => reason === 'Rotated')).toHaveLength(2);
  });

  test('is refused where there is no previous key', () => {
    const world = World.start().annotate({ rollback: 'now' });
    expect(refusal(world)).toBe(
      'rollback=now: there is no previous key that could sign again: type rotate=now',
    );
  });

  test('is refused where the newest previous key has lost its private half', () => {
    const world = World.start().annotate({ rotate: 'now' }).wait(P).annotate({ rotate: 'now' });
    const newest = previousKeys(world.keys)[0]?.kid ?? '';
    world.annotate({ revoke: newest }).annotate({ rollback: 'now' });
    expect(refusal(world)).toContain('its private half is gone');
  });

  test('is refused together with a rotation, and neither is carried out', () => {
    const world = World.start().annotate({ rotate: 'now' });
    const { kid } = currentKey(world.keys);
    world.annotate({ rotate: 'id:b', rollback: 'now' }).wait(3 * P);
    expect(currentKey(world.keys).kid).toBe(kid);
    expect(world.told.slice(-2)).toEqual(['RequestRefused', 'RequestRefused']);
    expect(refusal(world)).toContain('type one of rotate=now and rollback=now');
  });

  test('is refused for a key that is to be revoked at the same time', () => {
    const world = World.start().annotate({ rotate: 'now' });
    world.annotate({ rollback: 'now', revoke: 'previous' });
    expect(refusal(world)).toContain('to sign again and to be revoked: type only one');
  });

  test('is given up, and told, when its key went while the request was held', () => {
    const world = World.start().annotate({ rotate: 'now' }).spec({ suspend: true });
    world.annotate({ rollback: 'now' }).wait(2 * GRACE);
    expect(world.condition('RotationPending').reason).toBe('Suspended');
    world.spec({ suspend: false });
    expect(refusal(world)).toContain('has verified until its end');
    expect(world.set?.annotations).not.toHaveProperty(PENDING_ANNOTATION);
    expect(world.keys.lastRotation?.trigger).toBe('Request');
  });

  test('that is held is still named when a revocation joins it', () => {
    const world = World.start().annotate({ rotate: 'now' }).spec({ suspend: true });
    world.annotate({ rollback: 'now' }).annotate({ revoke: nextKey(world.keys).kid });
    expect(world.condition('RotationPending').message).toMatch(/^rollback=now revoke=/);
    expect(world.told).not.toContain('RotationCancelled');
  });

  test.each(['yes', '', 'force'])('rollback=%s is refused', (value) => {
    const world = World.start().annotate({ rollback: value });
    expect(refusal(world)).toBe(`rollback=${value} is not a request: type rollback=now`);
  });
});
