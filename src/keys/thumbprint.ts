import { createHash } from 'node:crypto';
import type { KeyType } from './algorithms.ts';

/**
 * The public members that make a key, for each `kty`: the required ones of RFC 7638 section 3.2
 * and RFC 8037 section 2, in the lexicographic order that the thumbprint needs.
 */
export const PUBLIC_MEMBERS = {
  RSA: ['e', 'kty', 'n'],
  EC: ['crv', 'kty', 'x', 'y'],
  OKP: ['crv', 'kty', 'x'],
} as const satisfies Readonly<Record<KeyType, readonly string[]>>;

/** The members of a JWK that a thumbprint is made of; any other is ignored. */
export interface ThumbprintInput {
  readonly kty: string;
  readonly n?: string | undefined;
  readonly e?: string | undefined;
  readonly crv?: string | undefined;
  readonly x?: string | undefined;
  readonly y?: string | undefined;
}

/**
 * RFC 7638 thumbprint of a JWK, base64url SHA-256: the `kid` of each of our keys (I8).
 *
 * @throws TypeError when `kty` is not RSA, EC or OKP, or a member that it requires is missing.
 */
export function thumbprint(jwk: ThumbprintInput): string {
  const members: readonly (keyof ThumbprintInput)[] | undefined = Object.hasOwn(
    PUBLIC_MEMBERS,
    jwk.kty,
  )
    ? PUBLIC_MEMBERS[jwk.kty as KeyType]
    : undefined;
  if (!members?.every((member) => typeof jwk[member] === 'string'))
    throw new TypeError('a JWK of kty RSA, EC or OKP needs all of its public members');
  const canonical = JSON.stringify(Object.fromEntries(members.map((m) => [m, jwk[m]])));
  return createHash('sha256').update(canonical).digest('base64url');
}
