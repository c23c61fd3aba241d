import { randomUUID } from 'node:crypto';
import { HOUR, SECOND } from '../api/constants.ts';
import { formatDuration } from '../api/duration.ts';
import type { Algorithm } from '../keys/algorithms.ts';
import { signJwt } from '../keys/jwt.ts';
import type { Keyring, SigningKey } from '../keys/keyring.ts';
import { type Found, unavailable } from './locate.ts';
import { Refusal } from './refusals.ts';

export type TokenType = 'id_token' | 'access_token';

/** `typ` of the JOSE header: RFC 7519 section 5.1, RFC 9068 section 2.1. */
const HEADER_TYPE: Readonly<Record<TokenType, string>> = {
  id_token: 'JWT',
  access_token: 'at+jwt',
};

export function isTokenType(name: unknown): name is TokenType {
  return typeof name === 'string' && Object.hasOwn(HEADER_TYPE, name);
}

/** Claims that the issuer sets, and no caller. */
export const SET_BY_ISSUER = ['iss', 'iat', 'nbf', 'exp', 'jti'] as const;

export interface TokenRequest {
  readonly type: TokenType;
  /** Everything but what the issuer sets. */
  readonly claims: Readonly<Record<string, unknown>>;
  readonly audience: string | readonly string[];
  /** In milliseconds; default: one hour, or the longest allowed where that is shorter. */
  readonly lifetime?: number | undefined;
}

export interface IssuedToken {
  readonly token: string;
  readonly algorithm: Algorithm;
  readonly kid: string;
  readonly jti: string;
  /** Unix seconds, as in the token. */
  readonly issuedAt: number;
  readonly expiresAt: number;
}

/**
 * Signs with the current key of the set.
 *
 * No token outlives L from now (I15): at demotion the controller keeps a key for
 * R + L + S more (`tokensUntil`), so the L of a ring confirmed within R is the limit.
 *
 * @param now - Unix milliseconds.
 * @throws Refusal `set_deleted`, `keyring_unavailable`, `lifetime_invalid`, `lifetime_too_long`.
 */
export async function issueToken(
  found: Found,
  request: TokenRequest,
  now: number,
): Promise<IssuedToken> {
  const { ring } = found.set;
  const key = signer(found);
  const issuedAt = Math.floor(now / SECOND);
  const expiresAt = issuedAt + lifetimeSeconds(ring, request.lifetime);
  const jti = randomUUID();
  const token = await signJwt({
    algorithm: key.algorithm,
    kid: key.kid,
    privateKey: key.privateKey,
    type: HEADER_TYPE[request.type],
    claims: {
      ...request.claims,
      iss: ring.issuer,
      aud: request.audience,
      iat: issuedAt,
      nbf: issuedAt,
      exp: expiresAt,
      jti,
    },
  });
  return { token, algorithm: key.algorithm, kid: key.kid, jti, issuedAt, expiresAt };
}

type Signer = SigningKey & Required<Pick<SigningKey, 'privateKey'>>;

/**
 * The one key of a set that signs, where the set signs at all.
 * @throws Refusal `set_deleted`, `keyring_unavailable`.
 */
export function signer({ set, standing }: Found): Signer {
  if (standing === 'retired') {
    throw new Refusal(
      'set_deleted',
      'Its keys still verify for a while; make the SigningKeySet again to go on signing.',
    );
  }
  const key = set.ring.keys.find(isSigner);
  if (standing !== 'active' || key === undefined) throw unavailable();
  return key;
}

function isSigner(key: SigningKey): key is Signer {
  return key.state === 'current' && key.privateKey !== undefined;
}

function lifetimeSeconds({ maxLifetime }: Keyring, asked = Math.min(maxLifetime, HOUR)): number {
  if (asked > maxLifetime) {
    throw new Refusal(
      'lifetime_too_long',
      `Ask for at most ${formatDuration(maxLifetime)}, or raise spec.tokens.maxLifetime.`,
    );
  }
  const seconds = Math.floor(asked / SECOND);
  if (seconds < 1) throw new Refusal('lifetime_invalid', 'A token lives for a second at least.');
  return seconds;
}
