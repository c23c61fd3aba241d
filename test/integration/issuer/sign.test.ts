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

const REFUSED: Readonly<Record<string, Readonly<Record<string, Sign>>>> = {
  '401 token_required': {
    'no token': header('Authorization', ''),
    'a Basic credential': header('Authorization', 'Basic YTpi'),
  },
  '401 token_invalid': {
    'something that is no token': header('Authorization', 'Bearer nonsense'),
    'a token for another audience': { audience: 'https://other.example.com/', body: { claims } },
    'a token for this issuer but for its slash': {
      set: 'strict',
      audience: 'https://login.example.com/strict',
      body: { claims },
    },
  },
  '403 permission_denied': {
    'no permission': { account: 'stranger', body: { claims } },
    'the permission for tokens about oneself': { account: 'client', body: { claims } },
  },
  '404 set_unknown': { 'a set that does not exist': { set: 'nowhere', body: { claims } } },
  '413 body_too_large': {
    '1 MiB of body': { body: withSubject(1024 * 1024) },
    'a body just over 64 KiB': { body: withSubject(64 * 1024 - 20) },
  },
  '415 media_type_unsupported': {
    'another content type': header('Content-Type', 'text/plain'),
    'a compressed body': header('Content-Encoding', 'gzip'),
  },
  '400 json_too_deep': {
    'nesting 10,000 deep': { body: nested(10_000) },
    'nesting 33 deep': { body: nested(31) },
  },
  '400 json_invalid': {
    'an empty body': { body: '' },
    'half a JSON text': { body: '{"claims": {' },
    'JSON that is no object': { body: [] },
    'bytes that are not UTF-8': { body: Buffer.from('{"claims":{"sub":"\xff"}}', 'latin1') },
    'a number that no double holds': { body: '{"claims":{"n":1e999}}' },
  },
  '400 number_inexact': {
    'an integer that a double rounds': { body: '{"claims":{"id":9007199254740993}}' },
  },
  '400 member_forbidden': {
    '__proto__ in the claims': { body: '{"claims":{"__proto__":{"sub":"x"}}}' },
    '__proto__ written with an escape': { body: '{"claims":{"\\u005f_proto__":1}}' },
    'constructor deep in the claims': { body: { claims: { a: [{ constructor: 1 }] } } },
  },
  '400 member_unknown': { 'a kid of the caller’s choice': { body: { claims, kid: 'x' } } },
  '400 claims_invalid': {
    'no claims': { body: {} },
    'claims that are no object': { body: { claims: ['sub'] } },
    'an empty subject': { body: { claims: { sub: '' } } },
  },
  '400 claim_reserved': Object.fromEntries(
    reserved.map((name) => [`${name} in the claims`, { body: { claims: { [name]: 1 } } }]),
  ),
  '400 type_unknown': { 'an unknown type': { body: { claims, type: 'refresh_token' } } },
  '400 lifetime_too_long': { 'more than the longest': { body: { claims, lifetime: '24h1s' } } },
  '400 lifetime_invalid': {
    'minus one second': { body: { claims, lifetime: -1 } },
    'a lifetime that does not parse': { body: { claims, lifetime: 'soon' } },
  },
  '400 audience_not_allowed': {
    'an audience not on the list': { set: 'strict', body: { claims, audience: 'other' } },
  },
  '400 audience_invalid': {
    'an audience that is no string': { body: { claims, audience: [1] } },
    'an audience in both places': { body: { claims: { aud: 'a' }, audience: 'a' } },
  },
  '400 audience_reserved': Object.fromEntries(
    ['api/v2/', 'api/v2', 'API/V2/', 'x/../api/v2/', 'api%2fv2/', '/api//v2/users'].map((path) => [
      `the audience <issuer>/${path}`,
      { set: 'strict', body: { claims, audience: `https://login.example.com/strict/${path}` } },
    ]),
  ),
};
const ROWS = Object.entries(REFUSED).flatMap(([answer, asks]) =>
  Object.entries(asks).map(([what, ask]) => [what, answer, ask] as const),
);

/** RFC 6750 section 3: no error where no token was sent. */
const CHALLENGES: Readonly<Record<string, RegExp>> = {
  token_required: /^Bearer realm="[^"]+"$/,
  token_invalid: /^Bearer realm="[^"]+", error="invalid_token"$/,
  permission_denied: /^Bearer realm="[^"]+", error="insufficient_scope"$/,
};

describe('POST /sign refuses', () => {
  it.each(ROWS)('%s: %s', async (_what, answer, ask) => {
    const [status, code = ''] = answer.split(' ');
    const response = await sign(ask);
    expect(await json(response)).toEqual({
      type: 'about:blank',
      title: expect.any(String),
      status: Number(status),
      detail: expect.stringMatching(/\.$/),
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
