import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MINUTE, PENDING_ANNOTATION, SECOND } from '../../../src/api/constants.ts';
import { auditEvents } from '../../controlplane/audit.ts';
import { eventually } from '../../support/eventually.ts';
import { ES256, LONG_GRACE, startWorld, type TenantSet, type World } from './world.ts';

let world: World;

beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.stop());

const HELD = { ...ES256, ...LONG_GRACE };
/** A next key that has not been published for long enough, as long as a test looks. */
const PATIENT = { ...HELD, rotation: { propagationDelay: '1h' } };
const AT_ONCE = { ...HELD, rotation: { propagationDelay: '0s' } };

/** Rotates a set as often as asked, one after the other. @returns the kids that signed before, newest first. */
async function rotate(set: TenantSet, times = 1): Promise<readonly string[]> {
  for (let count = 0; count < times; count += 1) {
    const from = await set.kid('current');
    await set.annotate('rotate=now');
    await set.promoted(from);
  }
  return set.kids('previous');
}

/** Waits for the refusal of what was typed. @returns its message, in Event and condition alike. */
async function refusal(set: TenantSet): Promise<string> {
  const message = await set.until('RotationPending', 'RequestRefused');
  const event = await set.told('RequestRefused');
  expect(event).toMatchObject({ type: 'Warning', message });
  expect(Object.keys(await set.annotations())).not.toEqual(
    expect.arrayContaining([expect.stringMatching(/^(signet\.dev\/)?(rotate|revoke)$/)]),
  );
  return message;
}

/** The replica blocks too until it has told that it serves the newest keyring. */
async function waitsForPreviousKeysAlone(set: TenantSet): Promise<void> {
  await eventually(async () => expect((await set.status()).blockedBy).toEqual(['PreviousKeys']));
}

async function make(spec = ES256): Promise<TenantSet> {
  const set = await (await world.tenant()).applyReady(spec);
  await set.until('Published', 'True');
  return set;
}

describe.concurrent('rotate=now', () => {
  it('promotes at once on a new set, and again with the same command after the wait that it names', async () => {
    const set = await make({ ...ES256, rotation: { propagationDelay: '15s' } });
    const [first, second] = [await set.kid('current'), await set.kid('next')];
    await set.annotate('rotate=now');
    expect(await set.promoted(first)).toBe(second);
    expect(await set.status()).toMatchObject({
      lastRotation: { trigger: 'Request', request: 'rotate=now', from: first, to: second },
    });
    expect((await set.told('Rotated')).message).toContain(second.slice(0, 8));
    await set.consumed();

    // An Event tells at once how long a request waits, where that is known.
    await set.until('Published', 'True');
    await set.annotate('rotate=now');
    const waiting = await set.until('RotationPending', 'WaitingForPropagation');
    const { promotableAt = 'never' } = await set.status();
    expect(waiting).toContain(`rotate=now: will be carried out at ${promotableAt}`);
    expect(waiting).toContain(
      `kubectl annotate signingkeyset login -n ${set.tenant.name} signet.dev/pending-`,
    );
    expect((await set.told('RotationDeferred', promotableAt)).type).toBe('Normal');

    await set.promoted(second, MINUTE);
    const { publishedAt = Number.NaN, promotedAt = 0 } = (await set.keyring()).keys[0] ?? {};
    expect(promotedAt - publishedAt).toBeGreaterThanOrEqual(15 * SECOND);
    expect(await set.until('RotationPending', 'NoRequest')).toBe('No rotation was asked for');
    expect(Object.keys(await set.annotations())).not.toContain(PENDING_ANNOTATION);
  });

  it('joins the request that waits: two are one promotion', async () => {
    const set = await make({ ...HELD, rotation: { propagationDelay: '20s' } });
    const [first] = await rotate(set);
    const second = await set.kid('current');
    await set.annotate('rotate=now');
    await set.until('RotationPending', 'WaitingForPropagation');
    await set.annotate('rotate=now');
    await set.consumed();
    const third = await set.promoted(second, MINUTE);
    await set.until('RotationPending', 'NoRequest');
    expect(await set.kids('previous')).toEqual([second, first]);
    expect(await set.kid('current')).toBe(third);
    expect((await set.keyring()).requests.number).toBe(2);
  });

  it('works under signet.dev/ too, and both together are one request', async () => {
    const tenant = await world.tenant();
    const set = await tenant.applyReady(AT_ONCE);
    const first = await set.kid('current');
    await set.annotate('signet.dev/rotate=now', 'rotate=now');
    await set.promoted(first);
    await set.consumed();
    expect(Object.keys(await set.annotations())).not.toContain('signet.dev/rotate');
    await set.until('RotationPending', 'NoRequest');
    expect(await set.kids('previous')).toEqual([first]);
  });

  it('is cancelled by removing signet.dev/pending', async () => {
    const set = await make(PATIENT);
    await rotate(set);
    const current = await set.kid('current');
    await set.annotate('rotate=now');
    await set.until('RotationPending', 'WaitingForPropagation');
    await set.annotate('signet.dev/pending-');
    await set.until('RotationPending', 'NoRequest');
    await set.change({ rotation: { propagationDelay: '1s' } });
    await set.annotate('revoke=previous');
    await eventually(async () => (await set.kids('previous')).length === 0);
    expect(await set.kid('current')).toBe(current);
  });

  it('waits while three previous keys verify, and is carried out when one of them goes', async () => {
    const set = await make(AT_ONCE);
    const [, , oldest = ''] = await rotate(set, 3);
    const current = await set.kid('current');
    await set.annotate('rotate=now');
    const waiting = await set.until('RotationPending', 'PreviousKeys');
    const { revokeAt = Number.NaN } = (await set.keyring()).keys.at(-1) ?? {};
    const goes = new Date(Math.ceil(revokeAt / SECOND) * SECOND).toISOString().replace('.000', '');
    expect(waiting).toContain(
      `3 previous keys still verify, and a fourth is not made: waits until ${goes}, ` +
        'or type revoke=previous to give up their tokens now',
    );
    await waitsForPreviousKeysAlone(set);
    await set.told('RotationDeferred', 'a fourth is not made');
    await set.annotate(`revoke=${oldest}`);
    await set.promoted(current);
    const kids = await set.kids('previous');
    expect(kids).toHaveLength(3);
    expect(kids).not.toContain(oldest);
    await waitsForPreviousKeysAlone(set);
  });
});

describe.concurrent('rotate=id:<text>', () => {
  it('promotes once for each text, and stays on the set', async () => {
    const set = await make(AT_ONCE);
    const first = await set.kid('current');
    await set.annotate('rotate=id:release-1');
    const second = await set.promoted(first);
    expect((await set.status()).lastRotation?.request).toBe('rotate=id:release-1');
    // GitOps puts the same text back, again and again.
    await set.annotate('rotate-');
    await set.annotate('rotate=id:release-1');
    await set.annotate('rotate=id:release-2', '--overwrite');
    await set.promoted(second);
    await set.until('RotationPending', 'NoRequest');
    expect((await set.annotations())['rotate']).toBe('id:release-2');
    expect((await set.keyring()).requests.ids).toEqual(['release-1', 'release-2']);
    expect(await set.kids('previous')).toEqual([second, first]);
    await set.annotate('rotate=id:release-1', '--overwrite');
    await set.annotate('revoke=previous');
    await eventually(async () => (await set.kids('previous')).length === 0);
    expect((await set.status()).lastRotation?.from).toBe(second);
  });

  it('is recorded, not executed, when it is there as the set is first seen', async () => {
    const tenant = await world.tenant();
    const set = await tenant.applyReady(AT_ONCE, { annotations: { rotate: 'id:from-git' } });
    const { requests, lastRotation } = await set.keyring();
    expect(requests.ids).toEqual(['from-git']);
    expect(lastRotation).toBeUndefined();
    expect((await set.annotations())['rotate']).toBe('id:from-git');
    const first = await set.kid('current');
    await set.annotate('rotate=id:from-git-2', '--overwrite');
    await set.promoted(first);
    expect(await set.kids('previous')).toEqual([first]);
  });

  it('is not taken again after it was cancelled, though it stays on the set', async () => {
    const set = await make(PATIENT);
    await rotate(set);
    const current = await set.kid('current');
    await set.annotate('rotate=id:once');
    await set.until('RotationPending', 'WaitingForPropagation');
    await set.annotate('signet.dev/pending-');
    await set.until('RotationPending', 'NoRequest');
    await set.annotate('revoke=previous');
    await eventually(async () => (await set.kids('previous')).length === 0);
    await eventually(async () =>
      expect(Object.keys(await set.annotations())).not.toContain(PENDING_ANNOTATION),
    );
    await set.until('RotationPending', 'NoRequest');
    expect(await set.annotations()).toMatchObject({ rotate: 'id:once' });
    expect(await set.kid('current')).toBe(current);
  });
});

describe.concurrent('a value that is no request', () => {
  const whatToType =
    'type rotate=now, or rotate=id:<text> (1 to 128 characters) for once per text, or ' +
    'rotate=force not to wait for verifiers, or rotate=compromised after a leak';
  it.each([
    ['rotate=froce', `rotate=froce is not a request: ${whatToType}`],
    ['rotate=false', `rotate=false is not a request: ${whatToType}`],
    ['rotate=', `rotate= is not a request: ${whatToType}`],
    ['rotate=id:', `rotate=id: is not a request: ${whatToType}`],
    ['signet.dev/rotate=NOW', `rotate=NOW is not a request: ${whatToType}`],
    [
      'revoke=previous',
      'revoke=previous: there is no previous key to revoke: type rotate=compromised after a leak ' +
        'of the key that signs',
    ],
  ])('%s is refused, consumed, and told what to type instead', async (typed, message) => {
    const set = await make();
    const kids = [await set.kid('current'), await set.kid('next')];
    await set.annotate(typed);
    expect(await refusal(set)).toBe(message);
    expect([await set.kid('current'), await set.kid('next')]).toEqual(kids);
    await set.annotate('rotate=now');
    await set.promoted(kids[0] ?? '');
    await set.until('RotationPending', 'NoRequest');
  });
});

describe.concurrent('revoke', () => {
  it('takes all previous keys out at once with revoke=previous', async () => {
    const set = await make(AT_ONCE);
    const previous = await rotate(set, 2);
    await set.annotate('revoke=previous');
    await eventually(async () => expect(await set.kids('previous')).toEqual([]));
    const event = await set.told('KeyRevoked');
    expect(event.type).toBe('Warning');
    for (const kid of previous) expect(event.message).toContain(kid);
    const secret = JSON.stringify(await set.secret());
    for (const kid of previous) expect(secret).not.toContain(kid);
    await eventually(async () => {
      const { keys = [] } = await set.status();
      const revoked = keys.filter(({ state }) => state === 'revoked');
      expect(revoked.map(({ kid }) => kid)).toEqual(previous);
      for (const { revokedAt } of revoked) expect(revokedAt).toMatch(/Z$/);
    });
  });

  it.each([
    ['its whole kid', (kid: string) => kid],
    ['the 8 characters that kubectl shows', (kid: string) => kid.slice(0, 8)],
  ])('takes one key out by %s', async (_, typed) => {
    const set = await make(AT_ONCE);
    const [newest = '', oldest = ''] = await rotate(set, 2);
    await set.annotate(`revoke=${typed(oldest)}`);
    await eventually(async () => expect(await set.kids('previous')).toEqual([newest]));
    expect((await set.told('KeyRevoked')).message).toContain(oldest);
  });

  it('refuses the current key alone, and takes it with a rotate in one write of the Secret', async () => {
    const set = await make(HELD);
    const [current, next] = [await set.kid('current'), await set.kid('next')];
    await set.annotate(`revoke=${current}`);
    expect(await refusal(set)).toBe(
      `revoke=${current}: it names the key that signs: rotate first, or in the same command ` +
        `(rotate=now revoke=${current}), so that another key signs; after a leak type ` +
        'rotate=compromised',
    );
    expect(await set.kid('current')).toBe(current);

    const since = Date.now();
    await set.annotate('rotate=now', `revoke=${current}`);
    expect(await set.promoted(current)).toBe(next);
    const { keys, revoked } = await set.keyring();
    expect(keys.map(({ kid }) => kid)).not.toContain(current);
    expect(revoked.map(({ kid }) => kid)).toEqual([current]);
    await set.until('Published', 'True');
    const writes = auditEvents(world.stack.controlPlane.auditLog, { since }).filter(
      ({ verb, objectRef }) => verb === 'update' && objectRef?.name === `sks-${set.uid}`,
    );
    // The promotion with the revocation, then that the new next key is published.
    expect(writes.map(({ responseStatus }) => responseStatus?.code)).toEqual([200, 200]);
  });

  it('refuses a kid that it does not know, and lists those that could be meant', async () => {
    const set = await make(AT_ONCE);
    const [previous = ''] = await rotate(set);
    const next = await set.kid('next');
    await set.annotate('revoke=0123456789abcdef');
    expect(await refusal(set)).toBe(
      'revoke=0123456789abcdef names no key of this set: type revoke=previous, ' +
        `or revoke=<kid> with one of ${next} (next), ${previous} (previous); for the key that ` +
        `signs, rotate=compromised, or rotate=now revoke=${await set.kid('current')}`,
    );
    expect(await set.kids('previous')).toEqual([previous]);
  });

  it('of the next key makes another one, which waits anew', async () => {
    const set = await make(PATIENT);
    const [current, next] = [await set.kid('current'), await set.kid('next')];
    await set.annotate(`revoke=${next}`);
    const replaced = await eventually(async () => {
      const kid = await set.kid('next');
      expect(kid).not.toBe(next);
      return kid;
    });
    expect(await set.kid('current')).toBe(current);
    expect((await set.told('KeyRevoked')).message).toContain(next);
    await set.annotate('rotate=now');
    await set.until('RotationPending', 'WaitingForPropagation');
    expect(await set.kid('next')).toBe(replaced);
  });
});

describe.concurrent('a hold', () => {
  it('keeps requests and revocations until it is lifted, then goes on', async () => {
    const set = await make(AT_ONCE);
    const [previous = ''] = await rotate(set);
    const current = await set.kid('current');
    await set.change({ rotation: { suspend: true } });
    await set.annotate('rotate=now', `revoke=${previous}`);
    await set.until('RotationPending', 'True');
    expect(await set.until('RotationPending', 'Suspended')).toContain(
      `rotate=now revoke=${previous}: held by spec.rotation.suspend: set it to false to go on`,
    );
    await set.consumed();
    expect(await set.kids('previous')).toEqual([previous]);
    expect(await set.kid('current')).toBe(current);
    await set.change({ rotation: { suspend: false } });
    await set.promoted(current);
    expect(await set.kids('previous')).toEqual([current]);
    expect((await set.status()).keys?.filter(({ state }) => state === 'revoked')).toMatchObject([
      { kid: previous },
    ]);
  });

  it('keeps a key beyond its grace period, and lets it go afterwards', async () => {
    const set = await make({ ...AT_ONCE, revocation: { gracePeriod: '15s' } });
    const [previous = ''] = await rotate(set);
    await set.change({ rotation: { suspend: true } });
    const { revokeAt = Number.NaN } = (await set.keyring()).keys.at(-1) ?? {};
    await eventually(() => Date.now() > revokeAt + 500);
    expect(await set.kids('previous')).toEqual([previous]);
    await set.change({ rotation: { suspend: false } });
    await eventually(async () => expect(await set.kids('previous')).toEqual([]));
  });
});

describe.concurrent('a copy of a set', () => {
  it('does not carry out the request that waits on the original, and says so', async () => {
    const tenant = await world.tenant();
    const original = await tenant.applyReady(PATIENT);
    await rotate(original);
    await original.annotate('rotate=now');
    await original.until('RotationPending', 'WaitingForPropagation');

    const { [PENDING_ANNOTATION]: pending = '' } = await original.annotations();
    const annotations = { [PENDING_ANNOTATION]: pending };
    const copy = await tenant.applyReady(AT_ONCE, { name: 'copy', annotations });
    expect(await copy.told('RequestIgnored')).toMatchObject({
      type: 'Warning',
      message: expect.stringContaining('type rotate=now if this set is to rotate'),
    });
    await copy.until('RotationPending', 'NoRequest');
    expect(Object.keys(await copy.annotations())).not.toContain(PENDING_ANNOTATION);
    expect(await copy.keyring()).toMatchObject({ requests: { number: 0 }, revoked: [] });
    expect((await copy.keyring()).lastRotation).toBeUndefined();
  });
});

// Last and alone: it freezes the controller for a moment.
describe('requests that the controller has not seen yet', () => {
  it('count once, however often they are typed', async () => {
    const set = await make(AT_ONCE);
    const first = await set.kid('current');
    world.stack.controller.pause();
    try {
      await set.annotate('rotate=now');
      await set.annotate('rotate=now');
      await set.annotate('rotate=now');
    } finally {
      world.stack.controller.resume();
    }
    await set.promoted(first);
    await set.until('RotationPending', 'NoRequest');
    expect((await set.keyring()).requests.number).toBe(1);
    expect(await set.kids('previous')).toEqual([first]);
  });
});
