import { createHash } from 'node:crypto';
import { jwksMaxAge, LONGEST_MAX_AGE } from '../api/caching.ts';
import { SECOND } from '../api/constants.ts';
import { jwks } from '../keys/jwks.ts';
import type { Keyring } from '../keys/keyring.ts';
import { discovery } from './discovery.ts';

/** A public document, made once when a keyring is loaded, so that a request only looks it up. */
export interface PublicDocument {
  readonly body: Buffer;
  readonly contentType: string;
  /** Strong (RFC 9110 section 8.8.1): the same bytes, the same tag. */
  readonly etag: string;
  readonly cacheControl: string;
}

/** A set as this replica serves it. */
export interface ServedSet {
  readonly ring: Keyring;
  readonly discovery: PublicDocument;
  readonly jwks: PublicDocument;
}

export function serve(ring: Keyring): ServedSet {
  return {
    ring,
    discovery: document('application/json', discovery(ring.issuer), LONGEST_MAX_AGE),
    jwks: document('application/jwk-set+json', jwks(ring), maxAgeOf(ring)),
  };
}

/**
 * How long a cache may keep the JWKS, in milliseconds: min(5 min, P/4). P counts from when every
 * replica serves a key. A copy made just before that lives for max-age, and through a cache that
 * ignores Age for once more each time, so a quarter leaves room to spare before the key signs (I1).
 * The P of the next key counts besides the one in force, because it keeps the P it was promised.
 * Of a set that is gone nothing is to be cached: one made again later starts with other keys.
 */
function maxAgeOf(ring: Pick<Keyring, 'keys' | 'propagationDelay' | 'retiredAt'>): number {
  if (ring.retiredAt !== undefined) return 0;
  const waiting = ring.keys.filter((key) => key.state === 'next');
  const delays = [ring, ...waiting].map((one) => one.propagationDelay);
  return jwksMaxAge(Math.min(...delays));
}

function document(contentType: string, content: object, maxAge: number): PublicDocument {
  const body = Buffer.from(JSON.stringify(content));
  const seconds = Math.floor(maxAge / SECOND);
  return {
    body,
    contentType,
    etag: `"${createHash('sha256').update(body).digest('base64url')}"`,
    cacheControl: seconds > 0 ? `public, max-age=${seconds}` : 'no-cache',
  };
}
