import { describe, expect, test } from 'vitest';
import { World } from '../../test/support/situations.ts';
import { DAY, OVERDUE_ANNOTATION, PENDING_ANNOTATION } from '../api/constants.ts';

describe('a set that was not rotated for 365 days', () => {
  test('is told of each week, and once in it, also by another process', () => {
    const world = World.start().wait(364 * DAY);
    expect(world.told).toEqual(['KeysCreated']);
    world.wait(DAY);
    expect(world.told).toEqual(['KeysCreated', 'RotationOverdue']);
    expect(world.heard).toContain('kubectl annotate signingkeyset login -n identity rotate=now');
    world.wait(7 * DAY - 1);
    expect(world.told).toHaveLength(2);
    world.wait(1);
    expect(world.told).toHaveLength(3);
    expect(world.condition('RotationOverdue').reason).toBe('NotRotatedFor365Days');
  });

  test('is forgotten when it rotates', () => {
    const world = World.start()
      .wait(365 * DAY)
      .annotate({ rotate: 'now' });
    expect(world.set?.annotations).not.toHaveProperty(OVERDUE_ANNOTATION);
    expect(world.condition('RotationOverdue').reason).toBe('RotatedInTime');
  });
});

describe('times in status', () => {
  test('show a key that signs no earlier than the gate was to open, whatever P is (I3)', () => {
    const world = World.start({ propagationDelay: 1_500 });
    world.now += 300;
    world.annotate({ rotate: 'now' }).annotate({ rotate: 'now' });
    const { promotableAt = '' } = world.plan().report ?? {};
    world.wait(1_500);
    expect(world.keys.lastRotation?.at).not.toBe(world.now);
    world.wait(500);
    const promotedAt = world.plan().report?.lastRotation?.at ?? '';
    expect(Date.parse(promotedAt)).toBeGreaterThanOrEqual(Date.parse(promotableAt));
    expect(promotedAt).toBe('2026-01-01T00:00:02Z');
  });

  test('show the first next key as promotable since it is there', () => {
    const world = new World();
    world.now += 900;
    world.settle();
    const { promotableAt } = world.plan().report ?? {};
    world.annotate({ rotate: 'now' });
    expect(world.plan().report?.lastRotation?.at).toBe(promotableAt);
  });

  test('list the three keys that were revoked last', () => {
    const world = World.start();
    for (let count = 0; count < 3; count += 1) world.annotate({ rotate: 'compromised' });
    const revoked = world.plan().report?.keys?.filter(({ state }) => state === 'revoked');
    expect(revoked).toHaveLength(3);
    expect(world.keys.revoked.length).toBeGreaterThan(3);
  });
});

test('what waits says how to cancel it, and a request of a newer version is read as far as it goes', () => {
  const world = World.start().annotate({ rotate: 'now' }).annotate({ rotate: 'now' });
  expect(world.condition('RotationPending').message).toContain(
    'To cancel: kubectl annotate signingkeyset login -n identity signet.dev/pending-',
  );
  const { uid = '' } = world.set ?? {};
  const asked = { rotate: true, ids: [], revoke: [], asked: ['rotate=later'], later: true };
  world.annotate({ [PENDING_ANNOTATION]: JSON.stringify({ uid, number: 2, ...asked }) });
  expect(world.condition('RotationPending').message).toContain('rotate=later');
  const wrong = { ...asked, haste: 'soon' };
  world.annotate({ [PENDING_ANNOTATION]: JSON.stringify({ uid, number: 2, ...wrong }) });
  expect(world.told.at(-1)).toBe('RequestIgnored');
});
