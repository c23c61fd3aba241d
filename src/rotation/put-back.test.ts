import { describe, expect, test } from 'vitest';
import { World } from '../../test/support/situations.ts';
import { HOUR, MINUTE } from '../api/constants.ts';
import type { Keyring } from '../keys/keyring.ts';
import { isOlder } from './put-back.ts';
import { currentKey, nextKey, previousKeys, type Transition } from './situation.ts';

const P = 90 * MINUTE;

/** The Secret holds what it held before; the controller has read both. */
function putBack(world: World, older: Keyring): World {
  const newer = world.keys;
  expect(isOlder(older, newer)).toBe(true);
  expect(isOlder(newer, older)).toBe(false);
  world.ring = older;
  world.also = { newer };
  world.step();
  world.also = {};
  return world.settle();
}

/** What is planned for a set that a finalizer holds, whose Secret is this. */
function plannedFor(world: World, ring: Keyring, also: World['also']): Transition | undefined {
  world.set = world.set && { ...world.set, isBeingDeleted: true };
  world.ring = ring;
  world.also = also;
  return world.plan().transition;
}

describe('a Secret that was put back to an older state', () => {
  test('is written back as it was before, and its next key waits anew (I1, I3)', () => {
    const world = World.start().annotate({ rotate: 'now' }).wait(P);
    const older = world.keys;
    world.annotate({ rotate: 'now' });
    const newer = world.keys;
    putBack(world.wait(P), older);
    expect(world.told.at(-1)).toBe('KeyringRolledBack');
    expect(world.keys.keys.map(({ kid }) => kid)).toEqual(newer.keys.map(({ kid }) => kid));
    expect(nextKey(world.keys).publishedAt).toBe(world.now);
    const { kid } = currentKey(world.keys);
    expect(currentKey(world.annotate({ rotate: 'now' }).keys).kid).toBe(kid);
  });

  test('keeps the key that signed meanwhile for those tokens (I5, I15)', () => {
    const world = World.start();
    const older = world.keys;
    world.annotate({ rotate: 'now' }).wait(20 * HOUR);
    const [before] = previousKeys(world.keys);
    const [after] = previousKeys(putBack(world, older).keys);
    expect(after?.kid).toBe(currentKey(older).kid);
    expect((after?.tokensUntil ?? 0) - (before?.tokensUntil ?? 0)).toBe(20 * HOUR);
  });

  test('brings back no revoked key; whether everybody is without it is seen anew (I6, I8)', () => {
    const world = World.start();
    const older = world.keys;
    world.annotate({ rotate: 'compromised' });
    expect(world.keys.revoked[0]?.revokedEverywhereAt).toBe(world.now);
    putBack(world.wait(MINUTE), older);
    expect(world.messages.at(-1)).toContain(currentKey(older).kid.slice(0, 8));
    expect(world.keys.revoked.map(({ kid }) => kid)).toEqual(older.keys.map(({ kid }) => kid));
    expect(world.keys.revoked[0]?.revokedEverywhereAt).toBe(world.now);
  });

  test('while nobody looked, loses what the status lists as revoked (I8)', () => {
    const world = World.start();
    const older = world.keys;
    const { revoked } = world.annotate({ rotate: 'compromised' }).keys;
    world.ring = older;
    world.also = { revoked };
    expect(world.settle().told.at(-1)).toBe('KeyringRolledBack');
    const kids = older.keys.map(({ kid }) => kid);
    expect(world.keys.keys.filter(({ kid }) => kids.includes(kid))).toEqual([]);
  });

  test('is written back also where a finalizer holds the set, without waiting for it', () => {
    const world = World.start();
    const older = world.keys;
    const { revoked } = world.annotate({ rotate: 'compromised' }).keys;
    expect(plannedFor(world, older, { newer: world.keys })?.confirm).toBe(false);
    expect(plannedFor(world, older, { revoked })?.confirm).toBe(false);
  });

  test('is told from keys that were made anew after a loss, which count requests from 0 (I1)', () => {
    const world = World.start().annotate({ rotate: 'now' });
    const lost = world.keys;
    const anew = World.start().keys;
    const made = { ...anew, keys: anew.keys.map((key) => ({ ...key, createdAt: world.now + 1 })) };
    expect([isOlder(made, lost), isOlder(lost, made)]).toEqual([false, false]);
  });

  test.each([
    ['a request', (world: World) => world.annotate({ rollback: 'now' })],
    ['a revocation at its time', (world: World) => world.wait(48 * HOUR)],
    ['a longer promise', (world: World) => world.spec({ maxLifetime: HOUR })],
    ['another next key', (world: World) => world.wait(1).spec({ algorithm: 'ES256' })],
  ])('is told from one that went on, by %s', (_, goOn) => {
    const world = World.start().annotate({ rotate: 'now' });
    const older = world.keys;
    const newer = goOn(world).keys;
    expect([isOlder(older, newer), isOlder(newer, older)]).toEqual([true, false]);
    expect(isOlder(newer, newer)).toBe(false);
  });
});
