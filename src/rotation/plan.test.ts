import { describe, expect, test } from 'vitest';
import { every, START, World } from '../../test/support/situations.ts';
import {
  DAY,
  HOUR,
  MINUTE,
  PENDING_ANNOTATION,
  REFUSED_ANNOTATION,
  SECOND,
} from '../api/constants.ts';
import type { Keyring, KeyState } from '../keys/keyring.ts';
import { currentKey, nextKey, previousKeys } from './situation.ts';

const P = 90 * MINUTE;
/** R + L + S of the fixture: the shortest grace. */
const GRACE = HOUR + 24 * HOUR + 5 * MINUTE;

function ringOf({ ring }: World): Keyring {
  if (ring === undefined) throw new Error('there is no keyring');
  return ring;
}

function states(world: World): KeyState[] {
  return ringOf(world).keys.map(({ state }) => state);
}

function condition(world: World, type: string) {
  const found = world.plan().report?.conditions.find((candidate) => candidate.type === type);
  if (found === undefined) throw new Error(`no condition ${type}`);
  return found;
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
    const next = nextKey(ringOf(world)).kid;
    world.annotate({ rotate: 'now' });
    expect(currentKey(ringOf(world)).kid).toBe(next);
    expect(world.now).toBe(START);
  });

  test('records a rotate=id that it was made with, and does not carry it out', () => {
    const world = World.start();
    const before = currentKey(ringOf(world)).kid;
    world.delete().recreate({ rotate: 'id:release-7' });
    expect(currentKey(ringOf(world)).kid).toBe(before);
    expect(ringOf(world).requests.ids).toEqual(['release-7']);
  });

  test('gets no key while its issuer is not granted', () => {
    const world = World.start();
    world.delete();
    world.wait(2 * DAY);
    world.claim = { granted: false, reason: 'IssuerConflict', message: 'taken' };
    world.recreate();
    expect(world.ring).toBeUndefined();
    expect(condition(world, 'Ready')).toMatchObject({ status: 'False', reason: 'IssuerConflict' });
  });
});

describe('the propagation gate (I3)', () => {
  test('defers a second rotation until the next key has been published for P', () => {
    const world = World.start().annotate({ rotate: 'now' });
    const { kid } = currentKey(ringOf(world));
    world.annotate({ rotate: 'now' }).wait(P - 1);
    expect(currentKey(ringOf(world)).kid).toBe(kid);
    expect(condition(world, 'RotationPending')).toMatchObject({
      status: 'True',
      reason: 'WaitingForPropagation',
      message: expect.stringContaining('2026-01-01T01:30:00Z'),
    });
    world.wait(1);
    expect(previousKeys(ringOf(world))[0]?.kid).toBe(kid);
  });

  test('starts to count only when every ConfigMap carries the key', () => {
    const world = World.start();
    world.lagging = [{ name: 'ConfigMap gateway', kids: ringOf(world).keys.map(({ kid }) => kid) }];
    world.annotate({ rotate: 'now' }).wait(HOUR);
    expect(nextKey(ringOf(world)).publishedAt).toBeUndefined();
    expect(world.plan().report?.blockedBy).toEqual(['ConfigMap gateway']);
    world.lagging = [];
    world.settle();
    expect(nextKey(ringOf(world)).publishedAt).toBe(START + HOUR);
  });

  test('closes again when a ConfigMap that is not ours stands in the way', () => {
    const world = World.start();
    const fault = { reason: 'ConfigMapNotOurs', message: 'somebody else made it' } as const;
    world.lagging = [{ name: 'ConfigMap gateway', kids: [], fault }];
    const { kid } = currentKey(ringOf(world));
    world.annotate({ rotate: 'now' }).wait(DAY);
    expect(currentKey(ringOf(world)).kid).toBe(kid);
    expect(condition(world, 'Published').reason).toBe('ConfigMapNotOurs');
  });

  test('takes a longer P at once, and a shorter one only for the next key made (I22)', () => {
    const world = World.start().annotate({ rotate: 'now' });
    world.spec({ propagationDelay: 3 * HOUR });
    expect(nextKey(ringOf(world)).propagationDelay).toBe(3 * HOUR);
    world.spec({ propagationDelay: MINUTE });
    expect(nextKey(ringOf(world)).propagationDelay).toBe(3 * HOUR);
    world.annotate({ rotate: 'now' }).wait(3 * HOUR);
    expect(nextKey(ringOf(world)).propagationDelay).toBe(MINUTE);
  });

  test('does not forget older caches, however often the next key is replaced (I1)', () => {
    const world = World.start().spec({ propagationDelay: MINUTE });
    for (const algorithm of ['ES256', 'EdDSA', 'RS256'] as const) world.spec({ algorithm });
    expect(nextKey(ringOf(world)).propagationDelay).toBe(5 * MINUTE);
    world.wait(2 * HOUR).spec({ algorithm: 'ES256' });
    expect(nextKey(ringOf(world)).propagationDelay).toBe(MINUTE);
  });

  test('starts over for a next key of another algorithm, and never touches the current one', () => {
    const world = World.start().wait(DAY);
    const current = currentKey(ringOf(world));
    world.spec({ algorithm: 'ES256' });
    expect(currentKey(ringOf(world))).toBe(current);
    expect(nextKey(ringOf(world))).toMatchObject({
      algorithm: 'ES256',
      publishedAt: START + DAY,
      inFirstJwks: false,
    });
    expect(world.annotate({ rotate: 'now' }).wait(P - 1).told).not.toContain('Rotated');
    expect(world.wait(1).told).toContain('Rotated');
  });

  test('replaces a next key of another size', () => {
    const world = World.start();
    const { kid } = nextKey(ringOf(world));
    world.spec({ modulusLength: 4096 });
    expect(nextKey(ringOf(world)).kid).not.toBe(kid);
  });
});

describe('a previous key', () => {
  test('verifies until the last token signed by a stale replica has expired (I5)', () => {
    const world = World.start().annotate({ rotate: 'now' });
    expect(previousKeys(ringOf(world))[0]?.tokensUntil).toBe(START + GRACE);
    expect(states(world.wait(GRACE - 1))).toContain('previous');
    expect(states(world.wait(1))).toEqual(['current', 'next']);
    expect(ringOf(world).revoked[0]?.revokedAt).toBe(START + GRACE);
  });

  test('stays for G where that is longer', () => {
    const world = World.start({ gracePeriod: 48 * HOUR }).annotate({ rotate: 'now' });
    expect(previousKeys(ringOf(world))[0]?.revokeAt).toBe(START + 48 * HOUR);
  });

  test('stays as long as was promised when G and L become shorter (I22)', () => {
    const world = World.start({ gracePeriod: 48 * HOUR }).annotate({ rotate: 'now' });
    world.spec({ gracePeriod: 2 * HOUR, maxLifetime: HOUR }).wait(47 * HOUR);
    expect(states(world)).toContain('previous');
  });

  test('waits for the tokens of the longer L that the key signed with before', () => {
    const world = World.start({ maxLifetime: 24 * HOUR });
    world.spec({ maxLifetime: HOUR }).annotate({ rotate: 'now' });
    expect(previousKeys(ringOf(world))[0]?.tokensUntil).toBe(START + GRACE);
  });

  test('keeps its private half only while it is the newest', () => {
    const world = rotate(rotate(World.start()));
    expect(previousKeys(ringOf(world))).toHaveLength(2);
    expect(previousKeys(ringOf(world))[1]).not.toHaveProperty('privateKey');
  });

  test('is one of at most three: a fourth rotation waits, and says until when (I18)', () => {
    const world = rotate(rotate(rotate(World.start())));
    expect(previousKeys(ringOf(world))).toHaveLength(3);
    world.annotate({ rotate: 'now' }).wait(P);
    expect(previousKeys(ringOf(world))).toHaveLength(3);
    expect(world.plan().report?.blockedBy).toEqual(['PreviousKeys']);
    expect(condition(world, 'RotationPending')).toMatchObject({
      reason: 'PreviousKeys',
      message: expect.stringContaining('revoke=previous'),
    });
    world.wait(GRACE);
    expect(ringOf(world).lastRotation?.at).toBe(START + GRACE);
  });
});

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
    expect(ringOf(world).requests.ids).toEqual(['a', 'b']);
  });

  test('of the form rotate=id: stays cancelled', () => {
    const world = World.start().annotate({ rotate: 'now' }).annotate({ rotate: 'id:a' });
    world.annotate({ [PENDING_ANNOTATION]: null }).wait(3 * P);
    expect(world.told.filter((reason) => reason === 'Rotated')).toHaveLength(1);
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
    expect(condition(world, 'RotationPending').message.length).toBeLessThan(1_000);
  });

  test.each([
    ['rotate', 'froce', 'type rotate=now'],
    ['rotate', 'false', 'type rotate=now'],
    ['rotate', '', 'type rotate=now'],
    ['rotate', 'id:', 'rotate=id:<text>'],
    ['signet.dev/rotate', 'soon', 'type rotate=now'],
    ['revoke', 'previous', 'no previous key'],
    ['revoke', 'unknown-kid', 'revoke=<kid> with one of'],
    ['revoke', '', 'revoke=<kid> with one of'],
  ])('%s=%s changes nothing, and says what to type', (annotation, value, advice) => {
    const world = World.start();
    const { keys } = ringOf(world);
    world.annotate({ [annotation]: value });
    expect(ringOf(world).keys).toBe(keys);
    expect(world.told.at(-1)).toBe('RequestRefused');
    expect(world.set?.annotations).not.toHaveProperty(annotation);
    expect(world.set?.annotations[REFUSED_ANNOTATION]).toContain(advice);
    expect(condition(world, 'RotationPending')).toMatchObject({
      status: 'False',
      reason: 'RequestRefused',
      message: expect.stringContaining(advice),
    });
  });

  test('to revoke the current key is refused', () => {
    const world = World.start();
    const { kid } = currentKey(ringOf(world));
    world.annotate({ revoke: kid });
    expect(world.set?.annotations[REFUSED_ANNOTATION]).toContain(`rotate=now revoke=${kid}`);
    expect(currentKey(ringOf(world)).kid).toBe(kid);
  });

  test('to revoke the current key together with a rotation takes one write (I7, I10)', () => {
    const world = World.start();
    const { kid } = currentKey(ringOf(world));
    world.annotate({ rotate: 'now', revoke: kid });
    expect(states(world)).toEqual(['current', 'next']);
    expect(ringOf(world).revoked.map((key) => key.kid)).toEqual([kid]);
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
    const { kid } = nextKey(ringOf(world));
    world.annotate({ revoke: kid.slice(0, 43) });
    expect(nextKey(ringOf(world))).toMatchObject({ inFirstJwks: false, publishedAt: START + DAY });
    expect(nextKey(ringOf(world)).kid).not.toBe(kid);
  });

  test('waits while the set is suspended, and so does a revocation that is due', () => {
    const world = World.start().annotate({ rotate: 'now' }).spec({ suspend: true });
    world.annotate({ rotate: 'now' }).wait(2 * GRACE);
    expect(states(world)).toContain('previous');
    expect(condition(world, 'RotationPending').reason).toBe('Suspended');
    world.spec({ suspend: false });
    expect(ringOf(world).lastRotation?.at).toBe(START + 2 * GRACE);
  });
});

describe('automatic rotation', () => {
  test('comes at the age that the spec names, and says when', () => {
    const world = World.start(every(30 * DAY));
    expect(world.plan().report?.nextRotationAt).toBe('2026-01-31T00:00:00Z');
    world.wait(30 * DAY - 1);
    expect(ringOf(world).lastRotation).toBeUndefined();
    world.wait(1);
    expect(ringOf(world).lastRotation).toMatchObject({ trigger: 'Age', at: START + 30 * DAY });
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
    expect(condition(world, 'RotationOverdue').status).toBe('False');
    world.wait(SECOND);
    expect(condition(world, 'RotationOverdue')).toMatchObject({
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
    const { keys } = ringOf(world);
    world.delete().wait(HOUR).recreate();
    expect(world.told.at(-1)).toBe('KeysResumed');
    expect(ringOf(world).keys.map(({ kid }) => kid)).toEqual(keys.map(({ kid }) => kid));
    expect(ringOf(world).retiredAt).toBeUndefined();
    expect(world.former).toHaveLength(0);
  });

  test('does not lend its keys to a set with another issuer', () => {
    const world = World.start();
    const { kid } = currentKey(ringOf(world));
    world.delete();
    world.claim = { granted: true, issuer: 'https://other.example', source: 'spec' };
    world.recreate();
    expect(ringOf(world).keys.map((key) => key.kid)).not.toContain(kid);
    expect(world.former[0]?.retiredAt).toBe(START);
  });
});

test('the status wiped is rebuilt from the keyring, and nothing rotates (I11)', () => {
  const world = World.start().annotate({ rotate: 'now' });
  const { report } = world.plan();
  expect(world.plan()).toEqual({ report, recheckAt: START + GRACE });
  const kids = ringOf(world).keys.map(({ kid }) => kid);
  expect(report?.keys?.map(({ kid }) => kid)).toEqual(kids);
});
