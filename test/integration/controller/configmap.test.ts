import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Keyring } from '../../../src/keys/keyring.ts';
import { secretLines } from '../../support/damage.ts';
import { eventually } from '../../support/eventually.ts';
import { ES256, LONG_GRACE, startWorld, type TenantSet, type World } from './world.ts';

let world: World;
let dir: string;

beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.stop());
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'signet-gateway-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const TARGET = 'login-verification-keys';
const SPEC = {
  ...ES256,
  ...LONG_GRACE,
  rotation: { propagationDelay: '0s' },
  certificate: { subject: 'CN=login.example.com, O=Example', duration: '240h' },
  publish: { configMaps: [{ name: TARGET }] },
};
const SLOTS = ['current', 'next', 'previous', 'previous-2', 'previous-3'];

async function openssl(...args: readonly string[]): Promise<string> {
  return (await promisify(execFile)('openssl', args, { cwd: dir })).stdout;
}

/** Writes the files of the ConfigMap to a folder, as a kubelet mounts them. @returns their names. */
async function mount(set: TenantSet): Promise<readonly string[]> {
  const { data = {}, binaryData = {} } = (await set.tenant.configMap(TARGET)) ?? {};
  for (const [name, text] of Object.entries(data)) writeFileSync(join(dir, name), text);
  for (const [name, base64] of Object.entries(binaryData)) {
    writeFileSync(join(dir, name), Buffer.from(base64, 'base64'));
  }
  return [...Object.keys(data), ...Object.keys(binaryData)].sort();
}

function file(name: string): string {
  return readFileSync(join(dir, name), 'utf8');
}

async function make(): Promise<TenantSet> {
  const set = await (await world.tenant()).applyReady(SPEC);
  await set.until('Published', 'True');
  return set;
}

async function rotate(set: TenantSet, times: number): Promise<void> {
  for (let count = 0; count < times; count += 1) {
    const from = await set.kid('current');
    await set.annotate('rotate=now');
    await set.promoted(from);
  }
}

/** Which key each slot holds: of a slot without a key, the current one (so that no mount breaks). */
function slotsOf({ keys }: Keyring): readonly [slot: string, kid: string][] {
  const kids = ['current', 'next', 'previous'].flatMap((state) =>
    keys.filter((key) => key.state === state).map(({ kid }) => kid),
  );
  return SLOTS.map((slot, index) => [slot, kids[index] ?? kids[0] ?? '']);
}

async function expectComplete(set: TenantSet): Promise<void> {
  const ring = await set.keyring();
  const kids = ring.keys.map(({ kid }) => kid);
  const names = await mount(set);
  expect(names).toEqual(
    [
      ...SLOTS.flatMap((slot) => [`${slot}.crt`, `${slot}.cer`, `${slot}.pub`]),
      ...kids.flatMap((kid) => [`${kid}.crt`, `${kid}.pub`]),
      ...['bundle.crt', 'ca.crt', 'jwks', 'jwks.json', 'issuer'],
    ].sort(),
  );
  for (const [slot, kid] of slotsOf(ring)) {
    const pem = file(`${slot}.crt`);
    expect(pem, slot).toBe(file(`${kid}.crt`));
    expect(pem).toBe(ring.keys.find((key) => key.kid === kid)?.certificate);
    expect(await openssl('x509', '-in', `${slot}.crt`, '-noout', '-pubkey')).toBe(
      file(`${slot}.pub`),
    );
    expect(await openssl('x509', '-inform', 'DER', '-in', `${slot}.cer`)).toBe(pem);
    expect(await openssl('verify', '-CAfile', 'bundle.crt', `${slot}.crt`)).toBe(
      `${slot}.crt: OK\n`,
    );
  }
  expect(file('bundle.crt').match(/-----BEGIN CERTIFICATE-----/g)).toHaveLength(kids.length);
  expect(file('issuer')).toBe(ring.issuer);
  expect(file('jwks.json')).toBe(file('jwks'));
}

describe('the ConfigMap of a set', () => {
  it('is complete from the first moment, and after each rotation (I13)', async () => {
    const set = await make();
    await expectComplete(set);
    const facts = await openssl(
      'x509',
      '-in',
      'current.crt',
      '-noout',
      '-subject',
      '-checkend',
      `${239 * 3600}`,
    );
    expect(facts).toMatch(/subject=.*CN ?= ?login\.example\.com/);
    expect(facts).toContain('Certificate will not expire');
    await rotate(set, 3);
    await set.until('Published', 'True');
    expect(new Set(slotsOf(await set.keyring()).map(([, kid]) => kid)).size).toBe(5);
    await expectComplete(set);
  });

  it('holds the JWKS that the issuer serves (I13)', async () => {
    const set = await make();
    await rotate(set, 1);
    const { jwksURI = '' } = await set.status();
    await eventually(async () => {
      await mount(set);
      const served = await (await fetch(jwksURI)).text();
      expect(file('jwks.json')).toBe(served);
      expect(JSON.parse(served).keys).toHaveLength(3);
    });
  });

  it('verifies what the private half in the Secret signs, with openssl alone', async () => {
    const set = await make();
    await mount(set);
    const { data = {} } = (await set.secret()) ?? {};
    const key = data[`${await set.kid('current')}.key`] ?? '';
    writeFileSync(join(dir, 'private.pem'), Buffer.from(key, 'base64'), { mode: 0o600 });
    writeFileSync(join(dir, 'message'), 'header.payload');
    await openssl('dgst', '-sha256', '-sign', 'private.pem', '-out', 'signature', 'message');
    const verify = (slot: string): Promise<string> =>
      openssl('dgst', '-sha256', '-verify', `${slot}.pub`, '-signature', 'signature', 'message');
    expect(await verify('current')).toBe('Verified OK\n');
    await expect(verify('next')).rejects.toThrow();
    await rotate(set, 1);
    await set.until('Published', 'True');
    await mount(set);
    expect(await verify('previous')).toBe('Verified OK\n');
  });

  it('drops a key that is revoked', async () => {
    const set = await make();
    await rotate(set, 1);
    const revoked = await set.kid('previous');
    await eventually(async () => expect(await mount(set)).toContain(`${revoked}.crt`));
    await set.annotate(`revoke=${revoked}`);
    await eventually(async () => {
      expect(JSON.stringify(await set.tenant.configMap(TARGET))).not.toContain(revoked);
    });
    await set.until('Published', 'True');
    await expectComplete(set);
  });
});

describe('private halves', () => {
  it('stand in the Secret, and in nothing else that is written, served, logged or told', async () => {
    const set = await make();
    await rotate(set, 2);
    const { keys } = await set.keyring();
    const secrets = keys.flatMap(({ privateKey }) =>
      privateKey === undefined
        ? []
        : [
            ...secretLines(privateKey.exportPem()),
            privateKey.keyObject.export({ format: 'jwk' }).d ?? '',
          ],
    );
    expect(secrets.length).toBeGreaterThanOrEqual(3 * 3);
    const { controller, issuer } = world.stack;
    const { issuer: url = '', jwksURI = '' } = await set.status();
    const pages = [
      jwksURI,
      `${url}/.well-known/openid-configuration`,
      controller.metricsUrl,
      issuer.metricsUrl,
    ];
    const said = [
      ...(await Promise.all(pages.map(async (page) => (await fetch(page)).text()))),
      ...[controller.logFile, issuer.logFile].map((path) => readFileSync(path, 'utf8')),
      JSON.stringify(await set.tenant.configMap(TARGET)),
      JSON.stringify(await set.read()),
      JSON.stringify(await world.list(`/api/v1/namespaces/${set.tenant.name}/events`)),
    ];
    for (const text of said) {
      expect(text).not.toBe('');
      expect(text).not.toContain('PRIVATE KEY');
      expect(text).not.toMatch(/"(d|p|q|dp|dq|qi)":/);
      for (const secret of secrets) expect(text.includes(secret)).toBe(false);
    }
  });
});
