import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';
import * as client from 'openid-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HOUR, MINUTE, SECOND } from '../../../src/api/constants.ts';
import type { Keyring } from '../../../src/keys/keyring.ts';
import { aKeyring } from '../../support/keyrings.ts';
import { json, startWorld, type World } from './world.ts';

let world: World;
let login: Keyring;

const OPENID = '/.well-known/openid-configuration';
const OAUTH = '/.well-known/oauth-authorization-server';

beforeAll(async () => {
  world = await startWorld();
  login = await world.store(await aKeyring().with(world.identity('login')).previous(2).build());
  // It ends with a slash, has a path, and is on a host of its own.
  const issuer = 'https://Login.Example.com/Tenants/a/';
  await world.store(await aKeyring().with(world.identity('tenants', issuer)).build());
});
afterAll(() => world?.[Symbol.asyncDispose]());

interface Reply {
  readonly status: number | undefined;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** `fetch` does not let a test choose the Host. */
async function ask(path: string, host: string, method = 'GET'): Promise<Reply> {
  const sent = request(`${world.base}${path}`, { method, headers: { host }, agent: false }).end();
  const [response]: [IncomingMessage] = await once(sent, 'response').then(([first]) => [first]);
  const { statusCode: status, headers } = response;
  return { status, headers, body: await text(response) };
}

const jwksPath = (name: string) => `/${world.tenant}/${name}/.well-known/jwks.json`;

describe('discovery', () => {
  it('is accepted by a standard client, with every algorithm a set could turn to', async () => {
    const config = await client.discovery(new URL(login.issuer), 'any', undefined, undefined, {
      execute: [client.allowInsecureRequests],
    });
    const metadata = config.serverMetadata();
    expect(metadata.issuer).toBe(login.issuer);
    expect(metadata.jwks_uri).toBe(`${login.issuer}/.well-known/jwks.json`);
    const { id_token_signing_alg_values_supported: algorithms } = metadata;
    expect(algorithms).toEqual(expect.arrayContaining(['RS256', 'PS512', 'ES256', 'EdDSA']));
    expect(algorithms).toHaveLength(10);
  });

  it('is the same in both forms, with the path before and after, by host and by name', async () => {
    const host = 'login.example.com';
    const paths = [
      `/Tenants/a${OPENID}`,
      `/Tenants/a${OAUTH}`,
      `${OPENID}/Tenants/a`,
      `${OAUTH}/Tenants/a`,
      `${OAUTH}/Tenants/a/`,
    ];
    const replies = await Promise.all([
      ...paths.map((path) => ask(path, host)),
      ...paths.map((path) => ask(path, `${host.toUpperCase()}:443`)),
      ask(`/${world.tenant}/tenants${OPENID}`, 'elsewhere'),
      ask(`${OAUTH}/${world.tenant}/tenants`, 'elsewhere'),
    ]);
    for (const { status, body } of replies) {
      expect(status).toBe(200);
      expect(JSON.parse(body)).toMatchObject({
        issuer: 'https://Login.Example.com/Tenants/a/',
        jwks_uri: 'https://Login.Example.com/Tenants/a/.well-known/jwks.json',
        token_endpoint: 'https://Login.Example.com/Tenants/a/oauth/token',
        subject_types_supported: ['public'],
        response_types_supported: ['id_token'],
        grant_types_supported: [
          'client_credentials',
          'urn:ietf:params:oauth:grant-type:token-exchange',
        ],
      });
    }
  });

  it('never makes a URL from a Host header', async () => {
    const { status, body } = await ask(`/${world.tenant}/login${OPENID}`, 'evil.example.com');
    expect(status).toBe(200);
    expect(body).not.toContain('evil');
  });

  it.each([
    ['login.example.com', '/tenants/a', 'a path in another case'],
    ['login.example.com', '/Tenants', 'the path above'],
    ['login.example.com', '/Tenants/a/b', 'a path below'],
    ['login.example.com', '/Tenants%2Fa', 'an encoded slash'],
    ['login.example.com', '/%ff', 'no UTF-8'],
    ['example.com', '/Tenants/a', 'another host'],
    ['login.example.com:8443', '/Tenants/a', 'another port'],
  ])('at %s%s (%s) says nothing of any set', async (host, path) => {
    const { status, body } = await ask(`${path}${OPENID}`, host);
    expect(status).toBe(404);
    const { requestId, ...problem } = JSON.parse(body);
    expect(problem).toEqual({
      type: 'about:blank',
      title: 'No signing key set here',
      status: 404,
      detail: 'Ask under the issuer URL of a set: see kubectl get sks -A.',
      code: 'set_unknown',
    });
    expect(body).not.toMatch(/tenants|login/i);
  });
});

describe('the JWKS', () => {
  it('has current, next and previous keys with certificates, and no private member', async () => {
    const response = await world.fetch(jwksPath('login'));
    expect(response.headers.get('content-type')).toMatch(/^application\/jwk-set\+json/);
    const { keys } = await json<{ keys: Record<string, unknown>[] }>(response);
    expect(keys.map(({ kid }) => kid)).toEqual(login.keys.map(({ kid }) => kid));
    for (const key of keys) {
      expect(key).toMatchObject({ alg: 'ES256', use: 'sig', 'x5t#S256': expect.any(String) });
      for (const member of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k'])
        expect(key).not.toHaveProperty(member);
    }
    expect(world.leaks()).toEqual([]);
  });

  it('is the same, header for header, by the short way and through Express', async () => {
    const answer = async (path: string, headers: Record<string, string>) => {
      const response = await world.fetch(path, { headers });
      const named = Object.fromEntries(response.headers);
      const { date: _, 'x-request-id': requestId, ...rest } = named;
      expect(requestId).toBeDefined();
      return { ...rest, status: response.status, body: await response.text() };
    };
    const short = await answer(jwksPath('login'), {});
    expect(short.status).toBe(200);
    expect(await answer(jwksPath('login'), { 'X-Request-Id': 'through-express' })).toEqual(short);
    expect(await answer(`${jwksPath('login')}?anything`, {})).toEqual(short);
    const unknown = await answer(jwksPath('unknown'), {});
    expect(unknown.status).toBe(404);
  });

  it('may be read from any origin, and asked for again by its tag', async () => {
    const first = await world.fetch(jwksPath('login'));
    const etag = first.headers.get('etag') ?? '';
    expect(etag).toMatch(/^"[\w-]{43}"$/);
    expect(first.headers.get('access-control-allow-origin')).toBe('*');
    const again = await world.fetch(jwksPath('login'), { headers: { 'If-None-Match': etag } });
    expect([again.status, await again.text()]).toEqual([304, '']);
    expect(again.headers.get('cache-control')).toBe('public, max-age=300');
    const other = await world.fetch(jwksPath('login'), { headers: { 'If-None-Match': '"other"' } });
    expect(other.status).toBe(200);
  });

  it('answers HEAD like GET without the body, and POST with what is allowed', async () => {
    const [get, head, post] = await Promise.all(
      ['GET', 'HEAD', 'POST'].map((method) => ask(jwksPath('login'), 'any', method)),
    );
    expect(head?.status).toBe(200);
    expect(head?.body).toBe('');
    for (const name of ['etag', 'content-length', 'content-type', 'cache-control'])
      expect(head?.headers[name]).toBe(get?.headers[name]);
    expect([post?.status, post?.headers.allow]).toEqual([405, 'GET, HEAD']);
  });

  it.each([
    ['a P of an hour', HOUR, HOUR, 'public, max-age=300'],
    ['a P of two minutes', 2 * MINUTE, 2 * MINUTE, 'public, max-age=30'],
    ['a next key that was promised less', 90 * MINUTE, MINUTE, 'public, max-age=15'],
    ['a P that was shortened since', MINUTE, HOUR, 'public, max-age=15'],
    ['a P of three seconds', 3 * SECOND, 3 * SECOND, 'no-cache'],
    ['no P', 0, 0, 'no-cache'],
  ])('is cached for a quarter of P at most: %s', async (what, ringDelay, nextDelay, expected) => {
    const name = what.replaceAll(' ', '-').toLowerCase();
    const ring = aKeyring().with({ ...world.identity(name), propagationDelay: ringDelay });
    await world.store(await ring.key('next', { propagationDelay: nextDelay }).build());
    const response = await world.fetch(jwksPath(name));
    expect(response.headers.get('cache-control')).toBe(expected);
  });

  it('is not cached at all once the set is gone', async () => {
    await world.store(
      await aKeyring()
        .with({ ...world.identity('gone'), retiredAt: 1 })
        .build(),
    );
    const response = await world.fetch(jwksPath('gone'));
    expect(response.headers.get('cache-control')).toBe('no-cache');
  });
});
