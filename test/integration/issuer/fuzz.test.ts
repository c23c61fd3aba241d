import { once } from 'node:events';
import { connect } from 'node:net';
import { text as readText } from 'node:stream/consumers';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Keyring } from '../../../src/keys/keyring.ts';
import { aKeyring } from '../../support/keyrings.ts';
import { startWorld, type World } from './world.ts';

const RUNS = { numRuns: 150, interruptAfterTimeLimit: 180_000, markInterruptAsFailure: true };

let world: World;
let login: Keyring;
let token: string;

beforeAll(async () => {
  // One caller and one address ask for everything here.
  const rate = { perSecond: 100_000, burst: 100_000 };
  world = await startWorld({ limits: { perCaller: rate, perPeer: rate } });
  login = await world.store(await aKeyring().with(world.identity('login')).previous(1).build());
  token = await world.token('both', login.issuer);
});
afterAll(() => world?.[Symbol.asyncDispose]());

const base = () => `/${world.tenant}/login`;

/** Whatever was asked: an answer of the table, no crash, and nothing that is not to be told. */
async function sound(response: Response): Promise<number> {
  const { status } = response;
  const body = await response.text();
  expect(status, body).toBeLessThan(500);
  if (status >= 400) expect(JSON.parse(body).code, body).toMatch(/^[a-z_]+$/);
  expect(world.leaks()).toEqual([]);
  world.forget();
  return status;
}

const post = (path: string, type: string, body: string | Uint8Array<ArrayBuffer>) =>
  world.fetch(`${base()}${path}`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${token}`, 'Content-Type': type },
    body,
  });

/** Headers that promise a body. */
const BODY: ReadonlySet<string> = new Set(['Content-Length', 'Transfer-Encoding']);

/** Members as the endpoints know them, with values that they do not. */
const member = fc.oneof(
  fc.constantFrom('claims', 'lifetime', 'audience', 'type', 'sub', 'aud', 'exp', 'client_id'),
  fc.constantFrom('__proto__', 'constructor', 'toString', 'hasOwnProperty', ''),
  fc.string(),
);
const anything = fc.oneof(
  fc.jsonValue(),
  fc.constantFrom('15m', '1e999', -1, 1e308, 0.5, 'id_token', 'access_token', [], {}, ['a', 'a']),
  fc.dictionary(member, fc.jsonValue()),
);

describe('whatever is sent to', () => {
  it('POST /sign as JSON is signed or refused', async () => {
    const body = fc.oneof(
      fc.dictionary(member, anything),
      fc.record(
        { claims: fc.dictionary(member, anything), audience: anything, lifetime: anything },
        { requiredKeys: ['claims'] },
      ),
      fc.record({ claims: fc.dictionary(fc.string({ minLength: 5 }), fc.jsonValue()) }),
    );
    const seen = new Set<number>();
    await fc.assert(
      fc.asyncProperty(body, async (value) => {
        seen.add(await sound(await post('/sign', 'application/json', JSON.stringify(value))));
      }),
      RUNS,
    );
    expect(seen).toEqual(new Set([200, 400]));
  });

  it('POST /sign as bytes is refused', async () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.string({ unit: 'binary' }).map((text) => Buffer.from(`{"claims":{"a":"${text}"}}`)),
    );
    await fc.assert(
      fc.asyncProperty(bytes, async (value) => {
        await sound(await post('/sign', 'application/json', Buffer.from(value)));
      }),
      RUNS,
    );
  });

  it('POST /oauth/token as a form is answered or refused', async () => {
    const exchange = 'urn:ietf:params:oauth:grant-type:token-exchange';
    const name = fc.oneof(
      fc.constantFrom('grant_type', 'client_assertion', 'subject_token', 'actor_token', 'scope'),
      fc.constantFrom('resource', 'audience', 'client_id', 'requested_token_type', '__proto__'),
      fc.string(),
    );
    const value = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('client_credentials', exchange, 'constructor', 'https://x.example.com/'),
      fc.constant('own').map(() => token),
      fc.webUrl({ withQueryParameters: true, withFragments: true }),
    );
    const parameters = fc.array(fc.tuple(name, value), { maxLength: 8 });
    const seen = new Set<number>();
    await fc.assert(
      fc.asyncProperty(parameters, fc.boolean(), async (pairs, whole) => {
        const type = ['subject_token_type', 'urn:ietf:params:oauth:token-type:jwt'];
        const start = [['grant_type', exchange], ['subject_token', token], type];
        const form = new URLSearchParams([...(whole ? start : []), ...pairs]);
        const answer = await post('/oauth/token', 'application/x-www-form-urlencoded', `${form}`);
        seen.add(await sound(answer));
      }),
      RUNS,
    );
    expect([...seen]).toEqual(expect.arrayContaining([200, 400]));
  });

  it('any path is answered or refused', async () => {
    const known = fc.constantFrom(
      '.well-known',
      'jwks.json',
      'openid-configuration',
      'sign',
      'pem',
    );
    const segment = fc.oneof(
      known,
      fc.constantFrom('..', '.', '%2e%2e', '%2F', '%00', '%ff', '%', 'login', 'constructor'),
      fc.webPath().map((path) => path.slice(0, 40)),
      fc.string({ unit: 'grapheme' }).map(encodeURIComponent),
    );
    const paths = fc.tuple(
      fc.boolean(),
      fc.array(segment, { maxLength: 6 }),
      fc.webQueryParameters(),
    );
    await fc.assert(
      fc.asyncProperty(paths, async ([inside, segments, query]) => {
        const path = `${inside ? base() : ''}/${segments.join('/')}?key=${query}`;
        // As it stands: `fetch` would take dot segments out.
        const [status, answer] = await raw(`GET ${path} HTTP/1.1\r\nHost: x\r\n`);
        expect(status, path).toBeGreaterThanOrEqual(200);
        expect(status, path).toBeLessThan(500);
        expect(world.leaks()).toEqual([]);
        world.forget();
        if (status === 404) expect(answer).toMatch(/"code":"(set|key)_unknown"/);
      }),
      RUNS,
    );
  });

  it('any header is answered or refused, and none of it comes back', async () => {
    const name = fc.constantFrom(
      ...['Host', 'If-None-Match', 'X-Request-Id', 'Authorization', 'Content-Type', 'Expect'],
      ...[
        'Content-Length',
        'Transfer-Encoding',
        'Accept',
        'X-Forwarded-Host',
        'Connection',
        'Range',
      ],
    );
    const value = fc.oneof(
      fc.string({ unit: 'binary-ascii', maxLength: 60 }),
      fc.constantFrom('*', 'chunked', '-1', '99999999999999999999', '[::1]:x', 'a, b', 'W/""'),
    );
    const method = fc.constantFrom('GET', 'HEAD', 'POST', 'OPTIONS', 'DELETE', 'TRACE', 'PUT');
    await fc.assert(
      fc.asyncProperty(
        method,
        fc.array(fc.tuple(name, value), { maxLength: 5 }),
        fc.boolean(),
        async (verb, all, isCaller) => {
          const path = `${base()}${verb === 'POST' ? '/sign' : '/.well-known/jwks.json'}`;
          const headers = all.map((pair) => `${pair.join(': ')}\r\n`).join('');
          const secret = isCaller ? `Authorization: Bearer ${token}` : `Cookie: ${token}`;
          const [status] = await raw(`${verb} ${path} HTTP/1.1\r\n${headers}${secret}\r\n`);
          expect(status, headers).toBeLessThan(500);
          // A body is promised, and the connection ends without it: nobody is left to be answered.
          const isCutOff = all.some(([each]) => BODY.has(each));
          if (!isCutOff) expect(status, headers).toBeGreaterThanOrEqual(200);
          expect(world.leaks()).toEqual([]);
          world.forget();
        },
      ),
      RUNS,
    );
  });
});

it('and everything is answered as ever after all that', async () => {
  expect((await post('/sign', 'application/json', '{"claims":{}}')).status).toBe(200);
  const failed = world.lines.filter(({ level }) => level === 'error').map(({ msg }) => msg);
  expect(failed).toEqual([]);
});

/** Sends the head of a request as it stands, then nothing more. @returns status and whole answer. */
async function raw(head: string): Promise<[status: number, answer: string]> {
  const { hostname, port } = new URL(world.base);
  const socket = connect(Number(port), hostname);
  await once(socket, 'connect');
  socket.end(`${head}Connection: close\r\n\r\n`);
  const answer = await readText(socket);
  world.remember(answer);
  const [, status = '0'] = /^HTTP\/1\.1 (\d{3}) /.exec(answer) ?? [];
  return [Number(status), answer];
}
