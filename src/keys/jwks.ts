import { createHash } from 'node:crypto';
import { certificateDer } from './certificate.ts';
import { publicMembers } from './jwk.ts';
import type { Keyring, KeyState, PublicJwk, SigningKey } from './keyring.ts';

/** A JWK as published, with its certificate (RFC 7517 sections 4.7 to 4.9) where there is one. */
export interface PublishedJwk extends PublicJwk {
  /** The certificate, base64 DER (not base64url). */
  readonly x5c?: readonly [string];
  /** SHA-1 of the certificate, base64url: old Microsoft libraries look a key up by it. */
  readonly x5t?: string;
  readonly 'x5t#S256'?: string;
}

/** A JWK Set (RFC 7517 section 5). */
export interface Jwks {
  readonly keys: readonly PublishedJwk[];
}

const ORDER: readonly KeyState[] = ['current', 'next', 'previous'];

/** The published keys: current, next, then the previous ones, newest first. */
export function publishedKeys(ring: Pick<Keyring, 'keys'>): readonly SigningKey[] {
  return ORDER.flatMap((state) => ring.keys.filter((key) => key.state === state));
}

/** The JWKS of a set: every key that a verifier may need, and no private member (I12). */
export function jwks(ring: Pick<Keyring, 'keys'>): Jwks {
  return { keys: publishedKeys(ring).map(publishedJwk) };
}

function publishedJwk({ kid, algorithm, jwk, certificate }: SigningKey): PublishedJwk {
  const key = { kty: jwk.kty, use: 'sig', alg: algorithm, kid, ...publicMembers(jwk) } as const;
  if (certificate === undefined) return key;
  const der = certificateDer(certificate);
  return {
    ...key,
    x5c: [der.toString('base64')],
    x5t: createHash('sha1').update(der).digest('base64url'),
    'x5t#S256': createHash('sha256').update(der).digest('base64url'),
  };
}
