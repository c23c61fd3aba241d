import { ALGORITHM_NAMES } from './algorithms.ts';
import { KeyringDamagedError } from './damage.ts';
import {
  count,
  duration,
  type Form,
  flag,
  instant,
  list,
  matching,
  oneOf,
  optional,
  record,
  text,
} from './form.ts';
import type {
  Keyring,
  KeyringOwner,
  LastRotation,
  OlderCaches,
  PublicJwk,
  RequestRecord,
  RevokedKey,
  SigningKey,
} from './keyring.ts';

/**
 * The version of the format below; any change of it, however small, is another version. After 0.2.0
 * one version of Signet reads a new format, and the next one writes it: docs/upgrade.md.
 */
export const FORMAT = 2;
/** Version 1 is version 2 without `revokedEverywhereAt` and with fewer triggers. */
export const READABLE = [1, FORMAT] as const;

/** The parts of a key that stand in entries of their own, and the ends of their names. */
export const PARTS = { privateKey: '.key', certificate: '.crt' } as const;
export type Part = keyof typeof PARTS;

/** A key as `keyring.json` has it; what its certificate says is not said twice. */
export interface StoredKey extends Omit<SigningKey, Part | 'fingerprint' | 'notAfter'> {
  /** The entries that belong to the key, so that one that was lost is missed. */
  readonly holds: readonly Part[];
}

/** The content of `keyring.json`: everything of a keyring but key material. */
export interface StoredKeyring extends Omit<Keyring, 'keys'> {
  readonly format: (typeof READABLE)[number];
  readonly keys: readonly StoredKey[];
}

const name = matching('a name', /^.+$/u);
const KID = /^[\w-]{43}$/;
const kid = matching('an RFC 7638 thumbprint', KID);
const base64url = matching('base64url', /^[\w-]+$/);
const algorithm = oneOf(...ALGORITHM_NAMES);

const owner = record<KeyringOwner>({
  namespace: name,
  name,
  uid: name,
  namespaceUid: name,
});

const jwk = record<PublicJwk>({
  kty: text,
  use: oneOf('sig'),
  alg: algorithm,
  kid,
  n: optional(base64url),
  e: optional(base64url),
  crv: optional(text),
  x: optional(base64url),
  y: optional(base64url),
});

const key = record<StoredKey>({
  kid,
  state: oneOf('current', 'next', 'previous'),
  algorithm,
  createdAt: instant,
  publishedAt: optional(instant),
  promotedAt: optional(instant),
  demotedAt: optional(instant),
  revokeAt: optional(instant),
  tokensUntil: optional(instant),
  propagationDelay: duration,
  inFirstJwks: flag,
  holds: list(oneOf('privateKey', 'certificate')),
  jwk,
});

const revoked = record<RevokedKey>({
  kid,
  algorithm,
  createdAt: instant,
  publishedAt: optional(instant),
  promotedAt: optional(instant),
  demotedAt: optional(instant),
  revokedAt: instant,
  revokedEverywhereAt: optional(instant),
  fingerprint: optional(matching('a SHA-256 fingerprint', /^[\dA-F]{2}(:[\dA-F]{2}){31}$/)),
  notAfter: optional(instant),
});

const lastRotation = record<LastRotation>({
  at: instant,
  trigger: oneOf('Request', 'Force', 'Compromised', 'Rollback', 'Schedule', 'Age'),
  request: optional(text),
  from: kid,
  to: kid,
});

/** Whoever runs `base64 -d` on the entry reads it in this order. */
export const KEYRING: Form<StoredKeyring> = record<StoredKeyring>({
  format: oneOf(...READABLE),
  owner,
  formerUids: list(name),
  issuer: name,
  issuerSource: oneOf('spec', 'default'),
  maxLifetime: duration,
  propagationDelay: duration,
  olderCaches: optional(record<OlderCaches>({ maxAge: duration, until: instant })),
  audiences: list(text),
  keys: list(naming(key)),
  revoked: list(naming(revoked)),
  requests: record<RequestRecord>({ number: count, ids: list(text) }),
  lastRotation: optional(lastRotation),
  retiredAt: optional(instant),
});

/** Adds to an error which key it is about. */
function naming<T>(form: Form<T>): Form<T> {
  return {
    write: form.write,
    read(json, at) {
      try {
        return form.read(json, at);
      } catch (error) {
        if (!(error instanceof KeyringDamagedError)) throw error;
        throw error.about(kidIn(json));
      }
    },
  };
}

function kidIn(json: unknown): string | undefined {
  if (typeof json !== 'object' || json === null || !('kid' in json)) return undefined;
  return typeof json.kid === 'string' && KID.test(json.kid) ? json.kid : undefined;
}
