import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { NOW, testKey } from '../../test/support/keyrings.ts';
import { DAY, MINUTE } from '../api/constants.ts';
import { ALGORITHM_NAMES, ALGORITHMS } from './algorithms.ts';
import { certificateDer, certificatePem, fingerprint, notAfter } from './certificate.ts';
import { generateKey } from './generate.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'signet-certificates-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function openssl(...args: string[]): string {
  return execFileSync('openssl', args, { encoding: 'utf8', stdio: 'pipe' });
}

function x509(pem: string, ...args: string[]): string {
  return execFileSync('openssl', ['x509', '-noout', ...args], { input: pem, encoding: 'utf8' });
}

test.each(ALGORITHM_NAMES)('openssl verifies the certificate of a %s key', async (algorithm) => {
  const { kid, certificate, privateKey } = await testKey(algorithm);
  const file = join(folder, `${kid}.crt`);
  writeFileSync(file, certificate);
  const at = String(NOW / 1000);
  expect(
    openssl('verify', '-x509_strict', '-check_ss_sig', '-attime', at, '-CAfile', file, file),
  ).toBe(`${file}: OK\n`);
  const keyFile = join(folder, `${kid}.key`);
  writeFileSync(keyFile, privateKey.exportPem(), { mode: 0o600 });
  expect(x509(certificate, '-pubkey')).toBe(openssl('pkey', '-in', keyFile, '-pubout'));
});

test.each(ALGORITHM_NAMES)('the certificate of a %s key says what it is for', async (algorithm) => {
  const { certificate } = await testKey(algorithm);
  const text = x509(certificate, '-text');
  expect(text).toContain('Version: 3 (0x2)');
  expect(text).toMatch(/X509v3 Basic Constraints: critical\s+CA:FALSE/);
  expect(text).toMatch(/X509v3 Key Usage: critical\s+Digital Signature\n/);
  expect(text).toMatch(/X509v3 Subject Key Identifier:/);
  if (ALGORITHMS[algorithm].kty === 'RSA')
    expect(text).toContain('Public Key Algorithm: rsaEncryption');
});

test('validity starts before now, for verifiers whose clock is behind, and ends by lifetime', async () => {
  const input = { algorithm: 'ES256', modulusLength: 2048, subject: 'CN=a', now: NOW } as const;
  const { certificate } = await generateKey({ ...input, lifetime: 30 * DAY });
  const dates = x509(certificate, '-dates').split('\n');
  expect(Date.parse(String(dates[0]).replace('notBefore=', ''))).toBe(NOW - 5 * MINUTE);
  expect(notAfter(certificate)).toBe(NOW + 30 * DAY);

  const endless = await generateKey({ ...input, lifetime: Number.MAX_SAFE_INTEGER });
  expect(new Date(endless.notAfter).toISOString()).toBe('9999-12-31T23:59:59.000Z');
});

test('serial numbers are positive, at most 20 octets, and never the same', async () => {
  const serials = await Promise.all(
    Array.from({ length: 8 }, async (_, number) => {
      const { certificate } = await testKey('EdDSA', number);
      return x509(certificate, '-serial').trim().replace('serial=', '');
    }),
  );
  for (const serial of serials) expect(serial).toMatch(/^[4-7][\dA-F]{31}$/);
  expect(new Set(serials).size).toBe(serials.length);
});

test('fingerprint, DER and PEM are what openssl makes of the same certificate', async () => {
  const { certificate } = await testKey();
  const printed = x509(certificate, '-sha256', '-fingerprint').split('=')[1];
  expect(`${fingerprint(certificate)}\n`).toBe(printed);
  const der = execFileSync('openssl', ['x509', '-outform', 'DER'], { input: certificate });
  expect(certificateDer(certificate).equals(der)).toBe(true);
  expect(certificatePem(`some words\n${certificate}${certificate}`)).toBe(certificate);
  expect(execFileSync('openssl', ['x509'], { input: certificate }).toString()).toBe(certificate);
});

test('the subject may have several parts and escapes', async () => {
  const { certificate } = await generateKey({
    algorithm: 'EdDSA',
    modulusLength: 2048,
    subject: String.raw`CN=login.example.com, O=Example\, Inc., OU=a\\, DC=é, C=DE`,
    lifetime: DAY,
    now: NOW,
  });
  const name = String.raw`C=DE,DC=\C3\A9,OU=a\\,O=Example\, Inc.,CN=login.example.com`;
  expect(x509(certificate, '-subject', '-issuer', '-nameopt', 'RFC2253')).toBe(
    `subject=${name}\nissuer=${name}\n`,
  );
});
