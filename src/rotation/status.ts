import { formatDuration } from '../api/duration.ts';
import type { KeyStatus, SigningKeySetStatus } from '../api/signingkeyset.generated.ts';
import type { Instant, Keyring, RevokedKey, SigningKey } from '../keys/keyring.ts';
import {
  clockSkew,
  type Facts,
  published,
  type ReportedCondition,
  ready,
  restorePending,
  rotationOverdue,
  rotationPending,
} from './conditions.ts';
import { gate } from './gate.ts';
import { effectiveGracePeriod } from './lifetimes.ts';
import { currentKey, dueAt, nextKey, type Policy } from './situation.ts';
import { at, from } from './text.ts';

/** A status without what only its writer knows. Holds times, never ages, so it does not churn. */
export type Report = Omit<SigningKeySetStatus, 'conditions' | 'observedGeneration'> & {
  readonly conditions: readonly ReportedCondition[];
};

const MOST_BLOCKERS = 3;
const LISTED_REVOKED = 3;
const SHORTEST_KID = 8;

/** Says what is, why it waits, until when and what to type (design section 1). */
export function describe(facts: Facts): Report {
  const { ring, policy } = facts;
  if (ring === undefined) {
    const restoring = restorePending(facts);
    const { reportedIssuer: issuer } = facts.set;
    const { revoked = [] } = facts.observed;
    return {
      conditions: [ready(facts), ...(restoring === undefined ? [] : [restoring]), clockSkew(facts)],
      // What was revoked stays so, and must not be forgotten with the Secret (I8); any other kid would
      // be a guess (I11). Tokens that are out there carry the issuer.
      ...(revoked.length === 0 ? {} : { keys: listed(revoked) }),
      ...(issuer === undefined ? {} : urls(issuer)),
    };
  }
  const withKeys = { ...facts, ring };
  const leaving = facts.request?.revoke ?? [];
  const { at: opens, blockedBy } = gate(ring, facts.observed, facts, leaving);
  return {
    conditions: [
      ready(facts),
      published(withKeys),
      rotationPending(withKeys),
      rotationOverdue(withKeys),
      clockSkew(facts),
    ],
    keys: keysOf(ring, facts.observed.revoked),
    current: shortKid(currentKey(ring).kid, ring),
    next: shortKid(nextKey(ring).kid, ring),
    ...(opens === undefined ? {} : { promotableAt: promotableAt(ring, opens) }),
    ...(blockedBy.length === 0 ? {} : { blockedBy: blockedBy.slice(0, MOST_BLOCKERS) }),
    ...nextRotation(ring, policy),
    effectiveGracePeriod: formatDuration(effectiveGracePeriod(policy)),
    ...lastRotation(ring),
    ...urls(ring.issuer),
  };
}

function urls(issuer: string): Pick<Report, 'issuer' | 'jwksURI'> {
  return { issuer, jwksURI: `${issuer.replace(/\/$/, '')}/.well-known/jwks.json` };
}

/** A key of the first JWKS never waited: rounded up, it would seem to sign too early (I3). */
function promotableAt(ring: Keyring, opens: Instant): string {
  return opens === nextKey(ring).publishedAt ? at(opens) : from(opens);
}

function nextRotation(ring: Keyring, policy: Policy): Pick<Report, 'nextRotationAt'> {
  const due = policy.suspend ? undefined : dueAt(ring, policy);
  return due === undefined ? {} : { nextRotationAt: from(due) };
}

function lastRotation({ lastRotation: last }: Keyring): Pick<Report, 'lastRotation'> {
  return last === undefined ? {} : { lastRotation: { ...last, at: at(last.at) } };
}

function keyStatus(key: SigningKey): KeyStatus {
  const { kid, state, algorithm, createdAt, fingerprint } = key;
  return {
    kid,
    state,
    algorithm,
    createdAt: at(createdAt),
    ...times(key, ['publishedAt', 'promotedAt']),
    // What was promised to a key before a rollback is kept, and counts again when it is demoted.
    ...(state === 'previous' ? times(key, ['demotedAt', 'revokeAt']) : {}),
    ...times(key, ['tokensUntil']),
    ...(fingerprint === undefined ? {} : { fingerprint }),
    ...times(key, ['notAfter']),
  };
}

/**
 * One that was revoked and is in the keyring again stays revoked: while a wrong clock keeps it from
 * being taken out, nothing else remembers that (I8).
 */
function keysOf({ keys, revoked }: Keyring, known: readonly RevokedKey[] = []): KeyStatus[] {
  const revived = known.filter(({ kid }) => keys.some((key) => key.kid === kid));
  const left = keys.filter(({ kid }) => revived.every((key) => key.kid !== kid));
  return [...left.map(keyStatus), ...listed([...revived, ...revoked])];
}

function listed(revoked: readonly RevokedKey[]): KeyStatus[] {
  return revoked.slice(0, LISTED_REVOKED).map(revokedStatus);
}

function revokedStatus(key: RevokedKey): KeyStatus {
  const { kid, algorithm, createdAt, fingerprint } = key;
  return {
    kid,
    state: 'revoked',
    algorithm,
    createdAt: at(createdAt),
    ...times(key, ['publishedAt', 'promotedAt', 'demotedAt', 'revokedAt', 'revokedEverywhereAt']),
    ...(fingerprint === undefined ? {} : { fingerprint }),
    ...times(key, ['notAfter']),
  };
}

function times<Name extends string>(
  source: { readonly [name in Name]?: Instant },
  names: readonly Name[],
): { [name in Name]?: string } {
  const found: { [name in Name]?: string } = {};
  for (const name of names) {
    const instant = source[name];
    if (instant !== undefined) found[name] = at(instant);
  }
  return found;
}

/** The first 8 characters, more until they name one key (design section 1). */
function shortKid(kid: string, ring: Keyring): string {
  const others = [...ring.keys, ...ring.revoked].filter((key) => key.kid !== kid);
  let length = SHORTEST_KID;
  while (others.some((key) => key.kid.startsWith(kid.slice(0, length)))) length += 1;
  return kid.slice(0, length);
}
