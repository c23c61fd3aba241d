import { formatDuration } from '../api/duration.ts';
import type { Keyring, RevokedKey, SigningKey } from '../keys/keyring.ts';
import { olderCaches, propagationDelayForNewKey, revokeAt, tokensUntil } from './lifetimes.ts';
import {
  currentKey,
  type KeyringDraft,
  type KeyToMake,
  nextKey,
  type Policy,
  previousKeys,
  type Situation,
  type Time,
  type Transition,
} from './situation.ts';
import { short } from './text.ts';

/**
 * Status lists three; the others keep a backup from bringing back what was revoked (I8). A backup that
 * may hold a key that has left the list is refused: the list need not grow for ever.
 */
export const KEPT_REVOKED = 16;
/** So many texts of `rotate=id:<text>` are remembered (design section 1). */
export const KEPT_IDS = 16;

/**
 * Takes over what the spec says now. What was promised only grows (I22): a longer P holds at once,
 * a shorter L or G only for what comes later.
 *
 * @returns undefined when the keyring says the same already.
 */
export function adoptPolicy({ ring, policy, now, stamp }: Situation): Transition | undefined {
  const time = { now, stamp };
  const lifetimeChanged = ring.maxLifetime !== policy.maxLifetime;
  const keys = ring.keys.map((key): SigningKey => {
    if (key.state === 'current' && lifetimeChanged) {
      return { ...key, tokensUntil: tokensUntil(key, ring.maxLifetime, policy, time) };
    }
    if (key.state === 'next' && key.propagationDelay < policy.propagationDelay) {
      return { ...key, propagationDelay: policy.propagationDelay };
    }
    const longer = key.state === 'previous' ? revokeAt(key, policy) : key.revokeAt;
    return longer === key.revokeAt || longer === undefined ? key : { ...key, revokeAt: longer };
  });
  const unchanged =
    !lifetimeChanged &&
    ring.propagationDelay === policy.propagationDelay &&
    sameTexts(ring.audiences, policy.audiences) &&
    keys.every((key, index) => key === ring.keys[index]);
  if (unchanged) return undefined;
  const { maxLifetime, propagationDelay, audiences } = policy;
  const { olderCaches: _replaced, ...rest } = ring;
  const caches = olderCaches(ring, policy, time);
  return {
    kind: 'Adopt',
    keyring: {
      ...rest,
      ...(caches === undefined ? {} : { olderCaches: caches }),
      ...{ maxLifetime, propagationDelay, audiences, keys },
    },
    confirm: false,
    notices: [],
  };
}

/** Next becomes current, current becomes previous, a new next is made: one write (I2, I10). */
export function promote(ring: Keyring, policy: Policy, time: Time): KeyringDraft {
  return {
    ...ring,
    keys: [
      { ...nextKey(ring), state: 'current', promotedAt: time.stamp },
      newNext(policy, ring, time),
      demoted(ring, policy, time),
      ...previousKeys(ring).map(withoutPrivateHalf),
    ],
  };
}

/**
 * A previous key signs again and the current one becomes previous; the next key stays (I7). What
 * was promised to both of them stays, too: hidden on the one that signs, for its next demotion.
 */
export function rollBack(ring: Keyring, to: SigningKey, policy: Policy, time: Time): KeyringDraft {
  const { demotedAt: _over, ...back } = to;
  const others = previousKeys(ring).filter((key) => key !== to);
  return {
    ...ring,
    keys: [
      { ...back, state: 'current', promotedAt: time.stamp },
      nextKey(ring),
      demoted(ring, policy, time),
      ...others,
    ],
  };
}

/** Two new keys at once, and none of the others left: what they signed is given up (I2, I7). */
export function replaceAll(ring: Keyring, policy: Policy, time: Time): KeyringDraft {
  const next = newNext(policy, ring, time);
  return {
    ...ring,
    keys: [{ ...next, state: 'current', promotedAt: time.stamp }, next],
    revoked: listed(ring.keys, ring, time),
  };
}

/** The keys that were revoked, with these on top. */
function listed(gone: readonly SigningKey[], { revoked: known }: KeyringDraft, time: Time) {
  return keptRevoked([...gone.map((key) => revoked(key, time)), ...known]);
}

/** As many revoked keys as a Secret has room for, each once. @param all newest first. */
export function keptRevoked(all: readonly RevokedKey[]): RevokedKey[] {
  const kids = all.map(({ kid }) => kid);
  return all.filter(({ kid }, index) => kids.indexOf(kid) === index).slice(0, KEPT_REVOKED);
}

function demoted(ring: Keyring, policy: Policy, time: Time): SigningKey {
  const current = currentKey(ring);
  const key: SigningKey = {
    ...current,
    state: 'previous',
    demotedAt: time.stamp,
    tokensUntil: tokensUntil(current, ring.maxLifetime, policy, time),
  };
  return { ...key, revokeAt: revokeAt(key, policy) };
}

/** The previous keys whose time to go has come. */
export function dueKids({ keys }: Pick<Keyring, 'keys'>, { now }: Pick<Time, 'now'>): string[] {
  return keys
    .filter(
      ({ state, revokeAt: end = Number.POSITIVE_INFINITY }) => state === 'previous' && end <= now,
    )
    .map(({ kid }) => kid);
}

/** Takes previous keys out of everything we publish (I6). */
export function revoke(draft: KeyringDraft, kids: readonly string[], time: Time): KeyringDraft {
  const gone = draft.keys
    .filter(isMade)
    .filter(({ kid, state }) => state === 'previous' && kids.includes(kid));
  return {
    ...draft,
    keys: draft.keys.filter((key) => !(isMade(key) && gone.includes(key))),
    revoked: listed(gone, draft, time),
  };
}

/** Another key takes the place of the next one, published anew (I7: next may be discarded). */
function discardNext(draft: KeyringDraft, ring: Keyring, policy: Policy, time: Time): KeyringDraft {
  const next = newNext(policy, ring, time);
  return { ...draft, keys: draft.keys.map((key) => (key.state === 'next' ? next : key)) };
}

/** The same by request: the key is listed as revoked, since others may have seen it. */
export function revokeNext(
  draft: KeyringDraft,
  ring: Keyring,
  policy: Policy,
  time: Time,
): KeyringDraft {
  const without = discardNext(draft, ring, policy, time);
  return { ...without, revoked: listed([nextKey(ring)], draft, time) };
}

/**
 * A next key of another algorithm or size than the spec's gives way; the wait starts over. One from
 * a backup may have signed before, and stays until its tokens have expired (I5).
 */
export function replaceNext({ ring, policy, now, stamp }: Situation): Transition | undefined {
  const { algorithm, jwk, tokensUntil: mayHaveSignedUntil = 0 } = nextKey(ring);
  if (mayHaveSignedUntil > now) return undefined;
  const size = jwk.n === undefined ? policy.modulusLength : modulusLength(jwk.n);
  if (algorithm === policy.algorithm && size === policy.modulusLength) return undefined;
  const time = { now, stamp };
  const wait = formatDuration(propagationDelayForNewKey(policy, ring, time));
  return {
    kind: 'ReplaceNext',
    keyring: discardNext(ring, ring, policy, time),
    confirm: false,
    notices: [
      {
        type: 'Normal',
        reason: 'NextKeyReplaced',
        message:
          `The next key is ${policy.algorithm} now, as the spec asks, and may sign ${wait} after ` +
          `it is published; ${short(currentKey(ring).kid)} goes on signing until a rotation`,
      },
    ],
  };
}

/** Records that requests up to a number are answered, and the texts of `rotate=id:`. */
export function remember(
  record: Keyring['requests'],
  number: number,
  ids: readonly string[],
): Keyring['requests'] {
  return {
    number: Math.max(record.number, number),
    ids: [...record.ids.filter((id) => !ids.includes(id)), ...ids].slice(-KEPT_IDS),
  };
}

/** Whether a key exists already. */
export function isMade(key: SigningKey | KeyToMake): key is SigningKey {
  return 'kid' in key;
}

/** The keyring of a draft, once its keys are made. */
export function completed(draft: KeyringDraft, keys: readonly SigningKey[]): Keyring {
  const { lastRotation: last, ...rest } = draft;
  const ring: Keyring = { ...rest, keys };
  return last === undefined
    ? ring
    : { ...ring, lastRotation: { ...last, to: currentKey(ring).kid } };
}

export function newNext(policy: Policy, ring: Keyring, time: Time): KeyToMake {
  return {
    make: keyShape(policy),
    state: 'next',
    createdAt: time.stamp,
    propagationDelay: propagationDelayForNewKey(policy, ring, time),
    inFirstJwks: false,
  };
}

/** The kind of key that the spec asks for now. */
export function keyShape({ algorithm, modulusLength, certificate }: Policy): KeyToMake['make'] {
  return { algorithm, modulusLength, ...certificate };
}

/** Verifies on, and signs no more. */
export function withoutPrivateHalf({ privateKey: _dropped, ...key }: SigningKey): SigningKey {
  return key;
}

function revoked(key: SigningKey, { stamp }: Time): RevokedKey {
  const { kid, algorithm, createdAt, publishedAt, promotedAt, demotedAt, fingerprint } = key;
  return {
    kid,
    algorithm,
    createdAt,
    revokedAt: stamp,
    ...(publishedAt === undefined ? {} : { publishedAt }),
    ...(promotedAt === undefined ? {} : { promotedAt }),
    ...(demotedAt === undefined ? {} : { demotedAt }),
    ...(fingerprint === undefined ? {} : { fingerprint }),
    ...(key.notAfter === undefined ? {} : { notAfter: key.notAfter }),
  };
}

function sameTexts(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((text, index) => text === right[index]);
}

/** In bits, of an RSA modulus in base64url (RFC 7518 section 6.3.1.1). */
function modulusLength(n: string): number {
  return Math.floor((n.length * 6) / 8) * 8;
}

/** A key as before it was published anywhere. */
export function toPublish({ publishedAt: _gone, ...key }: SigningKey): SigningKey {
  return { ...key, inFirstJwks: false };
}
