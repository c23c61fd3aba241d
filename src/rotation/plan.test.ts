import { describe, expect, test } from 'vitest';
import { every, START, World } from '../../test/support/situations.ts';
import { DAY, HOUR, MINUTE, SECOND } from '../api/constants.ts';
import type { KeyState } from '../keys/keyring.ts';
import { currentKey, nextKey, previousKeys } from './situation.ts';

const P = 90 * MINUTE;
/** R + L + S of the fixture: the shortest grace. */
const GRACE = HOUR + 24 * HOUR + 5 * MINUTE;

function states(world: World): KeyState[] {
  return world.keys.keys.map(({ state }) => state);
}

/** Rotates as soon as the gate is open. */
function rotate(world: World): World {
  return world.annotate({ rotate: 'now' }).wait(P);
}

describe('a new set', () => {
  test('gets its current and its next key in one write (I2, I21)', () => {
    const world = World.start();
    expect(states(world)).toEqual(['current', 'next']);
    expect(world.told).toEqual(['KeysCreated']);
  });

  test('rotates at once: its next key is in the first JWKS ever served (I3)', () => {
    const world = World.start();
    const next = nextKey(world.keys).kid;
    world.annotate({ rotate: 'now' });
    expect(currentKey(world.keys).kid).toBe(next);
    expect(world.now).toBe(START);
  });

  test('records a rotate=id that it was made with, and does not carry it out', () => {
    const world = World.start();
    const before = currentKey(world.keys).kid;
    world.delete().recreate({ rotate: 'id:release-7' });
    expect(currentKey(world.keys).kid).toBe(before);
    expect(world.keys.requests.ids).toEqual(['release-7']);
  });

  test('gets no key while its issuer is not granted', () => {
    const world = World.start();
    world.delete();
    world.wait(2 * DAY);
    world.claim = { granted: false, reason: 'IssuerConflict', message: 'taken' };
    world.recreate();
    expect(world.ring).toBeUndefined();
    expect(world.condition('Ready')).toMatchObject({ status: 'False', reason: 'IssuerConflict' });
  });
});

describe('the propagation gate (I3)', () => {
  test('defers a second rotation until the next key has been published for P', () => {
    const world = World.start().annotate({ rotate: 'now' });
    const { kid } = currentKey(world.keys);
    world.annotate({ rotate: 'now' }).wait(P - 1);
    expect(currentKey(world.keys).kid).toBe(kid);
    expect(world.condition('RotationPending')).toMatchObject({
      status: 'True',
      reason: 'WaitingForPropagation',
      message: expect.stringContaining('2026-01-01T01:30:00Z'),
    });
    world.wait(1);
    expect(previousKeys(world.keys)[0]?.kid).toBe(kid);
  });

  test('starts to count only when every ConfigMap carries the key', () => {
    const world = World.start();
    world.lagging = [{ name: 'ConfigMap gateway', kids: world.keys.keys.map(({ kid }) => kid) }];
    world.annotate({ rotate: 'now' }).wait(HOUR);
    expect(nextKey(world.keys).publishedAt).toBeUndefined();
    expect(world.plan().report?.blockedBy).toEqual(['ConfigMap gateway']);
    world.lagging = [];
    world.settle();
    expect(nextKey(world.keys).publishedAt).toBe(START + HOUR);
  });

  test('closes again when a ConfigMap that is not ours stands in the way', () => {
    const world = World.start();
    const fault = { reason: 'ConfigMapNotOurs', message: 'somebody else made it' } as const;
    world.lagging = [{ name: 'ConfigMap gateway', kids: [], fault }];
    const { kid } = currentKey(world.keys);
    world.annotate({ rotate: 'now' }).wait(DAY);
    expect(currentKey(world.keys).kid).toBe(kid);
    expect(world.condition('Published').reason).toBe('ConfigMapNotOurs');
  });

  test('takes a longer P at once, and a shorter one only for the next key made (I22)', () => {
    const world = World.start().annotate({ rotate: 'now' });
    world.spec({ propagationDelay: 3 * HOUR });
    expect(nextKey(world.keys).propagationDelay).toBe(3 * HOUR);
    world.spec({ propagationDelay: MINUTE });
    expect(nextKey(world.keys).propagationDelay).toBe(3 * HOUR);
    world.annotate({ rotate: 'now' }).wait(3 * HOUR);
    expect(nextKey(world.keys).propagationDelay).toBe(MINUTE);
  });

  test('does not forget older caches, however often the next key is replaced (I1)', () => {
    const world = World.start().spec({ propagationDelay: MINUTE });
    for (const algorithm of ['ES256', 'EdDSA', 'RS256'] as const) world.spec({ algorithm });
    expect(nextKey(world.keys).propagationDelay).toBe(5 * MINUTE);
    world.wait(2 * HOUR).spec({ algorithm: 'ES256' });
    expect(nextKey(world.keys).propagationDelay).toBe(MINUTE);
  });

  test('starts over for a next key of another algorithm, and never touches the current one', () => {
    const world = World.start().wait(DAY);
    const current = currentKey(world.keys);
    world.spec({ algorithm: 'ES256' });
    expect(currentKey(world.keys)).toBe(current);
    expect(nextKey(world.keys)).toMatchObject({
      algorithm: 'ES256',
      publishedAt: START + DAY,
      inFirstJwks: false,
    });
    expect(world.annotate({ rotate: 'now' }).wait(P - 1).told).not.toContain('Rotated');
    expect(world.wait(1).told).toContain('Rotated');
  });

  test('replaces a next key of another size', () => {
    const world = World.start();
    const { kid } = nextKey(world.keys);
    world.spec({ modulusLength: 4096 });
    expect(nextKey(world.keys).kid).not.toBe(kid);
  });
});

describe('a previous key', () => {
  test('verifies until the last token signed by a stale replica has expired (I5)', () => {
    const world = World.start().annotate({ rotate: 'now' });
    expect(previousKeys(world.keys)[0]?.tokensUntil).toBe(START + GRACE);
    expect(states(world.wait(GRACE - 1))).toContain('previous');
    expect(states(world.wait(1))).toEqual(['current', 'next']);
    expect(world.keys.revoked[0]?.revokedAt).toBe(START + GRACE);
  });

  test('stays for G where that is longer', () => {
    const world = World.start({ gracePeriod: 48 * HOUR }).annotate({ rotate: 'now' });
    expect(previousKeys(world.keys)[0]?.revokeAt).toBe(START + 48 * HOUR);
  });

  test('stays as long as was promised when G and L become shorter (I22)', () => {
    const world = World.start({ gracePeriod: 48 * HOUR }).annotate({ rotate: 'now' });
    world.spec({ gracePeriod: 2 * HOUR, maxLifetime: HOUR }).wait(47 * HOUR);
    expect(states(world)).toContain('previous');
  });

  test('waits for the tokens of the longer L that the key signed with before', () => {
    const world = World.start({ maxLifetime: 24 * HOUR });
    world.spec({ maxLifetime: HOUR }).annotate({ rotate: 'now' });
    expect(previousKeys(world.keys)[0]?.tokensUntil).toBe(START + GRACE);
  });

  test('keeps its private half only while it is the newest', () => {
    const world = rotate(rotate(World.start()));
    expect(previousKeys(world.keys)).toHaveLength(2);
    expect(previousKeys(world.keys)[1]).not.toHaveProperty('privateKey');
  });

  test('is one of at most three: a fourth rotation waits, and says until when (I18)', () => {
    const world = rotate(rotate(rotate(World.start())));
    expect(previousKeys(world.keys)).toHaveLength(3);
    world.annotate({ rotate: 'now' }).wait(P);
    expect(previousKeys(world.keys)).toHaveLength(3);
    expect(world.plan().report?.blockedBy).toEqual(['PreviousKeys']);
    expect(world.condition('RotationPending')).toMatchObject({
      reason: 'PreviousKeys',
      message: expect.stringContaining('revoke=previous'),
    });
    world.wait(GRACE);
    expect(world.keys.lastRotation?.at).toBe(START + GRACE);
  });
});

describe('automatic rotation', () => {
  test('comes at the age that the spec names, and says when', () => {
    const world = World.start(every(30 * DAY));
    expect(world.plan().report?.nextRotationAt).toBe('2026-01-31T00:00:00Z');
    world.wait(30 * DAY - 1);
    expect(world.keys.lastRotation).toBeUndefined();
    world.wait(1);
    expect(world.keys.lastRotation).toMatchObject({ trigger: 'Age', at: START + 30 * DAY });
  });

  test('comes once, however many times of a schedule passed meanwhile (I16)', () => {
    const dueAfter = (since: number) => (Math.floor(since / DAY) + 1) * DAY;
    const world = World.start({ automatic: { trigger: 'Schedule', dueAfter } });
    world.now += 40 * DAY;
    world.settle();
    expect(world.told.filter((reason) => reason === 'Rotated')).toHaveLength(1);
    expect(world.plan().report?.nextRotationAt).toBe('2026-02-11T00:00:00Z');
  });

  test('waits while the set is suspended, and is not announced', () => {
    const world = World.start({ ...every(DAY), suspend: true }).wait(3 * DAY);
    expect(world.told).not.toContain('Rotated');
    expect(world.plan().report).not.toHaveProperty('nextRotationAt');
  });

  test('is missed after 365 days, which the status says', () => {
    const world = World.start().wait(365 * DAY - SECOND);
    expect(world.condition('RotationOverdue').status).toBe('False');
    world.wait(SECOND);
    expect(world.condition('RotationOverdue')).toMatchObject({
      status: 'True',
      message: expect.stringContaining('rotate=now'),
    });
  });
});

describe('a set that is deleted', () => {
  test('signs no more, verifies until its last token has expired, then goes (I5)', () => {
    const world = World.start().delete();
    expect(world.former[0]?.retiredAt).toBe(START);
    world.wait(GRACE - 1);
    expect(world.former).toHaveLength(1);
    world.wait(1);
    expect(world.former).toHaveLength(0);
  });

  test('is not gone before every cache has run out that was filled before (I1)', () => {
    const brief = { maxLifetime: SECOND, maxStaleness: 0, clockSkew: 0 };
    const world = World.start(brief)
      .delete()
      .wait(5 * MINUTE - 1);
    expect(world.former).toHaveLength(1);
    expect(world.wait(1).former).toHaveLength(0);
  });

  test('goes on with its keys when it is made again in time', () => {
    const world = World.start().annotate({ rotate: 'now' });
    const { keys } = world.keys;
    world.delete().wait(HOUR).recreate();
    expect(world.told.at(-1)).toBe('KeysResumed');
    expect(world.keys.keys.map(({ kid }) => kid)).toEqual(keys.map(({ kid }) => kid));
    expect(world.keys.retiredAt).toBeUndefined();
    expect(world.former).toHaveLength(0);
  });

  test('does not lend its keys to a set with another issuer', () => {
    const world = World.start();
    const { kid } = currentKey(world.keys);
    world.delete();
    world.claim = { granted: true, issuer: 'https://other.example', source: 'spec' };
    world.recreate();
    expect(world.keys.keys.map((key) => key.kid)).not.toContain(kid);
    expect(world.former[0]?.retiredAt).toBe(START);
  });
});

test('the status wiped is rebuilt from the keyring, and nothing rotates (I11)', () => {
  const world = World.start().annotate({ rotate: 'now' });
  const { report } = world.plan();
  expect(world.plan()).toEqual({ report, recheckAt: START + GRACE });
  const kids = world.keys.keys.map(({ kid }) => kid);
  expect(report?.keys?.map(({ kid }) => kid)).toEqual(kids);
});
