import { constants, generateKeyPair, type KeyObject, type SignKeyObjectInput } from 'node:crypto';
import { promisify } from 'node:util';
import type { PrivateKey } from './private-key.ts';
import { signingThreads } from './signing-threads.ts';

/** JWS algorithms a set can use (RFC 7518 section 3.1, RFC 8037), as `spec.algorithm` names them. */
export type Algorithm =
  | 'RS256'
  | 'RS384'
  | 'RS512'
  | 'PS256'
  | 'PS384'
  | 'PS512'
  | 'ES256'
  | 'ES384'
  | 'ES512'
  | 'EdDSA';

export type KeyType = 'RSA' | 'EC' | 'OKP';
type Hash = 'SHA-256' | 'SHA-384' | 'SHA-512';
type Curve = 'P-256' | 'P-384' | 'P-521' | 'Ed25519';

export interface KeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

/** Everything that differs between algorithms. */
export interface AlgorithmRow {
  readonly family: 'RSASSA-PKCS1-v1_5' | 'RSASSA-PSS' | 'ECDSA' | 'EdDSA';
  /** `kty` of the JWK. */
  readonly kty: KeyType;
  /** Absent for EdDSA, which has a hash of its own (RFC 8032). */
  readonly hash?: Hash;
  /** `crv` of the JWK; absent for RSA. */
  readonly curve?: Curve;
  /**
   * Makes a key pair on the thread pool. `modulusLength` (bits) is for RSA alone. Keys for PS* are
   * plain `rsa` too, because any library reads such a key.
   */
  readonly generate: (modulusLength: number) => Promise<KeyPair>;
  /** The parameters of `crypto.sign` that give the signature the form that JWS has. */
  readonly signing: Omit<SignKeyObjectInput, 'key'>;
  /** Signs in some 30 µs; the others take 0.3 to 2 ms. */
  readonly isQuick: boolean;
  /**
   * How the key signs its own certificate. PS* keys do so with PKCS #1 v1.5, because gateways that
   * verify PS256 tokens do not all read a certificate signed with PSS.
   */
  readonly x509: Readonly<{ name: string; hash?: Hash; namedCurve?: Curve }>;
}

const newPair = promisify(generateKeyPair);

function rsa(family: 'RSASSA-PKCS1-v1_5' | 'RSASSA-PSS', hash: Hash): AlgorithmRow {
  const signing =
    family === 'RSASSA-PSS'
      ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
      : { padding: constants.RSA_PKCS1_PADDING };
  return {
    family,
    kty: 'RSA',
    hash,
    generate: (modulusLength) => newPair('rsa', { modulusLength }),
    signing,
    isQuick: false,
    x509: { name: 'RSASSA-PKCS1-v1_5', hash },
  };
}

function ecdsa(curve: Curve, hash: Hash): AlgorithmRow {
  return {
    family: 'ECDSA',
    kty: 'EC',
    hash,
    curve,
    generate: () => newPair('ec', { namedCurve: curve }),
    signing: { dsaEncoding: 'ieee-p1363' },
    isQuick: curve === 'P-256',
    x509: { name: 'ECDSA', hash, namedCurve: curve },
  };
}

export const ALGORITHMS: Readonly<Record<Algorithm, AlgorithmRow>> = {
  RS256: rsa('RSASSA-PKCS1-v1_5', 'SHA-256'),
  RS384: rsa('RSASSA-PKCS1-v1_5', 'SHA-384'),
  RS512: rsa('RSASSA-PKCS1-v1_5', 'SHA-512'),
  PS256: rsa('RSASSA-PSS', 'SHA-256'),
  PS384: rsa('RSASSA-PSS', 'SHA-384'),
  PS512: rsa('RSASSA-PSS', 'SHA-512'),
  ES256: ecdsa('P-256', 'SHA-256'),
  ES384: ecdsa('P-384', 'SHA-384'),
  ES512: ecdsa('P-521', 'SHA-512'),
  EdDSA: {
    family: 'EdDSA',
    kty: 'OKP',
    curve: 'Ed25519',
    generate: () => newPair('ed25519'),
    signing: {},
    isQuick: true,
    x509: { name: 'Ed25519' },
  },
};

export const ALGORITHM_NAMES = Object.keys(ALGORITHMS) as readonly Algorithm[];

export function isAlgorithm(name: unknown): name is Algorithm {
  return typeof name === 'string' && Object.hasOwn(ALGORITHMS, name);
}

/**
 * The JWS signature (RFC 7515 section 5.1) of `bytes`. It is there in the next turn of the event loop
 * or later.
 */
export function sign(
  algorithm: Algorithm,
  privateKey: PrivateKey,
  bytes: Uint8Array,
): Promise<Uint8Array> {
  const { hash, signing, isQuick } = ALGORITHMS[algorithm];
  const task = { hash, bytes, key: { key: privateKey.keyObject, ...signing } };
  return isQuick ? signingThreads.sign(task) : signingThreads.share(task);
}
