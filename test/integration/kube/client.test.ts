import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connect, type Kube } from '../../../src/kube/client.ts';
import {
  ApiError,
  isConflict,
  isForbidden,
  isNotFound,
  isUnanswered,
  isUnauthorized,
} from '../../../src/kube/errors.ts';
import { type ControlPlane, startControlPlane } from '../../controlplane/controlplane.ts';
import { makeCredentials } from '../../controlplane/credentials.ts';
import { connectAsRobot, eventually, NAMESPACE, prepare } from './cluster.ts';
import { startProxy } from './proxy.ts';

const SECRETS = `/api/v1/namespaces/${NAMESPACE}/secrets`;
let plane: ControlPlane;
let kube: Kube;

beforeAll(async () => {
  plane = await startControlPlane({ controllerManager: false });
  await prepare(plane);
  kube = await connectAsRobot(plane);
});

afterAll(async () => {
  kube?.close();
  await plane?.stop();
});

async function failure(call: Promise<unknown>): Promise<ApiError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof ApiError) return error;
  throw new Error(`expected an ApiError, got ${String(error)}`);
}

test('a hundred calls use one connection in a row, and few at once', async () => {
  await using proxy = await startProxy(plane.server);
  const proxied = await connectAsRobot(plane, proxy.port);
  for (let call = 0; call < 50; call += 1) {
    await proxied.request('GET', `/api/v1/namespaces/${NAMESPACE}`);
    await proxied.request('GET', SECRETS);
  }
  expect(proxy.opened).toBe(1);
  await Promise.all(Array.from({ length: 100 }, () => proxied.request('GET', SECRETS)));
  expect(proxy.opened).toBeLessThanOrEqual(32);
  proxied.close();
});

test('watches take no connection away from calls, however many there are', async () => {
  await kube.request('POST', SECRETS, { body: { metadata: { name: 'watched' } } });
  const watching = await connectAsRobot(plane);
  const watches = Array.from({ length: 40 }, () => watching.watch(SECRETS));
  const first = await Promise.all(watches.map((watch) => watch.next()));
  expect(first.every(({ done }) => done === false)).toBe(true);
  await watching.request('GET', `${SECRETS}/watched`);
  watching.close();
});

test('a call that is kept apart waits behind no flood of others', async () => {
  const flooded = await connectAsRobot(plane);
  const flooding = new AbortController();
  const long = { query: { watch: true, timeoutSeconds: 60 }, timeoutMs: 120_000 };
  const flood = Array.from({ length: 40 }, () =>
    failure(flooded.request('GET', SECRETS, { ...long, signal: flooding.signal })),
  );
  const behind = await failure(flooded.request('GET', '/version', { timeoutMs: 300 }));
  expect(behind.reason).toBe('Timeout');
  await flooded.request('GET', '/version', { apart: true });
  flooding.abort();
  for (const { reason } of await Promise.all(flood)) expect(reason).toBe('Aborted');
  flooded.close();
});

test('a call that waits for a connection waits no longer than its time', async () => {
  const silent = createServer(() => {}).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const waiting = await connectAsRobot(plane, (silent.address() as AddressInfo).port);
  const before = Array.from({ length: 32 }, () =>
    failure(waiting.request('GET', SECRETS, { timeoutMs: 120_000 })),
  );
  const error = await failure(waiting.request('GET', SECRETS, { timeoutMs: 300 }));
  expect(error.reason).toBe('Timeout');
  waiting.close();
  for (const { reason } of await Promise.all(before)) expect(reason).toBe('Unreachable');
  silent.close();
});

test('a call that fails names the reason and no credential', async () => {
  const error = await failure(kube.request('GET', `${SECRETS}/no`));
  expect(error).toMatchObject({ status: 404, reason: 'NotFound' });
  expect(isNotFound(error)).toBe(true);
  expect(error.message).toBe('secrets "no" not found');
  expect(JSON.stringify(error)).not.toMatch(/[Bb]earer|eyJ/);
});

test('what the server quotes back of a secret does not reach the error', async () => {
  const pem =
    '-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF\n-----END PRIVATE KEY-----';
  const error = await failure(
    kube.request('POST', SECRETS, { body: { metadata: { name: pem }, data: {} } }),
  );
  expect(error.status).toBe(422);
  expect(error.message).toContain('[redacted]');
  expect(error.message).not.toContain('MIIE');
});

test('a stale resourceVersion is a conflict, and a patch is a merge patch', async () => {
  const { body } = await kube.request('POST', SECRETS, { body: { metadata: { name: 'one' } } });
  await kube.request('PATCH', `${SECRETS}/one`, { body: { stringData: { a: 'b' } } });
  const error = await failure(
    kube.request('PUT', `${SECRETS}/one`, { body: Object.assign({}, body) }),
  );
  expect(isConflict(error)).toBe(true);
  const patch = { metadata: { labels: { a: 'b' } } };
  const { body: patched } = await kube.request('PATCH', `${SECRETS}/one`, { body: patch });
  expect(patched).toMatchObject({ ...patch, data: { a: Buffer.from('b').toString('base64') } });
});

test('an answer carries the clock of the API server', async () => {
  const { date } = await kube.request('GET', '/version');
  expect(Math.abs((date?.getTime() ?? 0) - Date.now())).toBeLessThan(5_000);
});

test('an API server that is silent costs the timeout, one that is away fails at once', async () => {
  plane.components.apiserver.pause();
  try {
    // Its threads stop one after another: one call may still be answered.
    const silent = await eventually(() =>
      failure(kube.request('GET', '/version', { timeoutMs: 300 })),
    );
    expect(silent).toMatchObject({ status: 0, reason: 'Timeout' });
  } finally {
    plane.components.apiserver.resume();
  }
  await using proxy = await startProxy(plane.server);
  const proxied = await connectAsRobot(plane, proxy.port);
  proxy.accepting = false;
  const away = await failure(proxied.request('GET', '/version'));
  expect(away.reason).toBe('Unreachable');
  expect(isUnanswered(away)).toBe(true);
  const path = `${SECRETS}/sks-1b4e28ba-2fa1-11d2-883f-0016d3cca427-0016d3cca427`;
  expect((await failure(proxied.request('GET', path))).message).toContain(`GET ${path}: `);
  const aborted = await failure(kube.request('GET', '/version', { signal: AbortSignal.abort() }));
  expect(aborted.reason).toBe('Aborted');
});

test('an expired token is refused, and the new one in the file is used at once', async () => {
  const dir = join(plane.dir, 'rotating');
  const rotating = await connectAsRobot(plane, undefined, dir);
  await rotating.request('GET', SECRETS);
  const expired = { seconds: -120 };
  await plane.serviceAccountCredentials(dir, NAMESPACE, 'robot', expired);
  const error = await eventually(() => failure(rotating.request('GET', SECRETS)));
  expect(isUnauthorized(error)).toBe(true);
  await plane.serviceAccountCredentials(dir, NAMESPACE, 'robot');
  await rotating.request('GET', SECRETS);
  rotating.close();
});

test('a changed CA is trusted, and the old one no longer', async () => {
  const dir = join(plane.dir, 'changing');
  const changing = await connectAsRobot(plane, undefined, dir);
  await changing.request('GET', SECRETS);
  const { caPem } = await makeCredentials(mkdtempSync(join(plane.dir, 'other-')));
  writeFileSync(join(dir, 'ca.crt'), caPem);
  const error = await eventually(() => failure(changing.request('GET', SECRETS)));
  expect(error.message).toMatch(/certificate/);
  writeFileSync(join(dir, 'ca.crt'), plane.caPem);
  await eventually(() => changing.request('GET', SECRETS));
  changing.close();
});

test('missing credentials are named, with what to do', async () => {
  const dir = join(plane.dir, 'empty');
  const userAgent = 'kube-tests';
  const env = { KUBERNETES_SERVICE_HOST: '127.0.0.1' };
  await expect(connect({ credentialsDir: dir, userAgent, env })).rejects.toThrow(
    `cannot read ${dir}/namespace: mount a ServiceAccount token volume`,
  );
  await plane.serviceAccountCredentials(dir, NAMESPACE, 'robot');
  rmSync(join(dir, 'token'));
  await expect(connect({ credentialsDir: dir, userAgent, env })).rejects.toThrow(
    `cannot read ${dir}/token`,
  );
  await expect(connect({ credentialsDir: dir, userAgent, env: {} })).rejects.toThrow(
    'KUBERNETES_SERVICE_HOST is not set',
  );
  const nowhere = { kubeconfig: join(dir, 'none'), userAgent };
  await expect(connect(nowhere)).rejects.toThrow('no kubeconfig at');
});

test('a kubeconfig with a client certificate works, and what it may not do is forbidden', async () => {
  const admin = await connect({ kubeconfig: plane.kubeconfig, userAgent: 'kube-tests' });
  await admin.request('POST', `/api/v1/namespaces/${NAMESPACE}/serviceaccounts`, {
    body: { metadata: { name: 'nobody' } },
  });
  const dir = join(plane.dir, 'nobody');
  await plane.serviceAccountCredentials(dir, NAMESPACE, 'nobody');
  const { port } = new URL(plane.server);
  const env = { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: port };
  const nobody = await connect({ credentialsDir: dir, userAgent: 'kube-tests', env });
  expect(isForbidden(await failure(nobody.request('GET', SECRETS)))).toBe(true);
  admin.close();
  nobody.close();
});
