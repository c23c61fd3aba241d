import { describe, expect, test } from 'vitest';
import { every, World } from '../../test/support/situations.ts';
import { DAY, OVERDUE_ANNOTATION, PENDING_ANNOTATION } from '../api/constants.ts';
import type { Policy } from './situation.ts';

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

describe('a rotation that is due by itself', () => {
  const blocked = (policy: Partial<Policy>) => {
    const world = World.start({ ...every(DAY), ...policy });
    world.lagging = [{ name: 'ConfigMap keys', kids: [] }];
    return world.wait(DAY);
  };

  test('and blocked, says by whom, is told once, and waits no more when it came', () => {
    const world = blocked({});
    expect(world.condition('RotationPending')).toMatchObject({
      status: 'True',
      reason: 'WaitingForPublication',
      message: expect.stringMatching(
        /^spec\.rotation\.every: due since .*ConfigMap keys does not carry/,
      ),
    });
    world.wait(DAY).settle();
    expect(world.told).toEqual(['KeysCreated', 'RotationDeferred']);
    world.lagging = [];
    world.settle();
    expect(world.told).toEqual(['KeysCreated', 'RotationDeferred', 'Rotated']);
    expect(world.condition('RotationPending').reason).toBe('NoRequest');
  });

  test('and held, says so', () => {
    const world = blocked({ suspend: true });
    expect(world.condition('RotationPending')).toMatchObject({
      status: 'True',
      reason: 'Suspended',
    });
    expect(world.heard).toContain('spec.rotation.every: due since 2026-01-02T00:00:00Z, held by');
  });

  test('and not due yet, does not wait', () => {
    const world = World.start(every(DAY)).wait(DAY - 1);
    expect(world.condition('RotationPending').status).toBe('False');
  });
});

test('a set whose Secret is damaged still names its issuer and JWKS, and no key (I11)', () => {
  const world = World.start();
  const { issuer, jwksURI } = world.plan().report ?? {};
  world.ring = undefined;
  world.also = { keyringFault: { reason: 'KeyringDamaged', message: 'keyring.json: is gone' } };
  const said = world.settle().plan().report;
  expect(issuer).toBe('https://login.example');
  expect(said).toMatchObject({ issuer, jwksURI });
  expect(said).not.toHaveProperty('keys');
  expect(said).not.toHaveProperty('lastRotation');
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
