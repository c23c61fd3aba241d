import { createPublicKey, type KeyObject } from 'node:crypto';
import type { Algorithm } from './algorithms.ts';
import type { PublicJwk } from './keyring.ts';
import { type ThumbprintInput, thumbprint } from './thumbprint.ts';

const KEY_MEMBERS = ['n', 'e', 'crv', 'x', 'y'] as const;

/** The members that make the public key: a copy, so that no other is ever published (I12). */
export function publicMembers(jwk: ThumbprintInput): Pick<PublicJwk, (typeof KEY_MEMBERS)[number]> {
  return Object.fromEntries(
    KEY_MEMBERS.flatMap((member) => {
      const value = jwk[member];
      return value === undefined ? [] : [[member, value]];
    }),
  );
}

/**
 * The JWK (RFC 7517) of the public half of a key; its `kid` is the thumbprint (I8).
 *
 * @throws TypeError when the key is not a public one.
 */
export function publicJwk(algorithm: Algorithm, publicKey: KeyObject): PublicJwk {
  if (publicKey.type !== 'public') throw new TypeError('expected the public half of a key pair');
  const { kty = '', ...members } = publicKey.export({ format: 'jwk' });
  const jwk = { kty, ...publicMembers({ kty, ...members }) };
  return { kid: thumbprint(jwk), alg: algorithm, use: 'sig', ...jwk };
}

/**
 * The public key that a JWK describes.
 *
 * @throws Error when it describes none, such as a point that is not on its curve.
 */
export function publicKeyOf(jwk: PublicJwk): KeyObject {
  const key = { kty: jwk.kty, ...publicMembers(jwk) };
  return createPublicKey({ key, format: 'jwk' });
}
