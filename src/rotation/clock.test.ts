import { describe, expect, test } from 'vitest';
import { every, START, World } from '../../test/support/situations.ts';
import { DAY, HOUR, MINUTE } from '../api/constants.ts';
import { currentKey, nextKey } from './situation.ts';

const P = 90 * MINUTE;
const GRACE = HOUR + 24 * HOUR + 5 * MINUTE;

describe('while the clocks of controller and API server differ (I16)', () => {
  test('nothing is promoted or revoked, neither by request nor by time', () => {
    const world = World.start(every(DAY)).annotate({ rotate: 'now' });
    world.also = { clockSkew: 7 * MINUTE };
    const { keys } = world.keys;
    world.annotate({ rotate: 'now', revoke: 'previous' }).wait(2 * GRACE);
    expect(world.keys.keys).toBe(keys);
    expect(world.condition('RotationPending').reason).toBe('ClockSkew');
    world.also = {};
    world.settle();
    expect(world.told.slice(-2)).toEqual(['KeyRevoked', 'Rotated']);
  });

  test('a condition says so, without a number that changes with every second', () => {
    const world = World.start();
    expect(world.condition('ClockSkew')).toMatchObject({ status: 'False', reason: 'ClocksAgree' });
    world.also = { clockSkew: 7 * MINUTE + 1 };
    const told = world.condition('ClockSkew');
    expect(told).toMatchObject({ status: 'True', reason: 'ClocksDiffer' });
    expect(told.message).toContain('7m apart or more, and 5m is allowed');
    world.also = { clockSkew: 7 * MINUTE + 30_000 };
    expect(world.condition('ClockSkew')).toEqual(told);
  });

  test('nothing that counts from a time is written down', () => {
    const world = World.start().annotate({ rotate: 'now' });
    world.lagging = [{ name: 'ConfigMap gateway', kids: [] }];
    world.spec({ algorithm: 'ES256' });
    world.also = { clockSkew: HOUR };
    world.lagging = [];
    const before = world.spec({ maxLifetime: HOUR, propagationDelay: MINUTE }).keys;
    expect(nextKey(before).publishedAt).toBeUndefined();
    expect(before).toMatchObject({ maxLifetime: DAY, propagationDelay: P });
  });

  test('a deleted set keeps its keys, and a new one gets none', () => {
    const world = World.start();
    world.also = { clockSkew: HOUR };
    world.delete().wait(3 * DAY);
    expect(world.former).toHaveLength(1);
    world.former = [];
    world.recreate();
    expect(world.condition('Ready')).toMatchObject({
      reason: 'KeysNotCreated',
      message: expect.stringContaining('ClockSkew'),
    });
  });
});

describe('after a jump of the clock (I16)', () => {
  test('a wait counts from the later reading, and ends by the earlier one', () => {
    const world = World.start();
    world.jumped = HOUR;
    world.annotate({ rotate: 'now' });
    expect(nextKey(world.keys).publishedAt).toBe(START + HOUR);
    const { kid } = currentKey(world.keys);
    world.annotate({ rotate: 'now' }).wait(HOUR + P - 1);
    expect(currentKey(world.keys).kid).toBe(kid);
    expect(currentKey(world.wait(1).keys).kid).not.toBe(kid);
  });

  test('a key verifies for as long as it was promised by either reading (I5)', () => {
    const world = World.start();
    world.jumped = HOUR;
    world.annotate({ rotate: 'now' }).wait(HOUR + GRACE - 1);
    expect(world.keys.keys).toHaveLength(3);
    expect(world.wait(1).keys.keys).toHaveLength(2);
  });
});
