import { decodeJwt, decodeProtectedHeader } from 'jose';
import * as client from 'openid-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Keyring } from '../../../src/keys/keyring.ts';
import { aKeyring } from '../../support/keyrings.ts';
import { type Account, json, startWorld, type World } from './world.ts';

const JWT_BEARER = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

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
  readonly audience?: string;
  /** Parameters besides the grant and the assertion; undefined leaves one of those out. */
  readonly form?: Readonly<Record<string, string | undefined>>;
  /** Text after the encoded form. */
  readonly more?: string;
  readonly type?: string;
}

async function ask({ set = 'login', account = 'client', audience, form, more = '', type }: Ask) {
  const ring = set === 'strict' ? strict : login;
  const parameters = {
    grant_type: 'client_credentials',
    client_assertion_type: JWT_BEARER,
    client_assertion: await world.token(account, audience ?? ring.issuer),
    ...form,
  };
  const sent = Object.entries(parameters).filter(
    (one): one is [string, string] => one[1] !== undefined,
  );
  return world.fetch(`/${world.tenant}/${set}/oauth/token`, {
    method: 'POST',
    headers: { 'Content-Type': type ?? 'application/x-www-form-urlencoded' },
    body: `${new URLSearchParams(sent)}${more}`,
  });
}

describe('a workload', () => {
  it('trades its ServiceAccount token for an access token about itself, by a standard client', async () => {
    const assertion = await world.token('client', login.issuer);
    const config = await client.discovery(
      new URL(login.issuer),
      world.username('client'),
      undefined,
      (_server, _client, body) => {
        body.set('client_assertion_type', JWT_BEARER);
        body.set('client_assertion', assertion);
      },
      { execute: [client.allowInsecureRequests] },
    );
    const tokens = await client.clientCredentialsGrant(config, {
      resource: 'https://api.example.com/',
    });
    expect(tokens.expiresIn()).toBe(3600);
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
  });

  it('the reserved audience of the management API', async () => {
    const response = await ask({ form: { audience: `${login.issuer}/api/v2/` } });
    expect(await json(response)).toMatchObject({
      error: 'invalid_target',
      code: 'audience_reserved',
    });
  });

  it('to let the caller choose whom the token is about', async () => {
    const more = '&sub=alice&subject=alice&client_id=';
    const { access_token: token } = await json<{ access_token: string }>(ask({ more }));
    expect(decodeJwt(token).sub).toBe(world.username('client'));
  });

  it('nothing in a way that shows a private member or the token of the caller', () => {
    expect(world.remembered.canaries).toBeGreaterThan(5);
    expect(world.remembered.replies).toBeGreaterThan(ROWS.length);
    expect(world.leaks()).toEqual([]);
  });
});
