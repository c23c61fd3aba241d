import type { Algorithm } from './algorithms.ts';
import type { PrivateKey } from './private-key.ts';

/** Unix time in milliseconds. */
export type Instant = number;

/** The states in which a key is published (rule I7 names the only ways between them). */
export type KeyState = 'current' | 'next' | 'previous';

/** A public JWK (RFC 7517) with the members that verifiers look at; never a private member (I12). */
export interface PublicJwk {
  readonly kty: string;
  readonly kid: string;
  readonly alg: Algorithm;
  readonly use: 'sig';
  readonly n?: string;
  readonly e?: string;
  readonly crv?: string;
  readonly x?: string;
  readonly y?: string;
}

/** One published key of a set. */
export interface SigningKey {
  /** RFC 7638 thumbprint, base64url SHA-256 (I8). */
  readonly kid: string;
  readonly algorithm: Algorithm;
  readonly state: KeyState;
  readonly createdAt: Instant;
  /** When every live replica and every ConfigMap was seen to serve the key; absent: not yet. */
  readonly publishedAt?: Instant;
  readonly promotedAt?: Instant;
  readonly demotedAt?: Instant;
  /** Previous keys: when the key leaves everything we publish. Only grows, but for a request (I22). */
  readonly revokeAt?: Instant;
  /** The latest expiry that a token of this key can have. Only grows (I5, I15). */
  readonly tokensUntil?: Instant;
  /** P as promised to this key, in milliseconds. Only grows (I22). */
  readonly propagationDelay: number;
  /** Written together with the set's first current key, so it is in the first JWKS ever served. */
  readonly inFirstJwks: boolean;
  readonly jwk: PublicJwk;
  /** Self-signed X.509 certificate, PEM. Absent for a key of which only a public half was given. */
  readonly certificate?: string;
  /** Of the certificate, read from it and not stored: hexadecimal SHA-256 with colons. */
  readonly fingerprint?: string;
  /** Of the certificate, read from it and not stored. */
  readonly notAfter?: Instant;
  /**
   * Current, next and the newest previous key have it, older ones do not; in an issuer the current
   * one alone.
   */
  readonly privateKey?: PrivateKey;
}

/** What stays of a key after it was revoked: listed in status, published nowhere (I6). */
export interface RevokedKey {
  readonly kid: string;
  readonly algorithm: Algorithm;
  readonly createdAt: Instant;
  readonly publishedAt?: Instant;
  readonly promotedAt?: Instant;
  readonly demotedAt?: Instant;
  readonly revokedAt: Instant;
  /** When every replica and every ConfigMap was seen to be without it; absent: not yet. */
  readonly revokedEverywhereAt?: Instant;
  /** Hexadecimal SHA-256 of the certificate, with colons. */
  readonly fingerprint?: string;
  readonly notAfter?: Instant;
}

/** Whose keyring this is. A uid outlives a name: a set made again under the same name has another. */
export interface KeyringOwner {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly namespaceUid: string;
}

/** What started a rotation. */
export type RotationTrigger = 'Request' | 'Force' | 'Compromised' | 'Rollback' | 'Schedule' | 'Age';

export interface LastRotation {
  readonly at: Instant;
  readonly trigger: RotationTrigger;
  /** The request as typed, such as `rotate=now`. */
  readonly request?: string;
  readonly from: string;
  readonly to: string;
}

/** What somebody may still hold who fetched the JWKS before P was made shorter (I1, I22). */
export interface OlderCaches {
  /** How long such a copy lives, in milliseconds. */
  readonly maxAge: number;
  /** When the last of them has run out. */
  readonly until: Instant;
}

/** The record that makes a request count once (I9). */
export interface RequestRecord {
  /** The number of the last request that was carried out or refused; the next one is one above. */
  readonly number: number;
  /** The last 16 texts of `rotate=id:<text>`, oldest first. */
  readonly ids: readonly string[];
}

/**
 * Everything that signing and publishing need, in one object: what the Secret of a set holds.
 * Immutable; a change is a new keyring, written in one guarded update (I10).
 */
export interface Keyring {
  readonly owner: KeyringOwner;
  /** The uids of the sets of the same name that this keyring served before (`KeysResumed`). */
  readonly formerUids: readonly string[];
  /** `iss` of every token, byte for byte as first stored. */
  readonly issuer: string;
  /** Whether the issuer was given in the spec or made from the operator's public URL. */
  readonly issuerSource: 'spec' | 'default';
  /** L in force, in milliseconds. */
  readonly maxLifetime: number;
  /** P in force, in milliseconds. */
  readonly propagationDelay: number;
  /** JWKS copies that were made under a longer P; absent once none can be left. */
  readonly olderCaches?: OlderCaches;
  /** The allow-list of token audiences; empty: any that is not reserved. */
  readonly audiences: readonly string[];
  /** Exactly one `current`, exactly one `next`, at most three `previous`, newest first. */
  readonly keys: readonly SigningKey[];
  /** The last revoked keys, newest first: at most 16, of which status lists three. */
  readonly revoked: readonly RevokedKey[];
  readonly requests: RequestRecord;
  readonly lastRotation?: LastRotation;
  /** Since when the set is gone: nothing is signed any more, everything else stays for a while. */
  readonly retiredAt?: Instant;
}
