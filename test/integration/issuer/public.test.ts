import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { aKeyring } from '../../support/keyrings.ts';
import { startWorld, type World } from './world.ts';

let world: World;

beforeAll(async () => {
  world = await startWorld();
  await world.store(await aKeyring().with(world.identity('login')).build());
});
afterAll(() => world?.[Symbol.asyncDispose]());

const DOCUMENTS = [
  ...['/.well-known/openid-configuration', '/.well-known/oauth-authorization-server'],
  ...['/.well-known/jwks.json', '/pem', '/cer', '/rawpem', '/pb7', '/fingerprint'],
];
const CREDENTIALS = ['/sign', '/oauth/token'];

type Row = readonly [method: string, path: string, answer: string, allow: string | null];
const ROWS: readonly Row[] = [
  ...DOCUMENTS.flatMap((path) => [
    ...['POST', 'PUT', 'DELETE', 'PATCH'].map(
      (method): Row => [method, `login${path}`, '405 method_not_allowed', 'GET, HEAD'],
    ),
    ['OPTIONS', `login${path}`, '204', 'GET, HEAD'] as const,
    ['GET', `nowhere${path}`, '404 set_unknown', null] as const,
    ['GET', `login${path}/`.replace('//', '/x/'), '200', null] as const,
    ['GET', `login${path}x`, '404 set_unknown', null] as const,
    ['GET', `LOGIN${path}`, '404 set_unknown', null] as const,
    ['GET', `login${path.toUpperCase()}`, '404 set_unknown', null] as const,
  ]),
  ...CREDENTIALS.flatMap((path) => [
    ...['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS'].map(
      (method): Row => [method, `login${path}`, '405 method_not_allowed', 'POST'],
    ),
    ['POST', `nowhere${path}`, '404 set_unknown', null] as const,
  ]),
  ['GET', 'login', '404 set_unknown', null],
  ['GET', 'login/', '404 set_unknown', null],
  ['GET', 'login/metrics', '404 set_unknown', null],
  ['GET', 'login/healthz', '404 set_unknown', null],
];

describe('the issuer answers', () => {
  it.each(ROWS)('%s %s: %s', async (method, path, answer, allow) => {
    const response = await world.fetch(`/${world.tenant}/${path}`, { method });
    const [status, code] = answer.split(' ');
    expect(response.status).toBe(Number(status));
    expect(response.headers.get('allow')).toBe(allow);
    expect(response.headers.get('www-authenticate')).toBeNull();
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    expect(response.headers.get('x-powered-by')).toBeNull();
    const isDocument = DOCUMENTS.some(
      (each) => path === `login${each}` || path === `nowhere${each}`,
    );
    if (isDocument) expect(response.headers.get('access-control-allow-origin')).toBe('*');
    if (method === 'OPTIONS' && isDocument) {
      expect(response.headers.get('access-control-allow-methods')).toBe('GET, HEAD');
      expect(response.headers.get('access-control-allow-headers')).toBe('*');
    }
    if (code === undefined) return;
    expect(response.headers.get('cache-control')).toBe('no-store');
    const body = await response.text();
    if (method !== 'HEAD') expect(JSON.parse(body)).toMatchObject({ code });
  });
});

it('counts the time of a JWKS to where it is written, with what the event loop does meanwhile', async () => {
  const took = async () => {
    const metrics = await world.registry.metrics();
    const sum = /duration_seconds_sum\{route="jwks",status="2xx"\} (\S+)/.exec(metrics)?.[1];
    return Number(sum ?? 0);
  };
  const before = await took();
  // Runs after the request was taken, and before anything that was put off to the end of the turn.
  const busy = () =>
    process.nextTick(() => {
      const until = performance.now() + 100;
      while (performance.now() < until);
    });
  subscribe('http.server.request.start', busy);
  try {
    const path = `/${world.tenant}/login/.well-known/jwks.json`;
    expect((await world.fetch(path)).status).toBe(200);
  } finally {
    unsubscribe('http.server.request.start', busy);
  }
  expect((await took()) - before).toBeGreaterThan(0.09);
});
