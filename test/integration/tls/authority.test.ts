import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DAY } from '../../../src/api/constants.ts';
import { AUTHORITY_LIFETIME } from '../../../src/controller/authority-plan.ts';
import {
  AUTHORITY_SECRET,
  decodeAuthorities,
  encodeAuthorities,
} from '../../../src/controller/authority-secret.ts';
import { type ConfigMapObject, paths, type SecretObject } from '../../../src/controller/objects.ts';
import { makeAuthority } from '../../../src/keys/authority.ts';
import { NAMESPACE } from '../../stack/permissions.ts';
import type { Stack } from '../../stack/stack.ts';
import { eventually } from '../../support/eventually.ts';
import { startWorld, type Tenant, type World } from '../controller/world.ts';

const PATH = paths.secret(NAMESPACE, AUTHORITY_SECRET);

let stack: Stack;
let admin: World;
let tenant: Tenant;

beforeAll(async () => {
  admin = await startWorld();
  stack = admin.stack;
  tenant = await admin.tenant();
  await tenant.applyReady({ algorithm: 'ES256', publish: { configMaps: [{ name: 'keys' }] } });
});
afterAll(() => admin?.stop());

const secret = () => admin.get<SecretObject>(PATH);
const bundleIn = ({ data = {} }: SecretObject) =>
  Buffer.from(data['ca.crt'] ?? '', 'base64').toString();

async function published(): Promise<string | undefined> {
  const config = await admin.get<ConfigMapObject>(paths.configMap(tenant.name, 'keys'));
  return config.data?.['ca.crt'];
}

/** Waits until the ConfigMap carries the Secret's bundle, and the issuer is known by it alone. */
async function agreed(): Promise<string> {
  const bundle = await eventually(async () => {
    const text = bundleIn(await secret());
    expect(await published()).toBe(text);
    return text;
  });
  await eventually(() => visit(bundle));
  return bundle;
}

/** Resolves when the issuer's certificate verifies. */
async function visit(ca: string): Promise<void> {
  const { hostname, port } = new URL(stack.issuerUrl);
  const socket = connect({ host: hostname, port: Number(port), ca });
  try {
    await once(socket, 'secureConnect');
  } finally {
    socket.destroy();
  }
}

function certificates(bundle: string): number {
  return bundle.match(/BEGIN CERTIFICATE/g)?.length ?? 0;
}

test('a deleted authority is written back as it was', async () => {
  const before = await agreed();
  const { metadata } = await secret();
  await admin.delete(PATH);
  await eventually(async () => (await secret()).metadata.uid !== metadata.uid);
  expect(bundleIn(await secret())).toBe(before);
  expect(await published()).toBe(before);
});

test('one that has reached half its life gets a next one, which is published before it signs', async () => {
  const now = Date.now();
  const old = { lifetime: AUTHORITY_LIFETIME, now: now - AUTHORITY_LIFETIME * 0.6 };
  const current = { ...(await makeAuthority(old)), notAfter: now + AUTHORITY_LIFETIME * 0.4 };
  const { metadata } = await secret();
  const aged = encodeAuthorities({ current }, metadata);
  await admin.kube.request('PUT', PATH, { body: aged });
  await eventually(async () => decodeAuthorities(await secret()).next !== undefined);
  const bundle = await agreed();
  expect(certificates(bundle)).toBe(2);
  expect(bundle.startsWith(current.certificate)).toBe(true);
  const next = decodeAuthorities(await secret()).next;
  expect(bundle.endsWith(next?.certificate ?? '-')).toBe(true);
  expect(next?.notAfter).toBeGreaterThan(now + 729 * DAY);
});

test('a Secret of that name that somebody else made is left alone, and said (I19)', async () => {
  const before = await agreed();
  await stack.controller.kill('SIGTERM');
  await admin.delete(PATH);
  const foreign = { apiVersion: 'v1', kind: 'Secret', metadata: { name: AUTHORITY_SECRET } };
  await admin.create(paths.secrets(NAMESPACE), foreign);
  const { metadata } = await secret();
  await stack.controller.restart();
  await eventually(async () => {
    const metrics = await (await fetch(stack.controller.metricsUrl)).text();
    expect(metrics).toContain('signet_certificate_authority_usable 0');
    expect(metrics).toContain('signet_controller_leading 1');
  });
  expect(readFileSync(stack.controller.logFile, 'utf8')).toContain(
    'Secret signet-ca was not made by Signet and is not used: delete or rename it',
  );
  expect((await secret()).metadata).toEqual(metadata);
  expect(await published()).toBe(before);
  await visit(before);

  await admin.delete(PATH);
  await eventually(async () => bundleIn(await secret()) !== '');
  expect(await agreed()).not.toBe(before);
});

test('the keys of an authority stand in no log, metric and ConfigMap', async () => {
  const { data = {} } = await secret();
  const [, body = ''] = Buffer.from(data['tls.key'] ?? '', 'base64')
    .toString()
    .split('\n');
  expect(body).toHaveLength(64);
  const places = [
    readFileSync(stack.controller.logFile, 'utf8'),
    readFileSync(stack.issuer.logFile, 'utf8'),
    await (await fetch(stack.controller.metricsUrl)).text(),
    (await published()) ?? '',
  ];
  for (const place of places) expect(place).not.toContain(body);
});
