import { SECOND } from '../api/constants.ts';
import { formatDuration } from '../api/duration.ts';
import type { ReasonOf } from '../api/reasons.ts';
import type { Instant, Keyring, RevokedKey, SigningKey } from '../keys/keyring.ts';
import { olderCaches, propagationDelayForNewKey, revokeAt, tokensUntil } from './lifetimes.ts';
import {
  currentKey,
  type KeyringDraft,
  type KeyToMake,
  type Notice,
  nextKey,
  type ObservedSet,
  type Policy,
  previousKeys,
  type Transition,
} from './situation.ts';

const KEPT_REVOKED = 3;
const KEPT_IDS = 16;
const KEPT_FORMER_UIDS = 8;

/** The first 8 characters of a kid, as `kubectl get sks` shows it. */
export function short(kid: string): string {
  return kid.slice(0, 8);
}

/**
 * An RFC 3339 time with seconds, as Kubernetes writes them, of something that was, or that holds
 * until then: never later than it is.
 */
export function at(instant: Instant): string {
  return `${new Date(instant).toISOString().slice(0, 19)}Z`;
}

/** The same of something that may happen from then on: never earlier than it is. */
export function from(instant: Instant): string {
  return at(Math.ceil(instant / SECOND) * SECOND);
}

/** The first keyring of a set: its current and its next key, in one write (I2, I21). */
export function create(
  set: ObservedSet,
  claim: { readonly issuer: string; readonly source: Keyring['issuerSource'] },
  policy: Policy,
  record: Keyring['requests'],
  now: Instant,
): Transition {
  const first = {
    make: keyShape(policy),
    createdAt: now,
    publishedAt: now,
    propagationDelay: policy.propagationDelay,
    inFirstJwks: true,
  };
  const keyring: KeyringDraft = {
    owner: ownerOf(set),
    formerUids: [],
    issuer: claim.issuer,
    issuerSource: claim.source,
    maxLifetime: policy.maxLifetime,
    propagationDelay: policy.propagationDelay,
    audiences: policy.audiences,
    keys: [
      { ...first, state: 'current', promotedAt: now },
      { ...first, state: 'next' },
    ],
    revoked: [],
    requests: record,
  };
  const notice: Notice = hadKeys(set)
    ? {
        type: 'Warning',
        reason: 'KeysLost',
        message:
          'The Secret with the keys is gone and nobody saw it go: new keys sign from now on, and ' +
          'no token of the lost ones verifies any more once verifiers refetch the JWKS',
      }
    : {
        type: 'Normal',
        reason: 'KeysCreated',
        message: `Made the first ${policy.algorithm} keys for ${claim.issuer}`,
      };
  return { kind: 'Create', keyring, confirm: true, notices: [notice] };
}

/** A Secret that cannot be used hides the keys that were there: its status names none. */
const KEYS_OUT_OF_SIGHT: ReadonlySet<string | undefined> = new Set<ReasonOf<'Ready'>>([
  'KeyringDamaged',
  'SecretNotOurs',
]);

function hadKeys({ reportedKids, reportedReady }: ObservedSet): boolean {
  return reportedKids.length > 0 || KEYS_OUT_OF_SIGHT.has(reportedReady);
}

/** A set made again under the same namespace, name and issuer goes on with the keys it had. */
export function resume(set: ObservedSet, former: Keyring, ids: readonly string[]): Transition {
  const { retiredAt, ...kept } = former;
  const gone = retiredAt === undefined ? '' : `, which was deleted at ${at(retiredAt)}`;
  return {
    kind: 'Resume',
    confirm: true,
    keyring: {
      ...kept,
      owner: ownerOf(set),
      formerUids: [former.owner.uid, ...former.formerUids].slice(0, KEPT_FORMER_UIDS),
      requests: remember(former.requests, former.requests.number, ids),
    },
    notices: [
      {
        type: 'Normal',
        reason: 'KeysResumed',
        message:
          `Goes on with the keys of the set of the same name${gone}: ` +
          `${short(currentKey(former).kid)} signs, tokens signed before still verify`,
      },
    ],
  };
}

/** Writes back a Secret that somebody deleted, as it was last seen. */
export function restore(lost: Keyring): Transition {
  return {
    kind: 'Restore',
    keyring: lost,
    confirm: true,
    notices: [
      {
        type: 'Warning',
        reason: 'KeysRestored',
        message:
          'The Secret with the keys was deleted and has been written back as it was; to drop the ' +
          'keys for good, delete the set first',
      },
    ],
  };
}

/**
 * Takes over what the spec says now. What was promised only grows (I22): a longer P holds at once,
 * a shorter L or G only for what comes later.
 *
 * @returns undefined when the keyring says the same already.
 */
export function adoptPolicy(ring: Keyring, policy: Policy, now: Instant): Transition | undefined {
  const lifetimeChanged = ring.maxLifetime !== policy.maxLifetime;
  const keys = ring.keys.map((key): SigningKey => {
    if (key.state === 'current' && lifetimeChanged) {
      return { ...key, tokensUntil: tokensUntil(key, ring.maxLifetime, policy, now) };
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
  const caches = olderCaches(ring, policy, now);
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
export function promote(ring: Keyring, policy: Policy, now: Instant): KeyringDraft {
  const current = currentKey(ring);
  const next = nextKey(ring);
  const demoted: SigningKey = {
    ...current,
    state: 'previous',
    demotedAt: now,
    tokensUntil: tokensUntil(current, ring.maxLifetime, policy, now),
  };
  return {
    ...ring,
    keys: [
      { ...next, state: 'current', promotedAt: now },
      newNext(policy, ring, now),
      { ...demoted, revokeAt: revokeAt(demoted, policy) },
      ...previousKeys(ring).map(withoutPrivateHalf),
    ],
  };
}

/** The previous keys whose time to go has come. */
export function dueKids({ keys }: Keyring, now: Instant): string[] {
  return keys
    .filter(
      ({ state, revokeAt: end = Number.POSITIVE_INFINITY }) => state === 'previous' && end <= now,
    )
    .map(({ kid }) => kid);
}

/** Takes previous keys out of everything we publish (I6). */
export function revoke(draft: KeyringDraft, kids: readonly string[], now: Instant): KeyringDraft {
  const gone = draft.keys
    .filter(isMade)
    .filter(({ kid, state }) => state === 'previous' && kids.includes(kid));
  return {
    ...draft,
    keys: draft.keys.filter((key) => !(isMade(key) && gone.includes(key))),
    revoked: [...gone.map((key) => revoked(key, now)), ...draft.revoked].slice(0, KEPT_REVOKED),
  };
}

/** Another key takes the place of the next one, published anew (I7: next may be discarded). */
export function discardNext(ring: Keyring, policy: Policy, now: Instant): KeyringDraft {
  return {
    ...ring,
    keys: ring.keys.map((key) => (key.state === 'next' ? newNext(policy, ring, now) : key)),
  };
}

/** A next key of another algorithm or size gives way; the wait starts over. */
export function replaceNext(ring: Keyring, policy: Policy, now: Instant): Transition {
  const wait = formatDuration(propagationDelayForNewKey(policy, ring, now));
  return {
    kind: 'ReplaceNext',
    keyring: discardNext(ring, policy, now),
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

function newNext(policy: Policy, ring: Keyring, now: Instant): KeyToMake {
  return {
    make: keyShape(policy),
    state: 'next',
    createdAt: now,
    propagationDelay: propagationDelayForNewKey(policy, ring, now),
    inFirstJwks: false,
  };
}

function keyShape({ algorithm, modulusLength, certificate }: Policy): KeyToMake['make'] {
  return { algorithm, modulusLength, ...certificate };
}

function ownerOf({ namespace, name, uid, namespaceUid }: ObservedSet): Keyring['owner'] {
  return { namespace, name, uid, namespaceUid };
}

function withoutPrivateHalf({ privateKey: _dropped, ...key }: SigningKey): SigningKey {
  return key;
}

function revoked(key: SigningKey, now: Instant): RevokedKey {
  const { kid, algorithm, createdAt, publishedAt, promotedAt, demotedAt, fingerprint } = key;
  return {
    kid,
    algorithm,
    createdAt,
    revokedAt: now,
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
