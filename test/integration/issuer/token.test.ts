import { decodeJwt, decodeProtectedHeader } from 'jose';
import * as client from 'openid-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Keyring } from '../../../src/keys/keyring.ts';
import { aKeyring } from '../../support/keyrings.ts';
import { type Account, json, startWorld, type World } from './world.ts';

const JWT_BEARER = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const [JWT, ACCESS_TOKEN, SAML2] = ['jwt', 'access_token', 'saml2'].map(
  (name) => `urn:ietf:params:oauth:token-type:${name}`,
);

let world: World;
let login: Keyring;
let strict: Keyring;

beforeAll(async () => {
  world = await startWorld();
  login = await world.store(await aKeyring().with(world.identity('login')).build());
  const audiences = ['https://api.example.com', 'https://billing.example.com/v1'];
  strict = await world.store(
    await aKeyring()
      .with({ ...world.identity('strict'), audiences })
      .build(),
  );
});
afterAll(() => world?.[Symbol.asyncDispose]());

interface Ask {
  readonly set?: string;
  readonly account?: Account;
  /** Of the ServiceAccount token. */
  readonly audience?: string;
  /** Default: client credentials. */
  readonly grant?: 'exchange';
  /** Parameters besides the grant and the token; undefined leaves one of those out. */
  readonly form?: Readonly<Record<string, string | undefined>>;
  /** Text after the encoded form. */
  readonly more?: string;
  /** Instead of the form. */
  readonly bytes?: Uint8Array<ArrayBuffer>;
  readonly type?: string;
}

function grantParameters(grant: Ask['grant'], token: string) {
  if (grant === 'exchange') {
    return { grant_type: EXCHANGE, subject_token_type: JWT, subject_token: token };
  }
  const proof = { client_assertion_type: JWT_BEARER, client_assertion: token };
  return { grant_type: 'client_credentials', ...proof };
}

async function ask(asked: Ask) {
  const { set = 'login', account = 'client', audience, grant, form, more = '', type } = asked;
  const ring = set === 'strict' ? strict : login;
  const token = await world.token(account, audience ?? ring.issuer);
  const parameters = { ...grantParameters(grant, token), ...form };
  const sent = Object.entries(parameters).filter(
    (one): one is [string, string] => one[1] !== undefined,
  );
  return world.fetch(`/${world.tenant}/${set}/oauth/token`, {
    method: 'POST',
    headers: { 'Content-Type': type ?? 'application/x-www-form-urlencoded' },
    body: asked.bytes ?? `${new URLSearchParams(sent)}${more}`,
  });
}

describe('a workload', () => {
  async function standardClient(authentication?: client.ClientAuth) {
    const [url, id] = [new URL(login.issuer), world.username('client')];
    const execute = [client.allowInsecureRequests];
    return client.discovery(url, id, undefined, authentication, { execute });
  }

  it.each(['client credentials', 'a token exchange', 'an exchange with client authentication'])(
    'gets an access token about itself by %s, with a standard client',
    async (grant) => {
      const token = await world.token('client', login.issuer);
      const assert: client.ClientAuth = (_server, _client, body) => {
        body.set('client_assertion_type', JWT_BEARER);
        body.set('client_assertion', token);
      };
      const authentication = grant === 'a token exchange' ? client.None() : assert;
      const config = await standardClient(authentication);
      const resource = 'https://api.example.com/';
      const tokens =
        grant === 'client credentials'
          ? await client.clientCredentialsGrant(config, { resource })
          : await client.genericGrantRequest(config, EXCHANGE, {
              subject_token: token,
              subject_token_type: `${JWT}`,
              resource,
            });
      expect(tokens['issued_token_type']).toBe(
        grant === 'client credentials' ? undefined : ACCESS_TOKEN,
      );
      expect(tokens.expires_in).toBe(3600);
      expect(decodeProtectedHeader(tokens.access_token)).toMatchObject({
        alg: 'ES256',
        typ: 'at+jwt',
      });
      expect(decodeJwt(tokens.access_token)).toMatchObject({
        iss: login.issuer,
        sub: world.username('client'),
        client_id: world.username('client'),
        aud: 'https://api.example.com/',
      });
    },
  );

  it('may call the token that it trades and the token that it gets by either of their names', async () => {
    const types = { subject_token_type: ACCESS_TOKEN, requested_token_type: JWT };
    const [first, second] = strict.audiences.map(encodeURIComponent);
    const more = `&audience=${first}&audience=${second}`;
    const response = await ask({ set: 'strict', grant: 'exchange', form: types, more });
    expect(response.headers.get('cache-control')).toBe('no-store');
    const { access_token: token, ...rest } = await json<{ access_token: string }>(response);
    expect(rest).toEqual({ token_type: 'Bearer', expires_in: 3600, issued_token_type: JWT });
    expect(decodeJwt(token).aud).toEqual(strict.audiences);
  });

  it('gets it never cached, for several resources of the allow-list at once', async () => {
    const [first, second] = strict.audiences.map(encodeURIComponent);
    const response = await ask({ set: 'strict', more: `&resource=${first}&resource=${second}` });
    expect(response.status).toBe(200);
    expect(response.headers.get('cache-control')).toBe('no-store');
    const { access_token: token, ...rest } = await json<{ access_token: string }>(response);
    expect(rest).toEqual({ token_type: 'Bearer', expires_in: 3600 });
    expect(decodeJwt(token).aud).toEqual(strict.audiences);
  });
});

/** RFC 8693 section 2.2.2: anything wrong with the tokens is `invalid_request`. */
const EXCHANGES: readonly (readonly [what: string, answer: string, form: Ask['form']])[] = [
  ['no subject', '400 invalid_request subject_token_required', { subject_token: undefined }],
  [
    'no type of it',
    '400 invalid_request subject_token_required',
    { subject_token_type: undefined },
  ],
  ['a SAML subject', '400 invalid_request subject_token_required', { subject_token_type: SAML2 }],
  [
    'a subject that is no token',
    '400 invalid_request subject_token_invalid',
    { subject_token: 'x' },
  ],
  [
    'an actor',
    '400 invalid_request actor_unsupported',
    { actor_token: 'x', actor_token_type: JWT },
  ],
  ['the wish for SAML', '400 invalid_request type_unknown', { requested_token_type: SAML2 }],
  ['another client’s id', '400 invalid_request subject_token_invalid', { client_id: 'someone' }],
  [
    'the assertion of another client',
    '400 invalid_request subject_token_invalid',
    { client_assertion: 'x', client_assertion_type: JWT_BEARER },
  ],
  ['half an assertion', '401 invalid_client token_required', { client_assertion_type: JWT_BEARER }],
  ['a scope', '400 invalid_scope scope_unknown', { scope: 'openid' }],
  ['a target that is not allowed', '400 invalid_target audience_not_allowed', { audience: 'b' }],
];

const ROWS: readonly (readonly [what: string, answer: string, ask: Ask])[] = [
  ['no grant type', '400 invalid_request request_invalid', { form: { grant_type: undefined } }],
  [
    'another grant',
    '400 unsupported_grant_type grant_unsupported',
    { form: { grant_type: 'password' } },
  ],
  ['no assertion', '401 invalid_client token_required', { form: { client_assertion: undefined } }],
  [
    'another kind of assertion',
    '401 invalid_client token_required',
    { form: { client_assertion_type: 'saml2-bearer' } },
  ],
  [
    'an assertion that is no token',
    '401 invalid_client token_invalid',
    { form: { client_assertion: 'nonsense' } },
  ],
  [
    'a token for another audience',
    '401 invalid_client token_invalid',
    { audience: 'https://other.example.com/' },
  ],
  [
    'another client’s id',
    '401 invalid_client token_invalid',
    { form: { client_id: 'system:serviceaccount:kube-system:admin' } },
  ],
  ['no permission', '400 unauthorized_client permission_denied', { account: 'stranger' }],
  [
    'the permission to sign claims only',
    '400 unauthorized_client permission_denied',
    { account: 'authority' },
  ],
  ['a scope', '400 invalid_scope scope_unknown', { form: { scope: 'read' } }],
  [
    'a target that is not allowed',
    '400 invalid_target audience_not_allowed',
    { set: 'strict', form: { audience: 'other' } },
  ],
  [
    'a resource that is no URI',
    '400 invalid_target audience_invalid',
    { form: { resource: 'billing' } },
  ],
  [
    'a parameter twice',
    '400 invalid_request parameter_repeated',
    { more: '&grant_type=client_credentials' },
  ],
  ['a body of JSON', '400 invalid_request media_type_unsupported', { type: 'application/json' }],
  [
    '1 MiB of body',
    '413 invalid_request body_too_large',
    { more: `&x=${'x'.repeat(1024 * 1024)}` },
  ],
  ['a set that does not exist', '404 invalid_request set_unknown', { set: 'nowhere' }],
  ['bytes that are not UTF-8', '400 invalid_request json_invalid', { bytes: Buffer.from([0xff]) }],
  [
    'an exchange for another audience',
    '400 invalid_request subject_token_invalid',
    { grant: 'exchange', audience: 'https://other.example.com/' },
  ],
  [
    'an exchange without permission',
    '400 unauthorized_client permission_denied',
    { grant: 'exchange', account: 'stranger' },
  ],
  ...EXCHANGES.map(
    ([what, answer, form]) =>
      [
        `${what} in an exchange`,
        answer,
        { set: 'strict', grant: 'exchange', form } as Ask,
      ] as const,
  ),
];

describe('POST /oauth/token refuses', () => {
  it.each(ROWS)('%s: %s', async (_what, answer, asked) => {
    const [status, error, code] = answer.split(' ');
    const response = await ask(asked);
    expect(await json(response)).toEqual({
      error,
      // RFC 6749 section 5.2: no quotation mark, no backslash, ASCII.
      error_description: expect.stringMatching(/^[\x20\x21\x23-\x5b\x5d-\x7e]+$/),
      code,
      requestId: response.headers.get('x-request-id'),
    });
    expect(response.status).toBe(Number(status));
    expect(response.headers.get('content-type')).toMatch(/^application\/json/);
    expect(response.headers.get('cache-control')).toBe('no-store');
    // RFC 9110 section 15.5.2: every 401 has one.
    const challenge = status === '401' ? /^Bearer realm="http:[^"]+"/ : /^$/;
    expect(response.headers.get('www-authenticate') ?? '').toMatch(challenge);
  });

  it.each([{}, { grant: 'exchange' }] as const)('the reserved audience: %o', async (grant) => {
    const response = await ask({ ...grant, form: { audience: `${login.issuer}/api/v2/` } });
    expect(await json(response)).toMatchObject({
      error: 'invalid_target',
      code: 'audience_reserved',
    });
  });

  it('a token for an audience, because audiences are logged', async () => {
    const audience = await world.token('client', login.issuer);
    for (const name of ['audience', 'resource']) {
      const form = { [name]: name === 'audience' ? audience : `https://x.example.com/${audience}` };
      const answer = { error: 'invalid_target', code: 'audience_invalid' };
      expect(await json(ask({ form }))).toMatchObject(answer);
    }
  });

  it('to let the caller choose whom the token is about', async () => {
    const more = '&sub=alice&subject=alice&client_id=';
    for (const grant of [undefined, 'exchange'] as const) {
      const asked = { more, ...(grant && { grant }) };
      const { access_token: token } = await json<{ access_token: string }>(ask(asked));
      expect(decodeJwt(token).sub).toBe(world.username('client'));
    }
  });

  it('nothing in a way that shows a private member or the token of the caller', () => {
    expect(world.remembered.canaries).toBeGreaterThan(5);
    expect(world.remembered.replies).toBeGreaterThan(ROWS.length);
    expect(world.leaks()).toEqual([]);
  });
});
