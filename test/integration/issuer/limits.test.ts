import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { json as readJson } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { SECOND } from '../../../src/api/constants.ts';
import type { Keyring } from '../../../src/keys/keyring.ts';
import { eventually } from '../../support/eventually.ts';
import { aKeyring } from '../../support/keyrings.ts';
import { type Account, startWorld, type World } from './world.ts';

const BURST = 5;
const CONNECTIONS = { total: 12, each: 8 };
const KIB = 1024;
const BODIES = { total: 150 * KIB, each: 90 * KIB };

let world: World;
let login: Keyring;

beforeAll(async () => {
  world = await startWorld({
    limits: {
      // Which of them ends a connection does not depend on the last tenth of a second.
      headersTimeout: 3 * SECOND,
      requestTimeout: 4 * SECOND,
      timeout: 2 * SECOND,
      connectionsCheckingInterval: 100,
      connections: CONNECTIONS,
      bodies: BODIES,
      perCaller: { perSecond: 0.01, burst: BURST },
      perPeer: { perSecond: 0.01, burst: BURST },
    },
  });
  login = await world.store(await aKeyring().with(world.identity('login')).build());
});
afterAll(() => world?.[Symbol.asyncDispose]());

const opened: Socket[] = [];
afterEach(() => {
  for (const socket of opened.splice(0)) socket.destroy();
});

const FORM = 'application/x-www-form-urlencoded';
const jwksPath = () => `/${world.tenant}/login/.well-known/jwks.json`;

interface Ask {
  readonly from?: string;
  readonly path: string;
  readonly type: string;
  readonly token?: string;
  readonly body: string;
}

/** A POST from another of this machine's addresses, over a connection of its own. */
async function post({ from = '127.0.0.1', path, type, token, body }: Ask) {
  const authorization = token === undefined ? {} : { Authorization: `Bearer ${token}` };
  const sent = request(`${world.base}/${world.tenant}/login${path}`, {
    method: 'POST',
    agent: false,
    localAddress: from,
    headers: { 'Content-Type': type, ...authorization },
  }).end(body);
  const [response]: IncomingMessage[] = await once(sent, 'response');
  if (response === undefined) throw new Error('no response');
  return { status: response.statusCode, headers: response.headers, body: await readJson(response) };
}

async function sign(account: Account, from?: string) {
  const token = await world.token(account, login.issuer);
  const ask = { path: '/sign', type: 'application/json', token, body: '{"claims":{}}' };
  return post({ ...ask, ...(from !== undefined && { from }) });
}

async function times<T>(count: number, ask: (index: number) => Promise<T>): Promise<T[]> {
  const answers: T[] = [];
  for (let index = 0; index < count; index += 1) answers.push(await ask(index));
  return answers;
}

describe('a caller that asks too often', () => {
  it('is told when to ask again, by whatever address and token, and nobody else is', async () => {
    const answers = await times(BURST, () => sign('authority'));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    const { status, headers, body } = await sign('authority', '127.0.0.7');
    expect(status).toBe(429);
    expect(headers['retry-after']).toMatch(/^(9\d|100)$/);
    expect(headers['cache-control']).toBe('no-store');
    expect(body).toEqual({
      type: 'about:blank',
      title: 'Too many requests',
      status: 429,
      detail: expect.stringMatching(/\.$/),
      code: 'rate_limited',
      requestId: headers['x-request-id'],
    });
    const fresh = await world.cluster.token(world.tenant, 'authority', {
      audiences: [login.issuer],
    });
    const again = { path: '/sign', type: 'application/json', token: fresh, body: '{"claims":{}}' };
    expect((await post({ ...again, from: '127.0.0.8' })).status).toBe(429);
    expect((await sign('both', '127.0.0.7')).status).toBe(200);
  });

  it('is told so in the words of OAuth at the token endpoint', async () => {
    const token = await world.token('client', login.issuer);
    const form = new URLSearchParams({
      grant_type: 'client_credentials',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: token,
    });
    const ask = { path: '/oauth/token', type: FORM, body: `${form}`, from: '127.0.0.9' };
    const answers = await times(BURST + 1, () => post(ask));
    const last = answers.pop();
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect(last?.status).toBe(429);
    expect(last?.headers['retry-after']).toMatch(/^\d+$/);
    expect(last?.body).toMatchObject({ error: 'temporarily_unavailable', code: 'rate_limited' });
  });
});

it('an address that guesses tokens is stopped before the API server is asked, and no other is', async () => {
  const guess = (index: number, from: string) =>
    post({ from, path: '/sign', type: 'application/json', token: `guess-${index}`, body: '{}' });
  const answers = await times(BURST + 3, (index) => guess(index, '127.0.0.20'));
  const expected = answers.map((_, index) => (index < BURST ? 401 : 429));
  expect(answers.map(({ status }) => status)).toEqual(expected);
  const { status, headers, body } = await guess(0, '127.0.0.21');
  expect(status).toBe(401);
  expect(headers['retry-after']).toBeUndefined();
  expect(body).toMatchObject({ code: 'token_invalid' });
});

/** A connection on which the test says every byte; `text` is what came back. */
function open(localAddress = '127.0.0.1'): {
  socket: Socket;
  text: () => string;
  closed: Promise<number>;
} {
  const { hostname, port } = new URL(world.base);
  const socket = connect({ port: Number(port), host: hostname, localAddress });
  const startedAt = performance.now();
  let text = '';
  opened.push(socket);
  socket.setEncoding('utf8').on('data', (piece: string) => {
    text += piece;
  });
  socket.on('error', () => undefined);
  const closed = new Promise<number>((resolve) => {
    socket.once('close', () => resolve(performance.now() - startedAt));
  });
  return { socket, text: () => text, closed };
}

/** Sends a byte now and then until the other side has had enough. */
function dribble(socket: Socket, byte: string): void {
  const timer = setInterval(() => socket.write(byte), 50);
  socket.once('close', () => clearInterval(timer));
}

describe('a client that takes its time', () => {
  const head = () => `POST /${world.tenant}/login/sign HTTP/1.1\r\nHost: x\r\n`;
  const body = () =>
    `POST /${world.tenant}/login/oauth/token HTTP/1.1\r\nHost: x\r\nContent-Type: ${FORM}\r\nContent-Length: 9999\r\n\r\n`;

  it.each([
    ['says nothing', () => '', '', ''],
    ['dribbles the request line', () => 'GET /', 'x', 'HTTP/1.1 408 '],
    ['dribbles headers', () => `${head()}X-Slow: `, 'x', 'HTTP/1.1 408 '],
    ['dribbles a body', body, ' ', 'HTTP/1.1 408 '],
  ])('and %s is cut off in time, while others are answered', async (_what, start, byte, answer) => {
    const { socket, text, closed } = open();
    await once(socket, 'connect');
    socket.write(start());
    if (byte !== '') dribble(socket, byte);
    await eventually(async () => {
      expect((await world.fetch(jwksPath())).status).toBe(200);
      return socket.closed;
    });
    expect(await closed).toBeLessThan(15 * SECOND);
    expect(text().slice(0, 13)).toBe(answer);
  });

  it('and does not read what it asks for is cut off as well', async () => {
    const { socket, closed } = open();
    await once(socket, 'connect');
    socket.pause();
    const ask = `GET ${jwksPath()} HTTP/1.1\r\nHost: x\r\n\r\n`;
    socket.write(ask.repeat(20_000));
    // Only a write tells a client that does not read that its connection is gone.
    dribble(socket, ask);
    expect(await closed).toBeLessThan(20 * SECOND);
  });
});

it('headers of more than 16 KiB are refused without a word of what was in them', async () => {
  const secret = 'x'.repeat(17 * 1024);
  const { socket, text, closed } = open();
  socket.write(`GET ${jwksPath()} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${secret}\r\n\r\n`);
  await closed;
  expect(text()).toMatch(/^HTTP\/1\.1 431 /);
  expect(text()).not.toContain('xx');
});

async function dropped(): Promise<number> {
  const metrics = await world.registry.metrics();
  return Number(/signet_connections_dropped_total (\d+)/.exec(metrics)?.[1] ?? 0);
}

it('one address holds no more connections than its share, however mute they are, and others are answered', async () => {
  const before = await dropped();
  const mute = Array.from({ length: CONNECTIONS.each + 3 }, () => open('127.0.0.30'));
  await eventually(async () => expect(await dropped()).toBe(before + 3));
  expect((await world.fetch(jwksPath())).status).toBe(200);
  for (const { socket } of mute) socket.destroy();
  await eventually(async () => {
    const { socket, text } = open('127.0.0.30');
    socket.write(`GET ${jwksPath()} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    await once(socket, 'close');
    expect(text()).toMatch(/^HTTP\/1\.1 200 /);
  });
});

it('more connections than allowed are closed as they come, until some have gone', async () => {
  const before = await dropped();
  const addresses = Array.from({ length: CONNECTIONS.total + 4 }, (_, index) => `127.0.1.${index}`);
  const closed = addresses.map((address) => open(address).closed);
  await eventually(async () => expect(await dropped()).toBeGreaterThan(before));
  await Promise.all(closed);
  expect((await world.fetch(jwksPath())).status).toBe(200);
});

describe('bodies that are sent slowly', () => {
  /** Sends the head and a part of a body of 40 KiB. */
  const begin = (from: string, path: string, more = '') => {
    const connection = open(from);
    connection.socket.write(
      `POST /${world.tenant}/login${path} HTTP/1.1\r\nHost: x\r\n${more}Content-Length: ${40 * KIB}\r\n\r\n`,
    );
    connection.socket.write('x'.repeat(30 * KIB));
    return connection;
  };
  const form = (from: string) => begin(from, '/oauth/token', `Content-Type: ${FORM}\r\n`);

  it('take no more memory than one address may, and all together: 503, while others are read', async () => {
    const greedy = Array.from({ length: 3 }, () => form('127.0.0.40'));
    const others = [form('127.0.0.41'), form('127.0.0.42')];
    const refused = (some: typeof others) =>
      some.filter(({ text }) =>
        /^HTTP\/1\.1 503 [\s\S]*\r\nRetry-After: 1\r\n[\s\S]*"server_busy"/.test(text()),
      );
    // Two of one address, three of all: so much fits.
    await eventually(() => expect(refused([...greedy, ...others])).toHaveLength(2));
    expect(refused(greedy).length).toBeGreaterThanOrEqual(1);
    const small = { path: '/oauth/token', type: FORM, body: 'grant_type=x', from: '127.0.0.43' };
    expect((await post(small)).body).toMatchObject({ code: 'grant_unsupported' });
    for (const { socket } of [...greedy, ...others]) socket.destroy();
    const large = { ...small, body: `grant_type=${'x'.repeat(63 * KIB)}`, from: '127.0.0.40' };
    await eventually(async () => {
      expect((await post(large)).body).toMatchObject({ code: 'grant_unsupported' });
    });
  });

  it('are not read at /sign before it is known who sends them', async () => {
    const stranger = begin(
      '127.0.0.50',
      '/sign',
      'Authorization: Bearer nobody\r\nContent-Type: application/json\r\n',
    );
    await eventually(() => expect(stranger.text()).toMatch(/^HTTP\/1\.1 401 /));
  });
});
