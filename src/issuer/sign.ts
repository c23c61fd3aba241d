import type { IncomingMessage } from 'node:http';
import { SECOND } from '../api/constants.ts';
import { parseDuration } from '../api/duration.ts';
import type { Keyring } from '../keys/keyring.ts';
import { chooseAudience } from './audience.ts';
import type { Caller } from './authorize.ts';
import { expectBody, readBody } from './body.ts';
import type { Exchange } from './exchange.ts';
import { issue } from './issue.ts';
import { isTokenType, SET_BY_ISSUER, type TokenRequest, type TokenType } from './issue-token.ts';
import { isObject, type Json, type JsonObject, parseJson } from './json.ts';
import { locate } from './locate.ts';
import { Refusal } from './refusals.ts';
import { remember } from './remember.ts';
import type { Endpoint } from './services.ts';

const MEMBERS: ReadonlySet<string> = new Set(['claims', 'lifetime', 'audience', 'type']);

/** Names that mean something in a JOSE header (RFC 7515 section 4.1) and nothing good in claims. */
const HEADER_PARAMETERS = [
  'alg',
  'kid',
  'typ',
  'crit',
  'jku',
  'jwk',
  'x5u',
  'x5c',
  'x5t',
  'x5t#S256',
  'cty',
];
const RESERVED: ReadonlySet<string> = new Set([...SET_BY_ISSUER, ...HEADER_PARAMETERS]);

const MAX_SUBJECT = 255;
const SMALL_BODY = 4 * 1024;

/** `POST /sign`: the issuing authority itself. */
export const signEndpoint: Endpoint = (services) => async (exchange) => {
  const find = () => locate(services, exchange);
  find();
  const token = bearerToken(exchange.request);
  expectBody(services, exchange, 'application/json');
  const early = hasCome(exchange) ? readBody(exchange.request) : undefined;
  // Nobody waits for it where the caller is refused.
  early?.catch(() => {});
  await issue(services, exchange, {
    find,
    token,
    power: 'claims',
    // A large one not before it is known who sends it.
    receive: () => early ?? readBody(exchange.request),
    read: (body, ring, caller) => readSignRequest(parseJson(body), ring, caller),
    answer: ({ token: signed, kid, expiresAt }) => {
      return { token: signed, kid, expiresAt: dateTime(expiresAt) };
    },
  });
};

/** A small body comes with its headers, and takes memory whether it is read or not. */
function hasCome({ holds }: Exchange): boolean {
  return holds !== undefined && holds.bytes <= SMALL_BODY;
}

/** RFC 3339, of Unix seconds; tokens of one second end together. */
const dateTime = remember(100, (seconds: number) =>
  new Date(seconds * SECOND).toISOString().replace('.000', ''),
);

/** RFC 6750 section 2.1. */
function bearerToken({ headers }: IncomingMessage): string {
  const [, token] = /^bearer +([\w.~+/-]+=*) *$/i.exec(headers.authorization ?? '') ?? [];
  if (token !== undefined) return token;
  throw new Refusal(
    'token_required',
    'Send a ServiceAccount token whose audience is the issuer: Authorization: Bearer <token>.',
  );
}

/**
 * Reads the body of `POST /sign`: `{claims, lifetime?, audience?, type?}`. `lifetime` is a duration
 * such as `15m`, or seconds; `audience` one string or several, and may stand in the claims as `aud`
 * instead. A token needs a subject (OpenID Connect Core section 2, RFC 9068 section 2.2): without
 * `sub` it is about the caller.
 *
 * @throws Refusal naming the member and what to send instead.
 */
function readSignRequest(body: Json, ring: Keyring, caller: Caller): TokenRequest {
  if (!isObject(body)) {
    throw new Refusal('json_invalid', 'Send a JSON object: {"claims": {"sub": "…"}}.');
  }
  if (Object.keys(body).some((member) => !MEMBERS.has(member))) {
    throw new Refusal('member_unknown', `Send no member but ${[...MEMBERS].join(', ')}.`);
  }
  const { type: asked, claims: given, audience, lifetime } = body;
  const type = readType(asked);
  const { aud, ...claims } = readClaims(given);
  return {
    type,
    claims: { sub: caller.username, ...clientOf(type, caller), ...claims },
    audience: chooseAudience(ring, readAudience(audience, aud)),
    lifetime: readLifetime(lifetime),
  };
}

/** RFC 9068 section 2.2 wants the client that asked; an ID token has none. */
function clientOf(type: TokenType, caller: Caller): { client_id?: string } {
  return type === 'access_token' ? { client_id: caller.username } : {};
}

function readType(type: Json = 'id_token'): TokenType {
  if (isTokenType(type)) return type;
  throw new Refusal('type_unknown', 'Set type to id_token or access_token.');
}

function readClaims(claims: Json | undefined): JsonObject {
  if (!isObject(claims)) throw new Refusal('claims_invalid', 'Send claims as a JSON object.');
  const reserved = Object.keys(claims).find((claim) => RESERVED.has(claim));
  if (reserved !== undefined) {
    throw new Refusal(
      'claim_reserved',
      `Leave out ${reserved}: the issuer sets ${SET_BY_ISSUER.join(', ')} and the header.`,
    );
  }
  const { sub, client_id: client } = claims;
  for (const identity of [sub, client]) {
    const fits = typeof identity === 'string' && identity !== '' && identity.length <= MAX_SUBJECT;
    if (identity !== undefined && !fits) {
      throw new Refusal(
        'claims_invalid',
        `sub and client_id are strings of 1 to ${MAX_SUBJECT} characters.`,
      );
    }
  }
  return claims;
}

function readAudience(member: Json | undefined, claim: Json | undefined): readonly string[] {
  if (member !== undefined && claim !== undefined) {
    throw new Refusal('audience_invalid', 'Send the audience once: as audience, or as claims.aud.');
  }
  const asked = member ?? claim;
  if (asked === undefined) return [];
  const audiences = Array.isArray(asked) ? asked : [asked];
  if (audiences.length > 0 && audiences.every((one) => typeof one === 'string')) return audiences;
  throw new Refusal('audience_invalid', 'Send the audience as a string or an array of strings.');
}

/** A body has at most 64 KiB, and hardly two callers differ in what they ask for. */
const duration = remember(100, parseDuration);

function readLifetime(lifetime: Json | undefined): number | undefined {
  if (lifetime === undefined) return undefined;
  if (typeof lifetime === 'number') return lifetime * SECOND;
  try {
    if (typeof lifetime === 'string') return duration(lifetime);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  throw new Refusal('lifetime_invalid', 'Send a duration such as 15m, or a number of seconds.');
}
