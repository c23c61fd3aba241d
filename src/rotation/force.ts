import { jwksMaxAge } from '../api/caching.ts';
import { formatDuration } from '../api/duration.ts';
import type { Instant, Keyring } from '../keys/keyring.ts';
import { gate, lackingNext } from './gate.ts';
import { currentKey, nextKey, type Situation } from './situation.ts';
import { annotateCommand, from } from './text.ts';

/** Who refetches when, once a token comes with a kid that it does not know (docs/protocol.md). */
const REFETCH =
  'go-oidc, jwks-rsa, Nimbus and the Apache modules refetch at once when they see the new kid, ' +
  'PyJWT and jose within 30s, kube-apiserver within max-age';

/**
 * What a promotion by force costs, at the moment of it (design section 2), and how to undo it.
 *
 * @param leaving the kids that are revoked along with it.
 */
export function priceOfForce(situation: Situation, leaving: readonly string[]): string {
  const { set, ring, observed } = situation;
  const next = nextKey(ring);
  if (
    gate(
      ring,
      observed,
      situation,
      ring.keys.map(({ kid }) => kid),
    ).open
  ) {
    return 'verifiers had the time to see it, so force was not needed and nothing is refused';
  }
  const lacking = lackingNext(ring, observed).map(({ name }) => name);
  const missed = lacking.length === 0 ? '' : `. Without it are yet: ${lacking.join(', ')}`;
  const canUndo = !leaving.includes(currentKey(ring).kid);
  const undo = canUndo ? `. To undo: ${annotateCommand(set, 'rollback=now')}` : '';
  const until =
    next.publishedAt === undefined
      ? `${formatDuration(next.propagationDelay)} after it is published everywhere`
      : from(next.publishedAt + next.propagationDelay);
  return (
    `verifiers that have not seen it refuse its tokens until they refetch the JWKS, the last of ` +
    `them by ${until}. ${REFETCH} (${maxAge(ring)})${missed}${undo}`
  );
}

/** What it costs to give up all keys at once. */
export function priceOfCompromise(ring: Keyring): string {
  return (
    'every token signed before is refused, and the new ones too, until a verifier refetches the ' +
    `JWKS. ${REFETCH} (${maxAge(ring)}); gateways with a ConfigMap when it is mounted anew, in 1 to 2 minutes`
  );
}

/**
 * Until when verifiers may lack the key that signs, because it was promoted by force before they
 * had the time to see it: `ForcedEarly` (I17).
 *
 * @returns undefined when they all have it; Infinity while it is not published everywhere.
 */
export function forcedUntil(ring: Keyring, now: Instant): Instant | undefined {
  const { lastRotation: last } = ring;
  if (last?.trigger !== 'Force' && last?.trigger !== 'Compromised') return undefined;
  const {
    publishedAt = Number.POSITIVE_INFINITY,
    propagationDelay,
    inFirstJwks,
  } = currentKey(ring);
  const until = publishedAt + propagationDelay;
  return inFirstJwks || until <= last.at || until <= now ? undefined : until;
}

function maxAge(ring: Keyring): string {
  return `at most ${formatDuration(jwksMaxAge(ring.propagationDelay))}`;
}
