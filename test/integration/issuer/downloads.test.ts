import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Keyring, KeyState } from '../../../src/keys/keyring.ts';
import { aKeyring } from '../../support/keyrings.ts';
import { json, startWorld, type World } from './world.ts';

let world: World;
let login: Keyring;

beforeAll(async () => {
  world = await startWorld();
  login = await world.store(await aKeyring().with(world.identity('login')).previous(2).build());
  await world.store(await aKeyring().with(world.identity('fresh')).build());
});
afterAll(() => world?.[Symbol.asyncDispose]());

/** Runs openssl on what was downloaded. @returns its standard output. */
function openssl(args: readonly string[], file: Buffer): string {
  return execFileSync('openssl', args, { input: file, encoding: 'utf8' }).trim();
}

async function download(path: string, init?: RequestInit) {
  const response = await world.fetch(`/${world.tenant}/login${path}`, init);
  return { response, file: Buffer.from(await response.arrayBuffer()) };
}

const FINGERPRINT = ['-noout', '-fingerprint', '-sha256'];
const FORMATS: readonly (readonly [
  path: string,
  type: string,
  fileName: string | undefined,
  fingerprintOf: (file: Buffer) => string,
])[] = [
  [
    '/pem',
    'application/x-pem-file',
    'login.pem',
    (file) => openssl(['x509', ...FINGERPRINT], file),
  ],
  [
    '/cer',
    'application/pkix-cert',
    'login.cer',
    (file) => openssl(['x509', '-inform', 'DER', ...FINGERPRINT], file),
  ],
  [
    '/rawpem',
    'text/plain; charset=utf-8',
    undefined,
    (file) => openssl(['x509', ...FINGERPRINT], file),
  ],
  [
    '/pb7',
    'application/x-pkcs7-certificates',
    'login.p7b',
    (file) => {
      const certificates = openssl(['pkcs7', '-inform', 'DER', '-print_certs'], file);
      expect(certificates.match(/BEGIN CERTIFICATE/g)).toHaveLength(1);
      return openssl(['x509', ...FINGERPRINT], Buffer.from(certificates));
    },
  ],
  ['/fingerprint', 'text/plain; charset=utf-8', undefined, (file) => `=${file}`.trim()],
];

function certificateOf(state: KeyState): X509Certificate {
  const key = login.keys.find((one) => one.state === state);
  return new X509Certificate(key?.certificate ?? '');
}

describe.each(FORMATS)('GET %s', (path, type, fileName, fingerprintOf) => {
  it.each(['current', 'next', 'previous'] as const)(
    'is the %s key, as openssl reads it',
    async (state) => {
      const { response, file } = await download(`${path}?key=${state}`);
      expect(response.status).toBe(200);
      expect(response.headers.get('content-type')).toBe(type);
      const suffix = state === 'current' ? '.' : `-${state}.`;
      expect(response.headers.get('content-disposition') ?? undefined).toBe(
        fileName && `attachment; filename="${fileName.replace('.', suffix)}"`,
      );
      const [, fingerprint] = fingerprintOf(file).split('=');
      expect(fingerprint).toBe(certificateOf(state).fingerprint256);
    },
  );

  it('is the current key unless told otherwise, for any origin, and not sent twice', async () => {
    const [{ file }, { response, file: current }] = await Promise.all([
      download(path),
      download(`${path}?key=current`),
    ]);
    expect(file.equals(current)).toBe(true);
    expect(response.headers.get('access-control-allow-origin')).toBe('*');
    expect(response.headers.get('cache-control')).toBe('public, max-age=300');
    const etag = response.headers.get('etag') ?? '';
    const again = await download(path, { headers: { 'If-None-Match': etag } });
    expect([again.response.status, again.file.length]).toEqual([304, 0]);
  });
});

describe.each(FORMATS)('GET %s refuses', (path) => {
  it.each([
    ['fresh', '?key=previous', '404 key_unknown', 'a key that does not exist'],
    ['login', '?key=revoked', '400 key_invalid', 'another name'],
    ['login', '?key=', '400 key_invalid', 'no name'],
    ['login', '?key=next&key=current', '400 key_invalid', 'two names'],
    ['nowhere', '', '404 set_unknown', 'a set that does not exist'],
  ])('%s%s: %s (%s)', async (set, query, answer) => {
    const response = await world.fetch(`/${world.tenant}/${set}${path}${query}`);
    const [status, code] = answer.split(' ');
    expect(response.status).toBe(Number(status));
    expect(await json(response)).toMatchObject({ status: Number(status), code });
  });

  it('another method', async () => {
    const { response } = await download(path, { method: 'POST' });
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
  });
});

it('no download shows a private member', () => {
  expect(world.remembered.replies).toBeGreaterThan(50);
  expect(world.leaks()).toEqual([]);
});
