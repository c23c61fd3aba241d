import { createHash } from 'node:crypto';
import { jwksMaxAge } from '../api/caching.ts';
import { SECOND } from '../api/constants.ts';
import type { Keyring } from '../keys/keyring.ts';

/** A document that anyone may read, made once, so that a request only looks it up. */
export interface PublicDocument {
  /** One byte in each character (latin1), as `answer` takes it. */
  readonly body: string;
  /** Names and values in turn, as `writeHead` takes them with the least work. */
  readonly headers: readonly string[];
  readonly contentType: string;
  /** Strong (RFC 9110 section 8.8.1): the same bytes, the same tag. */
  readonly etag: string;
}

/** Any page may read it: there is nothing in it that depends on who asks. */
export const ANY_ORIGIN: readonly string[] = ['Access-Control-Allow-Origin', '*'];

const NOT_KEPT = 'no-cache';

/** The same, for no cache to keep: from a replica that does not know whether it is the last one. */
export function notKept(document: PublicDocument): PublicDocument {
  const { headers } = document;
  const value = headers.indexOf('Cache-Control') + 1;
  return { ...document, headers: headers.with(value, NOT_KEPT) };
}

/**
 * @param maxAge - how long a cache may keep it, in milliseconds.
 * @param fileName - under which name a browser saves it; without one it shows it.
 */
export function publicDocument(
  contentType: string,
  body: Buffer,
  maxAge: number,
  fileName?: string,
): PublicDocument {
  const seconds = Math.floor(maxAge / SECOND);
  const etag = `"${createHash('sha256').update(body).digest('base64url')}"`;
  const headers = [
    ...ANY_ORIGIN,
    ...['Cache-Control', seconds > 0 ? `public, max-age=${seconds}` : NOT_KEPT],
    ...['ETag', etag],
    // The name of a Kubernetes object needs no quoting (RFC 6266 section 4.1).
    ...(fileName ? ['Content-Disposition', `attachment; filename="${fileName}"`] : []),
  ];
  return { body: body.toString('latin1'), headers, contentType, etag };
}

/**
 * How long a cache may keep the keys of a set, in milliseconds: min(5 min, P/4). P counts from when
 * every replica serves a key. A copy made just before that lives for max-age, and through a cache
 * that ignores Age for once more each time, so a quarter leaves room to spare before the key signs
 * (I1). The P of the next key counts besides the one in force, because it keeps the P it was
 * promised. Of a set that is gone nothing is to be cached: one made again later starts with others.
 */
export function keysMaxAge(ring: Pick<Keyring, 'keys' | 'propagationDelay' | 'retiredAt'>): number {
  if (ring.retiredAt !== undefined) return 0;
  const waiting = ring.keys.filter((key) => key.state === 'next');
  const delays = [ring, ...waiting].map((one) => one.propagationDelay);
  return jwksMaxAge(Math.min(...delays));
}
