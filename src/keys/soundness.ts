import { createECDH, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import { ALGORITHMS, type Algorithm, type KeyType } from './algorithms.ts';
import { publicKeyOf } from './jwk.ts';
import type { PublicJwk } from './keyring.ts';
import type { PrivateKey } from './private-key.ts';
import { PUBLIC_MEMBERS, thumbprint } from './thumbprint.ts';

/** The members of every JWK of ours, whatever its type. */
const COMMON_MEMBERS = ['alg', 'kid', 'kty', 'use'];

/**
 * Why a public JWK is not that of this algorithm and kid, in words; `undefined` when it is.
 * Rule I8: the kid is the thumbprint.
 */
export function jwkProblem(kid: string, algorithm: Algorithm, jwk: PublicJwk): string | undefined {
  const { kty, curve } = ALGORITHMS[algorithm];
  if (jwk.alg !== algorithm) return `alg of the JWK is not ${algorithm}`;
  if (jwk.kty !== kty) return `kty of the JWK is not ${kty}, as ${algorithm} needs`;
  if (jwk.crv !== curve) return `crv of the JWK is not that of ${algorithm}`;
  const expected = new Set<string>([...COMMON_MEMBERS, ...PUBLIC_MEMBERS[kty]]);
  const members = Object.keys(jwk);
  if (members.length !== expected.size || !members.every((member) => expected.has(member)))
    return `the JWK does not have exactly the members of a public ${kty} key`;
  if (jwk.kid !== kid || thumbprint(jwk) !== kid)
    return 'kid is not the RFC 7638 thumbprint of the JWK';
  return succeeds(() => publicKeyOf(jwk).type === 'public')
    ? undefined
    : 'the JWK describes no public key';
}

/**
 * Whether the private half belongs to the public one and is whole. The public part that a PEM
 * carries is not enough: the numbers behind it could be damaged, and tokens would never verify.
 */
export function privateKeyMatches(privateKey: PrivateKey, jwk: PublicJwk): boolean {
  const { kty } = ALGORITHMS[jwk.alg];
  const key = privateKey.keyObject;
  return succeeds(() => createPublicKey(key).equals(publicKeyOf(jwk)) && WHOLE[kty](key));
}

/** Whether the certificate is about this public key, and signed by its private half. */
export function certificateMatches(pem: string, jwk: PublicJwk): boolean {
  const publicKey = publicKeyOf(jwk);
  return succeeds(() => {
    const certificate = new X509Certificate(pem);
    return certificate.publicKey.equals(publicKey) && certificate.verify(publicKey);
  });
}

/** An OpenSSL error here always means that the material is damaged. */
function succeeds(check: () => boolean): boolean {
  try {
    return check();
  } catch {
    return false;
  }
}

/** Ten times cheaper than a trial signature, which matters when a thousand sets are loaded. */
const WHOLE: Readonly<Record<KeyType, (key: KeyObject) => boolean>> = {
  RSA(key) {
    const jwk = key.export({ format: 'jwk' });
    const [n, e, d] = [integer(jwk.n), integer(jwk.e), integer(jwk.d)];
    const [p, q] = [integer(jwk.p), integer(jwk.q)];
    const inverse = integer(jwk.qi);
    // RFC 8017 section 3.2.
    return (
      p * q === n &&
      (e * d) % (p - 1n) === 1n &&
      (e * d) % (q - 1n) === 1n &&
      d % (p - 1n) === integer(jwk.dp) &&
      d % (q - 1n) === integer(jwk.dq) &&
      (q * inverse) % p === 1n
    );
  },
  EC(key) {
    const { d = '', x = '', y = '' } = key.export({ format: 'jwk' });
    const ecdh = createECDH(key.asymmetricKeyDetails?.namedCurve ?? '');
    ecdh.setPrivateKey(d, 'base64url');
    return ecdh.getPublicKey('hex') === `04${hex(x)}${hex(y)}`;
  },
  // A PKCS#8 Ed25519 key is the seed alone; its public half is always computed (RFC 8410).
  OKP: () => true,
};

function hex(base64url: string): string {
  return Buffer.from(base64url, 'base64url').toString('hex');
}

function integer(base64url: string | undefined): bigint {
  return BigInt(`0x${hex(base64url ?? '')}`);
}
