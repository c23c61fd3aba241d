import { jwksMaxAge, LONGEST_MAX_AGE } from '../api/caching.ts';
import type { Instant, Keyring, OlderCaches, SigningKey } from '../keys/keyring.ts';
import type { Policy, Replica, Time } from './situation.ts';

type Flags = Pick<Policy, 'clockSkew' | 'maxStaleness'>;

/**
 * R to reckon with: a replica that was started with a longer one may sign for that long on what it
 * last confirmed (I15, I22).
 */
export function withStalestReplica(policy: Policy, replicas: readonly Replica[]): Policy {
  return { ...policy, maxStaleness: Math.max(policy.maxStaleness, longestStaleness(replicas)) };
}

/** The longest R that a replica has told. */
export function longestStaleness(replicas: readonly Replica[] = []): number {
  return Math.max(0, ...replicas.map(({ maxStaleness = 0 }) => maxStaleness));
}

/**
 * When the last token that a key can have signed until then has expired for everybody: a replica
 * may go on for R on what it last confirmed, its token lives L, a verifier's clock may lag by S.
 * Never less than was promised (I5, I22).
 */
export function tokensUntil(
  key: SigningKey,
  maxLifetime: number,
  flags: Flags,
  { stamp }: Pick<Time, 'stamp'>,
): Instant {
  const last = stamp + flags.maxStaleness + maxLifetime + flags.clockSkew;
  return Math.max(key.tokensUntil ?? 0, last);
}

/** When a previous key goes: after G, and never before its tokens (I5). */
export function revokeAt(key: SigningKey, policy: Policy): Instant {
  const afterGrace = (key.demotedAt ?? 0) + (policy.gracePeriod ?? 0);
  return Math.max(key.revokeAt ?? 0, key.tokensUntil ?? 0, afterGrace);
}

/** G as it works: what was asked for, or the shortest that no token outlives. */
export function effectiveGracePeriod(policy: Policy): number {
  const shortestSafe = policy.maxStaleness + policy.maxLifetime + policy.clockSkew;
  return Math.max(policy.gracePeriod ?? 0, shortestSafe);
}

/**
 * P for a key made now. A shorter P holds from the next key on, but no such key signs before every
 * copy has run out that was made under the longer one (I1, I22).
 */
export function propagationDelayForNewKey(policy: Policy, ring: Keyring, { now }: Time): number {
  const { olderCaches } = ring;
  const held = olderCaches !== undefined && now < olderCaches.until ? olderCaches.maxAge : 0;
  return Math.max(policy.propagationDelay, held);
}

/** P for a key of which nobody knows what JWKS verifiers hold instead. @param promised other P's. */
export function patientDelay(policy: Policy, ...promised: readonly number[]): number {
  return Math.max(policy.propagationDelay, LONGEST_MAX_AGE, ...promised);
}

/** The caches where nobody knows what was served before, as after a loss or from a backup. */
export function unknownCaches(flags: Flags, { stamp }: Pick<Time, 'stamp'>): OlderCaches {
  const until = stamp + flags.maxStaleness + flags.clockSkew + LONGEST_MAX_AGE;
  return { maxAge: LONGEST_MAX_AGE, until };
}

/**
 * The copies of the JWKS to reckon with once P is what the policy says. A replica may go on for R
 * with the P that it last loaded; what it serves then lives for the longer max-age.
 */
export function olderCaches(
  ring: Keyring,
  policy: Policy,
  { now, stamp }: Time,
): OlderCaches | undefined {
  const left = ring.olderCaches;
  const known = left !== undefined && now < left.until ? left : undefined;
  const served = jwksMaxAge(ring.propagationDelay);
  if (served <= jwksMaxAge(policy.propagationDelay)) return known;
  const maxAge = Math.max(served, known?.maxAge ?? 0);
  return { maxAge, until: stamp + policy.maxStaleness + policy.clockSkew + maxAge };
}
