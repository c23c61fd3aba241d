import type { Keyring, RevokedKey, SigningKey } from '../keys/keyring.ts';
import { ownership } from './beginnings.ts';
import { MOST_PREVIOUS_KEYS } from './gate.ts';
import { patientDelay, revokeAt, tokensUntil, unknownCaches } from './lifetimes.ts';
import { type PendingRequest, RESTORE_ANNOTATION } from './pending.ts';
import {
  currentKey,
  type KeyringDraft,
  nextKey,
  type Policy,
  previousKeys,
  type Situation,
  type Time,
  type Transition,
} from './situation.ts';
import { short } from './text.ts';
import {
  isMade,
  KEPT_REVOKED,
  keptRevoked,
  newNext,
  remember,
  revoke,
  toPublish,
  withoutPrivateHalf,
} from './transitions.ts';
import { idsPresent } from './verbs.ts';

/** A set that a backup is to be taken for, with or without keys of its own. */
export type Bereft = Omit<Situation, 'ring'> & { readonly ring?: Keyring };

/**
 * Why `signet.dev/restore` cannot be carried out, and what to type instead.
 *
 * @returns undefined when it can, or when the backup has not been read yet.
 */
export function restoreRefusal(facts: Bereft): string | undefined {
  const { backup } = facts.observed;
  if (backup?.keyring === undefined) return backup?.fault;
  return refusalOfOwner(backup.keyring, facts) ?? refusalOfKeys(backup.keyring, facts);
}

function refusalOfOwner(backup: Keyring, { set, ring, observed }: Bereft): string | undefined {
  const { owner } = backup;
  if (owner.namespace !== set.namespace || owner.name !== set.name) {
    return (
      `it holds the keys of ${owner.namespace}/${owner.name}: type the name of a Secret with the ` +
      `keys of ${set.namespace}/${set.name}`
    );
  }
  const { claim } = observed;
  if (ring === undefined && !claim.granted) return claim.message;
  const issuer = ring?.issuer ?? (claim.granted ? claim.issuer : backup.issuer);
  if (backup.issuer === issuer) return undefined;
  const isOfOldUrl = ring === undefined && claim.granted && claim.source === 'default';
  if (isOfOldUrl && backup.issuerSource === 'default') return undefined;
  return `its tokens are of ${backup.issuer} and those of this set of ${issuer}: make a set with that issuer`;
}

function refusalOfKeys(backup: Keyring, facts: Bereft): string | undefined {
  const { ring, observed } = facts;
  // A wrong clock cannot tell which tokens have expired; the request waits for a right one.
  if (ring === undefined || observed.clockSkew !== undefined) return undefined;
  const added = keysToAdd(backup, ring, facts).length;
  if (added === 0) {
    return (
      'it holds no key that this set lacks, that has unexpired tokens, and of which it is known that ' +
      'it was not revoked: nothing to restore'
    );
  }
  const sum = previousKeys(ring).length + added;
  if (sum <= MOST_PREVIOUS_KEYS) return undefined;
  return (
    `it would make ${sum} previous keys, of which only ${MOST_PREVIOUS_KEYS} can be: wait for some ` +
    `to go, or type revoke=previous first, and ${RESTORE_ANNOTATION} again after that`
  );
}

/**
 * Signed for this set, not known to it, and with tokens that may be alive; never what was revoked.
 * The next key may have been promoted since: it comes along where there is room.
 */
function keysToAdd(backup: Keyring, ring: Keyring, facts: Bereft): SigningKey[] {
  const known = new Set([...ring.keys, ...ring.revoked].map(({ kid }) => kid));
  const lost = backup.keys.filter(
    (key) => !known.has(key.kid) && !isExpired(key, facts) && !mayBeForgotten(key, ring, facts),
  );
  const signed = lost.filter(({ state }) => state !== 'next');
  const hasRoom = previousKeys(ring).length + lost.length <= MOST_PREVIOUS_KEYS;
  return hasRoom ? lost : signed;
}

/** So old that it may have been revoked, and have left the list of what was. */
function mayBeForgotten({ createdAt }: SigningKey, { revoked }: Keyring, { policy }: Bereft) {
  const oldest = Math.min(...revoked.map(({ revokedAt }) => revokedAt));
  return revoked.length >= KEPT_REVOKED && createdAt <= oldest + policy.clockSkew;
}

/** No token of it is left. One with a private half may have signed again since the backup. */
function isExpired(key: SigningKey, { now }: Pick<Time, 'now'>): boolean {
  const { state, privateKey, tokensUntil: end } = key;
  return state === 'previous' && privateKey === undefined && end !== undefined && end <= now;
}

/** Carries a request for a backup out; absent while that has not been read. */
export function restoreFromBackup(facts: Bereft, request: PendingRequest): Transition | undefined {
  const { backup } = facts.observed;
  if (backup?.keyring === undefined || backup.secret !== request.restore) return undefined;
  if (restoreRefusal(facts) !== undefined) return undefined;
  const { ring, set } = facts;
  const { keyring, fate } =
    ring === undefined
      ? asRestored(backup.keyring, facts, request)
      : besides(backup.keyring, ring, facts, request);
  return {
    kind: 'RestoreFromBackup',
    keyring,
    confirm: true,
    notices: [
      {
        type: 'Warning',
        reason: 'KeysRestoredFromBackup',
        message: `Took the keys of ${set.namespace}/${set.name} from the Secret ${backup.secret}: ${fate}`,
      },
    ],
  };
}

function asRestored(backup: Keyring, facts: Bereft, { number }: PendingRequest) {
  const { keyring, signer } = inPlaceOfNone(backup, facts, number);
  const gone = new Set(keyring.revoked.map(({ kid }) => kid));
  const left = backup.keys.filter(({ kid }) => gone.has(kid)).map(({ kid }) => short(kid));
  const told = left.length === 0 ? '' : `. Left out, because revoked: ${left.join(', ')}`;
  const fate =
    `${signer} signs. Keys made after that backup are gone: their tokens are refused as soon as ` +
    `verifiers refetch, and until then those of a key that they have not seen${told}`;
  return { keyring, fate };
}

/**
 * The backup becomes the keyring, without what was revoked since (I8). Nobody knows what verifiers
 * hold by now, so the next key is published anew, and waits for the longest copy of any JWKS of ours
 * at least; nor which of the keys with a private half has signed since (I1).
 *
 * @param number of the request that is answered by this.
 */
export function inPlaceOfNone(
  backup: Keyring,
  facts: Bereft,
  number: number,
): { readonly keyring: KeyringDraft; readonly signer: string } {
  const { set, policy, observed } = facts;
  const { retiredAt: _over, ...kept } = backup;
  const maxLifetime = Math.max(backup.maxLifetime, policy.maxLifetime);
  const known = observed.revoked ?? [];
  const gone = new Set(known.map(({ kid }) => kid));
  const keys = kept.keys
    .filter(({ kid }) => !gone.has(kid))
    .map((key) => (isExpired(key, facts) ? key : perhapsSigning(key, maxLifetime, facts)))
    .map((key) => unpublished(key, policy));
  const keyring = revoke(
    {
      ...kept,
      ...ownership(set, backup),
      olderCaches: unknownCaches(policy, facts),
      keys: withSigners(keys, backup, facts),
      revoked: seenAgain(keptRevoked([...known, ...kept.revoked]), backup),
      requests: remember(kept.requests, number, idsPresent(set)),
    },
    keys.filter((key) => isExpired(key, facts)).map(({ kid }) => kid),
    facts,
  );
  return { keyring, signer: signerOf(keyring) };
}

/** Of a revoked key that a Secret holds again, nobody knows who has it (I6). */
export function seenAgain(revoked: readonly RevokedKey[], { keys }: Keyring): RevokedKey[] {
  const kids = new Set(keys.map(({ kid }) => kid));
  return revoked.map(({ revokedEverywhereAt: at, ...key }) =>
    at === undefined || kids.has(key.kid) ? key : { ...key, revokedEverywhereAt: at },
  );
}

/**
 * The keys with one that signs and one that will (I2): where the backup's current key is left out, its
 * next key signs, and keys are made for what is missing then.
 */
function withSigners(
  keys: readonly SigningKey[],
  backup: Keyring,
  facts: Bereft,
): KeyringDraft['keys'] {
  const { policy, stamp } = facts;
  const of = (state: SigningKey['state']) => keys.find((key) => key.state === state);
  const made = newNext(policy, backup, facts);
  const fresh = {
    ...made,
    propagationDelay: patientDelay(policy, backup.propagationDelay, made.propagationDelay),
  };
  const asCurrent = { state: 'current', promotedAt: stamp } as const;
  const [current, next] = [of('current'), of('next')];
  return [
    current ?? { ...(next ?? fresh), ...asCurrent },
    (current && next) ?? fresh,
    ...keys.filter(({ state }) => state === 'previous'),
  ];
}

function signerOf({ keys }: KeyringDraft): string {
  const signer = keys.filter(isMade).find(({ state }) => state === 'current');
  return signer === undefined ? 'a new key' : short(signer.kid);
}

/** A key of which nobody knows whether verifiers hold it: it is published anew, and waits (I1, I3). */
export function unpublished(key: SigningKey, policy: Policy): SigningKey {
  if (key.state === 'previous') return key;
  return { ...toPublish(key), propagationDelay: patientDelay(policy, key.propagationDelay) };
}

/** Since the backup, a key may have been promoted or brought back, and have signed until now. */
function perhapsSigning(key: SigningKey, maxLifetime: number, facts: Bereft): SigningKey {
  const { policy } = facts;
  const isSure = key.privateKey === undefined && key.tokensUntil !== undefined;
  if (isSure) return key;
  const known = { ...key, tokensUntil: tokensUntil(key, maxLifetime, policy, facts) };
  return key.state === 'previous' ? { ...known, revokeAt: revokeAt(known, policy) } : known;
}

/** The backup's keys verify again, and sign no more. */
function besides(backup: Keyring, ring: Keyring, facts: Bereft, request: PendingRequest) {
  const maxLifetime = Math.max(ring.maxLifetime, backup.maxLifetime);
  const added = keysToAdd(backup, ring, facts).map((key) => verifying(key, maxLifetime, facts));
  const keyring: Keyring = {
    ...ring,
    keys: [...ring.keys, ...added],
    requests: remember(ring.requests, request.number, []),
  };
  const kids = added.map(({ kid }) => short(kid)).join(', ');
  const { kid: next } = nextKey(backup);
  const known = [...keyring.keys, ...ring.revoked].some(({ kid }) => kid === next);
  const left = known ? '' : `. There was no room for ${short(next)}, which was the next key`;
  const fate = `${kids} verify again, and sign no more; ${short(currentKey(ring).kid)} goes on signing${left}`;
  return { keyring, fate };
}

function verifying(key: SigningKey, maxLifetime: number, facts: Bereft): SigningKey {
  const previous: SigningKey = {
    ...withoutPrivateHalf(perhapsSigning(key, maxLifetime, facts)),
    state: 'previous',
    demotedAt: key.demotedAt ?? facts.stamp,
  };
  return { ...previous, revokeAt: revokeAt(previous, facts.policy) };
}
