import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { startTelemetry } from './http.ts';
import { parseListenAddress } from './listen.ts';
import { createLog, LOG_LEVELS } from './log.ts';
import { counter, createRegistry, defineMetrics, gauge } from './metrics.ts';

function logged(write: (log: ReturnType<typeof createLog>) => void): string {
  const lines: string[] = [];
  write(createLog({ component: 'test', destination: { write: (line) => lines.push(line) } }));
  return lines.join('');
}

describe('a log line', () => {
  it('names its component and carries its fields as JSON', () => {
    const line = logged((log) =>
      log.child({ set: 'identity/login' }).info({ kid: 'abc' }, 'Signed.'),
    );
    expect(JSON.parse(line)).toMatchObject({
      level: 'info',
      component: 'test',
      set: 'identity/login',
      kid: 'abc',
      msg: 'Signed.',
    });
  });

  it.each(LOG_LEVELS)('of an audit is written at level %s, as info', (level) => {
    const lines: string[] = [];
    const destination = { write: (line: string) => lines.push(line) };
    const log = createLog({ component: 'test', level, destination }).child({ requestId: 'r-1' });
    log.audit({ audit: 'TokenSigned' }, 'Signed a token.');
    const audit = { level: 'info', audit: 'TokenSigned', requestId: 'r-1' };
    expect(lines.map((line) => JSON.parse(line))).toEqual([expect.objectContaining(audit)]);
    log.info({}, 'Answered.');
    const isChatty = level === 'debug' || level === 'info';
    expect(lines).toHaveLength(isChatty ? 2 : 1);
  });

  it('never shows a member that can hold a credential', () => {
    const credentials = { token: 'canary', request: { headers: { authorization: 'canary' } } };
    expect(logged((log) => log.warn(credentials, 'Refused.'))).not.toContain('canary');
  });

  it('shows of an error what it says, and nothing that was hung onto it', () => {
    const err = Object.assign(new Error('forbidden'), { code: 403, request: 'canary' });
    const line = logged((log) => log.error({ err }, 'The API server refused.'));
    expect(line).not.toContain('canary');
    expect(JSON.parse(line).err).toMatchObject({ type: 'Error', message: 'forbidden', code: 403 });
  });
});

describe('a listen address', () => {
  it.each([
    [':8080', { port: 8080 }],
    ['127.0.0.1:0', { host: '127.0.0.1', port: 0 }],
    ['[::1]:443', { host: '::1', port: 443 }],
  ])('%s is understood', (text, expected) => {
    expect(parseListenAddress(text)).toEqual(expected);
  });

  it.each(['8080', 'localhost', ':70000', '::1:80'])('%s is refused with what to type', (text) => {
    expect(() => parseListenAddress(text)).toThrow(/is not a listen address: type host:port/);
  });
});

describe('a metric of a time', () => {
  it('is absent until the time is known: nothing happened in 1970', async () => {
    const registry = createRegistry();
    const { since } = defineMetrics(registry, {
      since: gauge('signet_test_timestamp_seconds', 'When it began.'),
    });
    expect(await registry.metrics()).not.toMatch(/^signet_test_timestamp_seconds /m);
    since.set(1_700_000_000);
    expect(await registry.metrics()).toMatch(/^signet_test_timestamp_seconds 1700000000$/m);
  });
});

describe('the telemetry server', () => {
  it('names every dependency that is missing until all are there', async () => {
    let synced = false;
    const registry = createRegistry();
    const metrics = defineMetrics(registry, {
      passes: counter('signet_test_passes_total', 'Passes.', ['result']),
    });
    metrics.passes.inc({ result: 'ok' });
    const server = await startTelemetry({
      listenAddress: '127.0.0.1:0',
      registry,
      ready: { caches: () => synced || 'the first list is not complete', leader: () => true },
    });
    const get = (path: string) => fetch(`http://${server.address}${path}`);
    try {
      const early = await get('/readyz');
      expect(early.status).toBe(503);
      expect(await early.json()).toEqual({
        status: 'unavailable',
        missing: [{ check: 'caches', reason: 'the first list is not complete' }],
      });
      synced = true;
      expect((await get('/readyz')).status).toBe(200);
      expect((await get('/healthz')).status).toBe(200);
      expect((await get('/')).status).toBe(404);
      for (const odd of ['//', '/%', '/%zz?', '*'])
        expect(await raw(server.address, odd)).toMatch(/^HTTP\/1.1 404/);
      const metricsText = await (await get('/metrics')).text();
      expect(metricsText).toContain('signet_test_passes_total{result="ok"} 1');
      expect(metricsText).toContain('nodejs_eventloop_lag_seconds');
    } finally {
      await server.close();
    }
  });
});

it('the telemetry server closes what one address opens beyond its share, and answers when some have gone', async () => {
  const registry = createRegistry();
  const server = await startTelemetry({ listenAddress: '127.0.0.1:0', registry, ready: {} });
  const [host, port] = server.address.split(':');
  const mute = Array.from({ length: 70 }, () => connect(Number(port), host));
  try {
    for (const socket of mute) socket.on('error', () => undefined);
    const patience = { timeout: 30_000 };
    const closed = () => mute.filter((socket) => socket.closed).length;
    await expect.poll(closed, patience).toBe(6);
    for (const socket of mute) socket.destroy();
    const healthz = () => fetch(`http://${server.address}/healthz`).catch(() => undefined);
    await expect.poll(async () => (await healthz())?.status, patience).toBe(200);
  } finally {
    await server.close(0);
  }
});

/** Sends a request line as it is, which no client does that reads the URL first. */
async function raw(address: string, target: string): Promise<string> {
  const [host, port] = address.split(':');
  const socket = connect(Number(port), host);
  socket.end(`GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
  return text(socket);
}
