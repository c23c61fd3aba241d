import { describe, expect, test } from 'vitest';
import { World } from '../../test/support/situations.ts';
import { DAY, HOUR, MINUTE } from '../api/constants.ts';
import { currentKey, nextKey, previousKeys } from './situation.ts';

const P = 90 * MINUTE;
const behind = (name: string, fault?: string) => ({
  name,
  hasLoaded: false,
  ...(fault === undefined ? {} : { fault }),
});

describe('a key is published when every live replica has loaded it', () => {
  test('and every ConfigMap carries it; the wait counts from then (I3)', () => {
    const world = World.start();
    world.replicas = [{ name: 'issuer a', hasLoaded: true }, behind('issuer b')];
    world.annotate({ rotate: 'now' }).annotate({ rotate: 'now' }).wait(HOUR);
    expect(nextKey(world.keys).publishedAt).toBeUndefined();
    expect(world.plan().report?.blockedBy).toEqual(['issuer b']);
    expect(world.condition('Published').message).toBe('The next key waits for issuer b');
    expect(world.condition('RotationPending')).toMatchObject({
      reason: 'WaitingForPublication',
      message: expect.stringContaining('issuer b does not carry it yet'),
    });
    world.replicas = [{ name: 'issuer a', hasLoaded: true }];
    expect(nextKey(world.settle().keys).publishedAt).toBe(world.now);
    expect(world.plan().report?.promotableAt).toBe('2026-01-01T02:30:00Z');
  });

  test('and one that falls behind after that blocks nothing', () => {
    const world = World.start().annotate({ rotate: 'now' });
    world.replicas = [behind('issuer a')];
    const { kid } = nextKey(world.keys);
    world.annotate({ rotate: 'now' }).wait(P);
    expect(currentKey(world.keys).kid).toBe(kid);
  });

  test('and one that cannot load it says why', () => {
    const world = World.start();
    world.replicas = [behind('issuer a', 'issuer a cannot read sks-1')];
    world.annotate({ rotate: 'now' }).annotate({ rotate: 'now' });
    expect(world.condition('RotationPending').message).toContain('issuer a cannot read sks-1');
    expect(world.condition('Published').message).toContain('issuer a (issuer a cannot read sks-1)');
  });

  test('and at most three of those who lack it are named in blockedBy', () => {
    const world = World.start();
    world.replicas = ['a', 'b', 'c', 'd'].map((pod) => behind(`issuer ${pod}`));
    world.annotate({ rotate: 'now' });
    expect(world.plan().report?.blockedBy).toHaveLength(3);
  });
});

describe('a ConfigMap that somebody put back to content without the next key', () => {
  test('makes the wait start over, for gateways go on with that for a while (I1, I3)', () => {
    const world = World.start().annotate({ rotate: 'now' });
    const kids = world.keys.keys.map(({ kid }) => kid);
    world.lagging = [{ name: 'ConfigMap gateway', kids: [], lacksNext: true }];
    expect(nextKey(world.wait(P - MINUTE).keys).publishedAt).toBeUndefined();
    world.lagging = [{ name: 'ConfigMap gateway', kids }];
    const { kid } = currentKey(world.keys);
    world
      .settle()
      .annotate({ rotate: 'now' })
      .wait(P - 1);
    expect(currentKey(world.keys).kid).toBe(kid);
    expect(currentKey(world.wait(1).keys).kid).not.toBe(kid);
  });

  test('also where that is of the first JWKS, which never waited', () => {
    const world = World.start();
    const { kid } = currentKey(world.keys);
    world.lagging = [{ name: 'ConfigMap gateway', kids: [], lacksNext: true }];
    world.step();
    world.lagging = [];
    expect(currentKey(world.settle().annotate({ rotate: 'now' }).keys).kid).toBe(kid);
    expect(currentKey(world.wait(P).keys).kid).not.toBe(kid);
  });
});

describe('a ConfigMap that is asked for no more and cannot be deleted', () => {
  test('keeps a revoked key from counting as gone, and no new one from being published (I6)', () => {
    const world = World.start();
    world.lagging = [
      { name: 'ConfigMap left', kids: world.keys.keys.map(({ kid }) => kid), isLeaving: true },
    ];
    world.annotate({ rotate: 'now' }).annotate({ revoke: 'previous' });
    expect(nextKey(world.keys).publishedAt).toBe(world.now);
    expect(world.plan().report?.blockedBy).toBeUndefined();
    expect(world.keys.revoked[0]).not.toHaveProperty('revokedEverywhereAt');
    world.lagging = [];
    expect(world.settle().keys.revoked[0]).toHaveProperty('revokedEverywhereAt');
  });
});

describe('a key is revoked everywhere when', () => {
  test('no replica and no ConfigMap has it any more, which is written down once (I6)', () => {
    const world = World.start().annotate({ rotate: 'now' });
    const [gone] = previousKeys(world.keys);
    world.replicas = [behind('issuer a')];
    world.lagging = [{ name: 'ConfigMap gateway', kids: world.keys.keys.map(({ kid }) => kid) }];
    world.annotate({ revoke: 'previous' }).wait(MINUTE);
    expect(world.keys.revoked[0]).not.toHaveProperty('revokedEverywhereAt');
    world.replicas = [];
    expect(world.settle().keys.revoked[0]).not.toHaveProperty('revokedEverywhereAt');
    const kids = world.keys.keys.map(({ kid }) => kid);
    world.lagging = [{ name: 'ConfigMap gateway', kids }];
    expect(world.settle().keys.revoked[0]).toMatchObject({
      kid: gone?.kid,
      revokedEverywhereAt: world.now,
    });
    const shown = world.plan().report?.keys?.find(({ state }) => state === 'revoked');
    expect(shown?.revokedEverywhereAt).toBe('2026-01-01T00:01:00Z');
    expect(world.plan().transition).toBeUndefined();
  });
});

describe('P', () => {
  const message = (world: World) => world.condition('Published').message;

  test('that is shorter than what it has to cover is kept, and Published says so', () => {
    const world = World.start({ propagationDelay: MINUTE });
    expect(message(world)).toContain('a restart on another clock can take 10m');
    expect(message(world)).not.toContain('kubelet');
    const kids = world.keys.keys.map(({ kid }) => kid);
    world.lagging = [{ name: 'ConfigMap gateway', kids }];
    expect(message(world)).toContain('a kubelet takes up to 2m');
    expect(world.condition('Published').status).toBe('True');
    expect(message(World.start())).toBe('Current and next are published');
  });
});

describe('R of a replica', () => {
  test('counts where it is longer than the flag says now (I15, I22)', () => {
    const world = World.start({ maxStaleness: MINUTE });
    world.replicas = [{ name: 'issuer old', hasLoaded: true, maxStaleness: 3 * HOUR }];
    world.annotate({ rotate: 'now' });
    const end = world.now + 3 * HOUR + DAY + 5 * MINUTE;
    expect(previousKeys(world.keys)[0]?.tokensUntil).toBe(end);
  });
});
