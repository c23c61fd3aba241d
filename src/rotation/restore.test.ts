import { describe, expect, test } from 'vitest';
import { World } from '../../test/support/situations.ts';
import { DAY, HOUR, MINUTE, PENDING_ANNOTATION } from '../api/constants.ts';
import type { Keyring } from '../keys/keyring.ts';
import { currentKey, nextKey, previousKeys } from './situation.ts';

const P = 90 * MINUTE;
const GRACE = HOUR + 24 * HOUR + 5 * MINUTE;
const ASKED = { 'signet.dev/restore': 'old-keys' };

function refusal(world: World): string {
  return world.refusal ?? '';
}

/** The Secret that the request names holds this. */
function holding(world: World, keyring: Keyring): World {
  world.also = { ...world.also, backup: { secret: 'old-keys', keyring } };
  return world;
}

/** The keyring cannot be read, until another is written. */
function damaged(world: World): World {
  world.ring = undefined;
  world.also = { keyringFault: { reason: 'KeyringDamaged', message: 'keyring.json: is gone' } };
  return world;
}

describe('signet.dev/restore on a set without a usable keyring', () => {
  test('makes the backup the keyring; its next key waits anew (I1, I3)', () => {
    const world = World.start().annotate({ rotate: 'now' }).wait(P);
    const backup = world.keys;
    holding(damaged(world), backup).annotate(ASKED);
    expect(world.told.at(-1)).toBe('KeysRestoredFromBackup');
    world.also = {};
    world.settle();
    expect(world.keys.keys.map(({ kid }) => kid)).toEqual(backup.keys.map(({ kid }) => kid));
    expect(nextKey(world.keys)).toMatchObject({ publishedAt: world.now, inFirstJwks: false });
    expect(world.set?.annotations).not.toHaveProperty(PENDING_ANNOTATION);
    world.annotate({ rotate: 'now' }).wait(P - 1);
    expect(currentKey(world.keys).kid).toBe(currentKey(backup).kid);
    expect(currentKey(world.wait(1).keys).kid).toBe(nextKey(backup).kid);
  });

  test('revokes keys whose last token has expired, but none that may have signed since (I1)', () => {
    const world = World.start().annotate({ rotate: 'now' }).wait(P).annotate({ rotate: 'now' });
    const backup = world.keys;
    const [signedLast, older] = previousKeys(backup);
    world.wait(2 * GRACE);
    holding(damaged(world), backup).annotate(ASKED);
    expect(previousKeys(world.keys).map(({ kid }) => kid)).toEqual([signedLast?.kid]);
    expect(previousKeys(world.keys)[0]?.tokensUntil).toBe(world.now + GRACE);
    expect(world.keys.revoked[0]?.kid).toBe(older?.kid);
  });

  describe('lets no key come back that was revoked (I7, I8):', () => {
    type Ask = (backup: Keyring) => Record<string, string>;

    /** After this the keyring is damaged, and restored from a backup of before. */
    function restored(ask: Ask): { world: World; backup: Keyring; gone: string[] } {
      const world = World.start().annotate({ rotate: 'now' });
      const backup = world.keys;
      world.wait(P).annotate(ask(backup));
      const { revoked } = world.keys;
      damaged(world).also = { ...world.also, revoked };
      holding(world, backup).annotate(ASKED);
      const gone = revoked.map(({ kid }) => kid);
      for (const kid of gone) expect(world.heard).toContain(kid.slice(0, 8));
      world.also = {};
      expect(world.settle().keys.revoked.map(({ kid }) => kid)).toEqual(gone);
      expect(world.keys.keys.filter(({ kid }) => gone.includes(kid))).toEqual([]);
      expect(nextKey(world.keys)).toMatchObject({ inFirstJwks: false, publishedAt: world.now });
      return { world, backup, gone };
    }

    test('where all of them were, new keys sign', () => {
      const { world, backup } = restored(() => ({ rotate: 'compromised' }));
      expect(world.keys.revoked).toHaveLength(backup.keys.length);
      expect(world.keys.keys.map(({ state }) => state)).toEqual(['current', 'next']);
      expect(world.messages.at(-1)).toContain('a new key signs');
    });

    test('where its current key was, its next key signs', () => {
      const { world, backup } = restored((ring) => ({
        rotate: 'now',
        revoke: currentKey(ring).kid,
      }));
      expect(currentKey(world.keys).kid).toBe(nextKey(backup).kid);
    });

    test('where its next key was, another one is made', () => {
      const { world, backup } = restored((ring) => ({ revoke: nextKey(ring).kid }));
      expect(currentKey(world.keys).kid).toBe(currentKey(backup).kid);
      expect(previousKeys(world.keys)).toHaveLength(1);
    });

    test('nor besides the keys that were made after a loss', () => {
      const world = World.start();
      const backup = world.keys;
      const { revoked } = world.annotate({ rotate: 'compromised' }).keys;
      world.ring = undefined;
      world.also = { revoked };
      if (world.set !== undefined) world.set = { ...world.set, reportedKids: ['any'] };
      expect(world.settle().told.at(-1)).toBe('KeysLost');
      holding(world, backup).annotate(ASKED);
      expect(refusal(world)).toContain('nothing to restore');
    });

    test('so status goes on naming it while the keyring cannot be read', () => {
      const { revoked } = World.start().annotate({ rotate: 'compromised' }).keys;
      const world = damaged(World.start());
      expect(world.plan().report?.keys).toBeUndefined();
      world.also = { ...world.also, revoked };
      const kids = world.plan().report?.keys?.map(({ kid, state }) => `${state} ${kid}`);
      expect(kids).toEqual(revoked.map(({ kid }) => `revoked ${kid}`));
    });
  });

  test('never takes the number of requests back, so nothing is carried out twice (I9)', () => {
    const world = World.start();
    const backup = world.keys;
    world.annotate({ rotate: 'now' }).annotate({ rotate: 'now' });
    const waiting = world.set?.annotations[PENDING_ANNOTATION] ?? '';
    expect(JSON.parse(waiting)).toMatchObject({ number: 2 });
    holding(damaged(world), backup).annotate(ASKED);
    expect(world.keys.requests.number).toBe(3);
    world.also = {};
    world.settle().wait(2 * P);
    expect(currentKey(world.keys).kid).toBe(currentKey(backup).kid);
  });

  test('goes on from the number that the damaged keyring had, so none counts twice (I9)', () => {
    const world = World.start();
    const backup = world.keys;
    world.annotate({ rotate: 'now' }).wait(P).annotate({ rotate: 'now' });
    const lastNumber = world.keys.requests.number;
    damaged(world).also = { ...world.also, lastNumber };
    holding(world, backup).annotate(ASKED);
    expect(world.keys.requests.number).toBe(lastNumber + 1);
  });

  test('keeps a next key that may have signed, and replaces one of another kind after that', () => {
    const world = World.start();
    const backup = world.keys;
    holding(damaged(world.wait(DAY)), backup).annotate(ASKED);
    world.also = {};
    world.settle().spec({ algorithm: 'ES256' });
    expect(nextKey(world.keys).algorithm).toBe('RS256');
    expect(nextKey(world.wait(GRACE).keys).algorithm).toBe('ES256');
  });

  test('takes the place of a rotation that waits, which is told (I9)', () => {
    const world = World.start().annotate({ rotate: 'now' });
    const backup = world.keys;
    world.annotate({ rotate: 'now' });
    holding(damaged(world), backup).annotate(ASKED);
    expect(world.told.slice(-2)).toEqual(['RotationCancelled', 'KeysRestoredFromBackup']);
    expect(world.messages.at(-2)).toBe(
      'rotate=now waited, and gives way to signet.dev/restore=old-keys',
    );
  });

  test('takes the place of another restore that waits, which is told; the same one again is not', () => {
    const world = World.start();
    const backup = world.keys;
    holding(damaged(world.spec({ suspend: true })), backup)
      .annotate(ASKED)
      .annotate(ASKED);
    expect(world.told).not.toContain('RotationCancelled');
    world.annotate({ 'signet.dev/restore': 'older-keys' });
    expect(world.told).toContain('RotationCancelled');
  });

  test('comes before new keys where the set has none, and waits until the backup is read', () => {
    const backup = World.start().keys;
    const world = World.start().delete();
    world.wait(2 * DAY).recreate(ASKED);
    expect(world.ring).toBeUndefined();
    expect(world.condition('RotationPending').reason).toBe('InProgress');
    holding(world, backup).settle();
    expect(currentKey(world.keys).kid).toBe(currentKey(backup).kid);
    expect(world.keys.owner.uid).toBe(world.set?.uid);
  });

  test('is refused, and the damage stays, where the backup cannot be used', () => {
    const world = damaged(World.start());
    world.also = {
      ...world.also,
      backup: { secret: 'old-keys', fault: 'there is no such Secret' },
    };
    world.annotate(ASKED);
    expect(refusal(world)).toBe('signet.dev/restore=old-keys: there is no such Secret');
    expect(world.condition('Ready').reason).toBe('KeyringDamaged');
    expect(world.condition('RotationPending').reason).toBe('RequestRefused');
  });

  test('is given up where the backup is gone when it is to be carried out', () => {
    const world = damaged(World.start({ suspend: true }));
    holding(world, World.start().keys).annotate(ASKED);
    expect(world.condition('RotationPending').status).toBe('True');
    world.also = {
      ...world.also,
      backup: { secret: 'old-keys', fault: 'there is no such Secret' },
    };
    world.spec({ suspend: false });
    expect(refusal(world)).toContain('there is no such Secret');
  });
});

describe('signet.dev/restore on a set with keys', () => {
  test('lets the keys of the backup verify again, without their private half (I5, I6)', () => {
    const lost = World.start().annotate({ rotate: 'now' }).keys;
    const world = holding(World.start(), lost);
    const { kid } = currentKey(world.keys);
    world.annotate(ASKED);
    expect(currentKey(world.keys).kid).toBe(kid);
    expect(previousKeys(world.keys).map((key) => key.kid)).toEqual([
      currentKey(lost).kid,
      nextKey(lost).kid,
      previousKeys(lost)[0]?.kid,
    ]);
    expect(previousKeys(world.keys).some((key) => key.privateKey !== undefined)).toBe(false);
    expect(previousKeys(world.keys)[0]?.tokensUntil).toBe(world.now + GRACE);
    expect(world.heard).toContain('verify again, and sign no more');
    expect(world.annotate({ rollback: 'now' }).told.at(-1)).toBe('RequestRefused');
  });

  test('lets the next key of the backup verify too, for it may have signed since (I1)', () => {
    const lost = World.start().keys;
    const world = holding(World.start(), lost).annotate(ASKED);
    const kids = previousKeys(world.keys).map(({ kid }) => kid);
    expect(kids).toEqual([currentKey(lost).kid, nextKey(lost).kid]);
  });

  test('says which key it leaves out where there is no room for all (I18)', () => {
    const lost = World.start().annotate({ rotate: 'now' }).wait(P).annotate({ rotate: 'now' }).keys;
    const world = holding(World.start(), lost).annotate(ASKED);
    expect(previousKeys(world.keys)).toHaveLength(3);
    expect(world.heard).toContain(`no room for ${nextKey(lost).kid.slice(0, 8)}`);
  });

  test('is not refused by a wrong clock, but waits for a right one', () => {
    const lost = World.start().annotate({ rotate: 'now' }).wait(P).annotate({ rotate: 'now' }).keys;
    const world = holding(World.start().annotate({ rotate: 'now' }), lost);
    world.also = { ...world.also, clockSkew: DAY };
    world.annotate(ASKED);
    expect(refusal(world)).toBe('');
    expect(world.condition('RotationPending').reason).toBe('ClockSkew');
    const { clockSkew: _over, ...also } = world.also;
    world.also = also;
    expect(refusal(world.settle())).toContain('previous keys');
  });

  test('never takes back what was revoked (I8)', () => {
    const world = World.start();
    const backup = world.keys;
    world.annotate({ rotate: 'compromised' });
    holding(world, backup).annotate(ASKED);
    expect(refusal(world)).toContain('holds no key that this set lacks');
    expect(previousKeys(world.keys)).toEqual([]);
  });

  test('takes back nothing as old as what the list of revoked keys may have lost (I8)', () => {
    const world = World.start();
    const backup = world.keys;
    world.annotate({ rotate: 'compromised' });
    for (let times = 0; times < 16; times += 1) {
      world.wait(P).annotate({ revoke: nextKey(world.keys).kid });
    }
    const kids = [...world.keys.keys, ...world.keys.revoked].map(({ kid }) => kid);
    expect(kids).not.toContain(currentKey(backup).kid);
    holding(world, backup).annotate(ASKED);
    expect(refusal(world)).toContain('of which it is known that it was not revoked');
    expect(previousKeys(world.keys)).toEqual([]);
    const { keys: later } = World.start();
    const young = later.keys.map((key) => ({ ...key, createdAt: world.now }));
    holding(world, { ...later, keys: young }).annotate(ASKED);
    expect(previousKeys(world.keys)).toHaveLength(2);
  });

  test('is refused where it would make more than three previous keys (I18)', () => {
    const lost = World.start().annotate({ rotate: 'now' }).keys;
    const world = holding(World.start(), lost).annotate({ rotate: 'now' }).wait(P);
    world.annotate({ rotate: 'now' }).annotate(ASKED);
    expect(refusal(world)).toContain('4 previous keys');
    expect(previousKeys(world.keys)).toHaveLength(2);
  });

  test.each([
    [{ owner: { namespace: 'identity', name: 'other', uid: 'u', namespaceUid: 'n' } }, 'other'],
    [{ issuer: 'https://other.example' }, 'https://other.example'],
  ])('is refused for the keys of something else', (changes, named) => {
    const world = holding(World.start(), { ...World.start().keys, ...changes });
    world.annotate(ASKED);
    expect(refusal(world)).toContain(named);
  });

  test('stands alone: what comes together with it is refused, or it is', () => {
    const world = holding(World.start({ suspend: true }), World.start().keys);
    world.annotate({ ...ASKED, rotate: 'now' });
    expect(refusal(world)).toContain('a restore stands alone');
    world
      .annotate({ [PENDING_ANNOTATION]: null })
      .annotate(ASKED)
      .annotate({ rotate: 'force' });
    expect(refusal(world)).toContain('nothing joins it');
    expect(world.spec({ suspend: false }).told.at(-1)).toBe('KeysRestoredFromBackup');
  });

  test.each(['', 'Old', 'a/b', '../x', 'x'.repeat(254)])(
    'signet.dev/restore=%s is refused',
    (name) => {
      const world = World.start().annotate({ 'signet.dev/restore': name });
      expect(refusal(world)).toContain("a Secret in the operator's namespace");
    },
  );

  test('is no request without the prefix, which other tools use, too', () => {
    const world = World.start().annotate({ restore: 'old-keys' });
    expect(world.told).toEqual(['KeysCreated']);
  });
});
