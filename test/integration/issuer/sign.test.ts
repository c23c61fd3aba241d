import { createRemoteJWKSet, decodeJwt, jwtVerify } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HOUR } from '../../../src/api/constants.ts';
import type { Keyring } from '../../../src/keys/keyring.ts';
import { aKeyring } from '../../support/keyrings.ts';
import { type Account, json, startWorld, type World } from './world.ts';

let world: World;
let login: Keyring;
let strict: Keyring;

beforeAll(async () => {
  world = await startWorld();
  login = await world.store(await aKeyring().with(world.identity('login')).build());
  const audiences = ['https://api.example.com', 'billing'];
  const identity = world.identity('strict', 'https://login.example.com/strict/');
  strict = await world.store(
    await aKeyring()
      .with({ ...identity, audiences, maxLifetime: HOUR })
      .build(),
  );
});
afterAll(() => world?.[Symbol.asyncDispose]());

interface Sign {
  readonly set?: string;
  readonly account?: Account | undefined;
  readonly audience?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: unknown;
}

async function sign({ set = 'login', account = 'authority', audience, headers, body }: Sign) {
  const { issuer } = set === 'strict' ? strict : login;
  const token = await world.token(account, audience ?? issuer);
  return world.fetch(`/${world.tenant}/${set}/sign`, {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      Authorization: `Bearer ${token}`,
      ...headers,
    },
    body: typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body),
  });
}

async function verify(token: string, audience: string) {
  const jwks = createRemoteJWKSet(
    new URL(`${world.base}/${world.tenant}/login/.well-known/jwks.json`),
  );
  return jwtVerify(token, jwks, { issuer: login.issuer, audience });
}

interface Signed {
  readonly token: string;
  readonly kid: string;
  readonly expiresAt: string;
}

describe('a caller that may sign claims', () => {
  it('gets an ID token that a third-party library verifies with the JWKS', async () => {
    const claims = { sub: 'alice', roles: ['admin'] };
    const response = await sign({ body: { claims, audience: 'app', lifetime: '15m' } });
    expect(response.status).toBe(200);
    expect(response.headers.get('cache-control')).toBe('no-store');
    const { token, kid, expiresAt } = await json<Signed>(response);
    const { payload, protectedHeader } = await verify(token, 'app');
    expect(protectedHeader).toEqual({ alg: 'ES256', typ: 'JWT', kid });
    expect(kid).toBe(login.keys.find((key) => key.state === 'current')?.kid);
    expect(payload).toMatchObject({ ...claims, nbf: payload.iat });
    expect(Number(payload.exp) - Number(payload.iat)).toBe(900);
    expect(new Date(expiresAt).getTime()).toBe(Number(payload.exp) * 1000);
  });

  it('gets an access token (RFC 9068) about itself where it names no subject', async () => {
    const response = sign({ body: { claims: {}, type: 'access_token', lifetime: 60 } });
    const { token } = await json<Signed>(response);
    const { payload, protectedHeader } = await verify(token, login.issuer);
    const caller = world.username('authority');
    expect(protectedHeader.typ).toBe('at+jwt');
    expect(payload).toMatchObject({ sub: caller, client_id: caller });
    expect(payload.jti).toMatch(/^[\da-f-]{36}$/);
    expect(Number(payload.exp) - Number(payload.iat)).toBe(60);
  });

  it('gets the first of the allowed audiences unless it asks for others of them', async () => {
    const audienceFor = async (claims: object) => {
      const { token } = await json<Signed>(sign({ set: 'strict', body: { claims } }));
      return decodeJwt(token).aud;
    };
    const both = ['billing', 'https://api.example.com'];
    expect(await audienceFor({ sub: 'a' })).toBe('https://api.example.com');
    expect(await audienceFor({ sub: 'a', aud: both })).toEqual(both);
  });

  it('leaves one audit line a token, which says who, for whom and until when', async () => {
    const response = await sign({ body: { claims: { sub: 'carol' }, audience: 'audited' } });
    const { kid } = await json<Signed>(response);
    const lines = world.lines.filter(({ aud }) => aud === 'audited');
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({
      audit: 'TokenSigned',
      caller: world.username('authority'),
      set: `${world.tenant}/login`,
      requestId: response.headers.get('x-request-id'),
      kid,
      jti: expect.any(String),
      exp: expect.any(Number),
    });
  });
});

const claims = { sub: 'alice' };
const withSubject = (size: number) => JSON.stringify({ claims: { sub: 'x'.repeat(size) } });
const nested = (depth: number) => `{"claims":{"a":${'['.repeat(depth)}${']'.repeat(depth)}}}`;
const header = (name: string, value: string): Sign => ({
  headers: { [name]: value },
  body: { claims },
});
const reserved = ['iss', 'iat', 'nbf', 'exp', 'jti', 'kid', 'alg', 'cty', 'x5t#S256'];

/** By status, code and what the caller is told to do. */
const REFUSED: Readonly<Record<string, Readonly<Record<string, Sign>>>> = {
  '401 token_required: Send a ServiceAccount token whose audience is the issuer: Authorization: Bearer <token>.':
    {
      'no token': header('Authorization', ''),
      'a Basic credential': header('Authorization', 'Basic YTpi'),
    },
  '401 token_invalid: Send a valid ServiceAccount token whose audience is the issuer, such as kubectl create token <name> --audience=<issuer>.':
    {
      'something that is no token': header('Authorization', 'Bearer nonsense'),
      'a token for another audience': { audience: 'https://other.example.com/', body: { claims } },
      'a token for this issuer but for its slash': {
        set: 'strict',
        audience: 'https://login.example.com/strict',
        body: { claims },
      },
    },
  '403 permission_denied: Bind the caller to a role with the verb create on signingkeysets/claims of this set.':
    {
      'no permission': { account: 'stranger', body: { claims } },
      'the permission for tokens about oneself': { account: 'client', body: { claims } },
    },
  '404 set_unknown: Ask under the issuer URL of a set: see kubectl get sks -A.': {
    'a set that does not exist': { set: 'nowhere', body: { claims } },
  },
  '413 body_too_large: Send at most 64 KiB.': {
    '1 MiB of body': { body: withSubject(1024 * 1024) },
    'a body just over 64 KiB': { body: withSubject(64 * 1024 - 20) },
  },
  '415 media_type_unsupported: Send Content-Type: application/json, and a body.': {
    'another content type': header('Content-Type', 'text/plain'),
  },
  '415 media_type_unsupported: Send the body uncompressed.': {
    'a compressed body': header('Content-Encoding', 'gzip'),
  },
  '400 json_too_deep: Nest objects and arrays at most 32 deep.': {
    'nesting 10,000 deep': { body: nested(10_000) },
    'nesting 33 deep': { body: nested(31) },
  },
  '400 json_invalid: Send one JSON text (RFC 8259) in UTF-8.': {
    'an empty body': { body: '' },
    'half a JSON text': { body: '{"claims": {' },
  },
  '400 json_invalid: Send a JSON object: {"claims": {"sub": "…"}}.': {
    'JSON that is no object': { body: [] },
  },
  '400 json_invalid: Send the body in UTF-8.': {
    'bytes that are not UTF-8': { body: Buffer.from('{"claims":{"sub":"\xff"}}', 'latin1') },
  },
  '400 json_invalid: A number is too large for a double (RFC 8259 section 6).': {
    'a number that no double holds': { body: '{"claims":{"n":1e999}}' },
  },
  '400 number_inexact: Send an integer beyond 2^53 - 1 as a string.': {
    'an integer that a double rounds': { body: '{"claims":{"id":9007199254740993}}' },
  },
  '400 member_forbidden: No member may be called __proto__, constructor, prototype.': {
    '__proto__ in the claims': { body: '{"claims":{"__proto__":{"sub":"x"}}}' },
    '__proto__ written with an escape': { body: '{"claims":{"\\u005f_proto__":1}}' },
    'constructor deep in the claims': { body: { claims: { a: [{ constructor: 1 }] } } },
  },
  '400 member_unknown: Send no member but claims, lifetime, audience, type.': {
    'a kid of the caller’s choice': { body: { claims, kid: 'x' } },
  },
  '400 claims_invalid: Send claims as a JSON object.': {
    'no claims': { body: {} },
    'claims that are no object': { body: { claims: ['sub'] } },
  },
  '400 claims_invalid: sub and client_id are strings of 1 to 255 characters.': {
    'an empty subject': { body: { claims: { sub: '' } } },
  },
  ...Object.fromEntries(
    reserved.map((name) => [
      `400 claim_reserved: Leave out ${name}: the issuer sets iss, iat, nbf, exp, jti and the header.`,
      { [`${name} in the claims`]: { body: { claims: { [name]: 1 } } } },
    ]),
  ),
  '400 type_unknown: Set type to id_token or access_token.': {
    'an unknown type': { body: { claims, type: 'refresh_token' } },
  },
  '400 lifetime_too_long: Ask for at most 24h, or raise spec.tokens.maxLifetime.': {
    'more than the longest': { body: { claims, lifetime: '24h1s' } },
  },
  '400 lifetime_invalid: A token lives for a second at least.': {
    'minus one second': { body: { claims, lifetime: -1 } },
  },
  '400 lifetime_invalid: Send a duration such as 15m, or a number of seconds.': {
    'a lifetime that does not parse': { body: { claims, lifetime: 'soon' } },
  },
  '400 audience_not_allowed: Ask for one of the audiences in spec.tokens.audiences of the set.': {
    'an audience not on the list': { set: 'strict', body: { claims, audience: 'other' } },
  },
  '400 audience_invalid: Send the audience as a string or an array of strings.': {
    'an audience that is no string': { body: { claims, audience: [1] } },
  },
  '400 audience_invalid: Send the audience once: as audience, or as claims.aud.': {
    'an audience in both places': { body: { claims: { aud: 'a' }, audience: 'a' } },
  },
  '400 audience_reserved: Tokens for the management API (<issuer>/api/v2/) are not signed for callers; use a role on signingkeysets/rotation.':
    Object.fromEntries(
      ['api/v2/', 'api/v2', 'API/V2/', 'x/../api/v2/', 'api%2fv2/', '/api//v2/users'].map(
        (path) => [
          `the audience <issuer>/${path}`,
          { set: 'strict', body: { claims, audience: `https://login.example.com/strict/${path}` } },
        ],
      ),
    ),
};
const ROWS = Object.entries(REFUSED).flatMap(([answer, asks]) => {
  const [, status, code = '', detail] = /^(\d+) (\w+): (.+)$/.exec(answer) ?? [];
  return Object.entries(asks).map(([what, ask]) => ({ what, status, code, detail, ask }));
});

/** RFC 6750 section 3: no error where no token was sent. */
const CHALLENGES: Readonly<Record<string, RegExp>> = {
  token_required: /^Bearer realm="[^"]+"$/,
  token_invalid: /^Bearer realm="[^"]+", error="invalid_token"$/,
  permission_denied: /^Bearer realm="[^"]+", error="insufficient_scope"$/,
};

describe('POST /sign refuses', () => {
  it.each(ROWS)('$what: $status $code', async ({ status, code, detail, ask }) => {
    const response = await sign(ask);
    expect(await json(response)).toEqual({
      type: 'about:blank',
      title: expect.any(String),
      status: Number(status),
      detail,
      code,
      requestId: response.headers.get('x-request-id'),
    });
    expect(response.status).toBe(Number(status));
    expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(response.headers.get('www-authenticate') ?? '').toMatch(CHALLENGES[code] ?? /^$/);
  });

  it('another method, naming the one to use', async () => {
    const response = await world.fetch(`/${world.tenant}/login/sign`);
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBe('POST');
  });

  it('nothing without counting it, by code and never by name', async () => {
    const text = await world.registry.metrics();
    expect(text).toMatch(/signet_tokens_total\{algorithm="ES256",result="signed"\} [1-9]/);
    expect(text).toMatch(/signet_tokens_total\{algorithm="ES256",result="permission_denied"\} 2/);
    for (const code of ['token_required', 'body_too_large', 'number_inexact']) {
      expect(text).toMatch(
        new RegExp(`signet_tokens_total\\{algorithm="ES256",result="${code}"\\} [1-9]`),
      );
    }
    expect(text).toMatch(/signet_tokens_total\{algorithm="none",result="set_unknown"\} 1/);
    expect(text).toMatch(/signet_http_request_duration_seconds_count\{route="sign",status="4xx"\}/);
    expect(text).not.toContain(world.tenant);
  });

  it('nothing in a way that shows a private member or the token of the caller', () => {
    expect(world.remembered.canaries).toBeGreaterThan(5);
    expect(world.remembered.replies).toBeGreaterThan(ROWS.length);
    expect(world.leaks()).toEqual([]);
  });
});
