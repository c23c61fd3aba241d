import { ALGORITHMS, type Algorithm } from './algorithms.ts';
import { selfSigned, withFacts } from './certificate.ts';
import { publicJwk } from './jwk.ts';
import type { SigningKey } from './keyring.ts';
import { PrivateKey } from './private-key.ts';

/** What makes a key, without its place and times in a keyring. */
export type KeyMaterial = Required<
  Pick<
    SigningKey,
    'kid' | 'algorithm' | 'jwk' | 'certificate' | 'fingerprint' | 'notAfter' | 'privateKey'
  >
>;

export interface GenerateInput {
  readonly algorithm: Algorithm;
  /** Bits of an RSA modulus; the other algorithms have one size. */
  readonly modulusLength: number;
  /** Subject and issuer of the certificate, such as `CN=login.example.com` (RFC 4514). */
  readonly subject: string;
  /** How long the certificate is valid, in milliseconds. */
  readonly lifetime: number;
  /** Unix time in milliseconds. */
  readonly now: number;
}

/**
 * A new key with its certificate. The key pair is made on the thread pool.
 *
 * @throws SubjectError when the subject is not a distinguished name.
 */
export async function generateKey(input: GenerateInput): Promise<KeyMaterial> {
  const { algorithm, modulusLength, subject, lifetime, now } = input;
  const pair = await ALGORITHMS[algorithm].generate(modulusLength);
  const jwk = publicJwk(algorithm, pair.publicKey);
  const certificate = await selfSigned({ algorithm, ...pair, subject, lifetime, now });
  const privateKey = new PrivateKey(pair.privateKey);
  return { kid: jwk.kid, algorithm, jwk, ...withFacts(certificate), privateKey };
}
