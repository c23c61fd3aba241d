import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type PeerCertificate } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DAY, MINUTE, SECOND } from '../../../src/api/constants.ts';
import { handOverServingCertificates } from '../../../src/controller/serving-certificates.ts';
import { makeAuthority } from '../../../src/keys/authority.ts';
import { createLog } from '../../../src/telemetry/log.ts';
import { type Replica, type Stack, startStack } from '../../stack/stack.ts';
import { makeNamespace } from '../../support/cluster.ts';
import { eventually } from '../../support/eventually.ts';
import { trust } from '../../support/trust.ts';
import { accountsIn } from '../issuer/accounts.ts';
import { startLoad } from './load.ts';
import { requireHaproxy, startProxy } from './proxy.ts';

let stack: Stack;
let path: string;
let issuer: string;
let bearer: string;

beforeAll(async () => {
  await requireHaproxy();
  // Nothing here is about freshness: no replica lapses on a busy machine.
  stack = await startStack({ maxStaleness: '1m' });
  const { kubectl, token } = stack.controlPlane;
  const namespace = await makeNamespace(stack.controlPlane);
  const set = {
    apiVersion: 'signet.dev/v1alpha1',
    kind: 'SigningKeySet',
    metadata: { name: 'login', namespace },
    spec: { algorithm: 'ES256', publish: { configMaps: [{ name: 'keys' }] } },
  };
  const items = [accountsIn(namespace), set].map((each) => JSON.stringify(each));
  for (const input of items) await kubectl(['create', '-f', '-'], { input });
  await kubectl(['wait', 'sks/login', '-n', namespace, '--for=condition=Ready', '--timeout=60s']);
  path = `/${namespace}/login`;
  issuer = `${stack.issuerUrl}${path}`;
  bearer = `Bearer ${await token(namespace, 'authority', { audiences: [issuer] })}`;
});
afterAll(() => stack?.stop());

const jwks = (base: string) => () => fetch(`${base}${path}/.well-known/jwks.json`);
const sign = (base: string) => () =>
  fetch(`${base}${path}/sign`, {
    method: 'POST',
    headers: { Authorization: bearer, 'Content-Type': 'application/json' },
    body: '{"claims":{"sub":"alice"},"audience":"https://orders.example.com"}',
  });

function certificateOf({ url }: Replica): Promise<PeerCertificate> {
  const { hostname: host, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port: Number(port) }, () => {
      resolve(socket.getPeerCertificate());
      socket.destroy();
    });
    socket.once('error', reject);
  });
}

test('plain HTTP gives public documents, and refuses credentials whatever Host says', async () => {
  expect((await jwks(stack.plainUrl)()).status).toBe(200);
  for (const [place, body] of [
    ['/sign', '{}'],
    ['/oauth/token', 'grant_type=client_credentials'],
  ]) {
    const answer = await fetch(`${stack.plainUrl}${path}${place}`, {
      method: 'POST',
      headers: { Authorization: bearer, 'X-Forwarded-Proto': 'https', 'X-Forwarded-Host': 'evil' },
      body: body ?? '',
    });
    expect(answer.status).toBe(403);
    const text = await answer.text();
    expect(JSON.parse(text)).toMatchObject({ code: 'https_required' });
    expect(text).toContain(`Send it over HTTPS to ${issuer};`);
    expect(text).not.toContain('evil');
  }
  expect((await sign(stack.issuerUrl)()).status).toBe(200);
});

test('the ConfigMap carries what clients are to trust: who signed the serving certificate', async () => {
  const { stdout } = await stack.controlPlane.kubectl([
    ...['get', 'configmap', 'keys', '-n', path.split('/')[1] ?? ''],
    ...['-o', 'jsonpath={.data.ca\\.crt}'],
  ]);
  const authority = new X509Certificate(stdout);
  const { raw, subjectaltname } = await certificateOf(stack.issuer);
  expect(new X509Certificate(raw).verify(authority.publicKey)).toBe(true);
  expect(subjectaltname).toBe('IP Address:127.0.0.1, DNS:localhost');
});

test('no request fails while the certificate changes several times', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'signet-tls-'));
  const first = await makeAuthority({ lifetime: 730 * DAY, now: Date.now() });
  const second = await makeAuthority({ lifetime: 730 * DAY, now: Date.now() });
  trust(first.certificate + second.certificate);
  let current = first;
  const stop = new AbortController();
  const handing = handOverServingCertificates({
    authority: () => current,
    names: ['localhost', '127.0.0.1'],
    dir,
    clock: Date.now,
    log: createLog({ component: 'test', level: 'silent' }),
    signal: stop.signal,
  });
  const replica = await stack.replica('reload', ['--tls-dir', dir]);
  await replica.restart();
  const seen = new Set<string>([(await certificateOf(replica)).fingerprint256]);
  const fresh = () =>
    fetch(`${replica.url}${path}/.well-known/jwks.json`, { headers: { Connection: 'close' } });
  const load = startLoad(4, [sign(replica.url), fresh, jwks(replica.url)]);
  for (const next of [second, first, second, first]) {
    current = next;
    await eventually(async () => {
      const { fingerprint256 } = await certificateOf(replica);
      return !seen.has(fingerprint256) && seen.add(fingerprint256);
    });
  }
  await eventually(() => load.answered >= 500, { timeout: 2 * MINUTE });
  expect(await load.stop()).toEqual([]);
  expect(seen.size).toBe(5);
  stop.abort();
  await Promise.all([handing, replica.kill('SIGTERM')]);
  rmSync(dir, { recursive: true });
});

test('no request fails in a rolling restart behind a proxy', async () => {
  const drain = ['--drain-delay', '3s'];
  const replicas = [
    await stack.replica('rolling-a', drain),
    await stack.replica('rolling-b', drain),
  ];
  await Promise.all(replicas.map((replica) => replica.restart()));
  await using proxy = await startProxy(replicas, stack.caFile ?? '');
  const load = startLoad(4, [jwks(proxy.url), sign(proxy.url)]);
  for (const replica of replicas) {
    const before = load.answered;
    await eventually(() => load.answered >= before + 100, { timeout: MINUTE });
    const startedAt = performance.now();
    await replica.kill('SIGTERM');
    expect(performance.now() - startedAt).toBeLessThan(11 * SECOND);
    await replica.restart();
    await eventually(async () => (await proxy.replicas()) === 2);
  }
  expect(await load.stop()).toEqual([]);
  expect(load.answered).toBeGreaterThan(200);
  await Promise.all(replicas.map((replica) => replica.kill('SIGTERM')));
});
