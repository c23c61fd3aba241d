import { MINUTE } from './constants.ts';

/** No cache is told to keep a document of ours for longer. */
export const LONGEST_MAX_AGE = 5 * MINUTE;

/**
 * How long caches may keep a JWKS, in milliseconds: min(5m, P/4). What makes a promotion safe (I1,
 * docs/protocol.md), and how soon a revocation is seen. The issuer says it, the protocol counts on it.
 *
 * @param propagationDelay P in milliseconds.
 */
export function jwksMaxAge(propagationDelay: number): number {
  return Math.min(LONGEST_MAX_AGE, propagationDelay / 4);
}
