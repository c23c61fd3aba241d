import { createPublicKey, X509Certificate } from 'node:crypto';
import { expect, test } from 'vitest';
import { aKeyring, testKey } from '../../test/support/keyrings.ts';
import { ALGORITHM_NAMES } from './algorithms.ts';
import { decodeKeyring, encodeKeyring } from './codec.ts';
import { jwks } from './jwks.ts';
import type { Keyring } from './keyring.ts';
import { renderPublication } from './publication.ts';

const SLOTS = ['current', 'next', 'previous', 'previous-2', 'previous-3'];

/** The kid that each slot shows, checked to be the same in all three forms. */
function slots(ring: Keyring): Record<string, string | undefined> {
  const { data, binaryData } = renderPublication(ring);
  return Object.fromEntries(
    SLOTS.map((slot) => {
      const pem = new X509Certificate(data[`${slot}.crt`] ?? '');
      const der = new X509Certificate(Buffer.from(binaryData[`${slot}.cer`] ?? '', 'base64'));
      const publicKey = createPublicKey(data[`${slot}.pub`] ?? '');
      expect(der.raw.equals(pem.raw)).toBe(true);
      expect(pem.publicKey.equals(publicKey)).toBe(true);
      const key = ring.keys.find(({ fingerprint }) => fingerprint === pem.fingerprint256);
      return [slot, key?.kid];
    }),
  );
}

test.each(ALGORITHM_NAMES)('every slot of a full %s ring shows its key', async (algorithm) => {
  const ring = await aKeyring().algorithm(algorithm).previous(3).build();
  expect(Object.values(slots(ring))).toEqual(ring.keys.map(({ kid }) => kid));
});

test('an empty slot shows the current key, so that no mount breaks', async () => {
  const ring = await aKeyring().previous(1).build();
  const [current, next, previous] = ring.keys.map(({ kid }) => kid);
  expect(Object.values(slots(ring))).toEqual([current, next, previous, current, current]);
});

test('the files are the same for a new set and a full one, but for the names of keys', async () => {
  const unnamed = (ring: Keyring) =>
    Object.keys(renderPublication(ring).data).filter((file) => !/^[\w-]{43}\./.test(file));
  const young = unnamed(await aKeyring().build());
  expect(young).toEqual(unnamed(await aKeyring().previous(3).build()));
  expect(young.toSorted()).toEqual(
    [
      ...SLOTS.flatMap((slot) => [`${slot}.crt`, `${slot}.pub`]),
      'bundle.crt',
      'issuer',
      'jwks',
      'jwks.json',
    ].toSorted(),
  );
});

test('jwks is the document that the issuer serves, and issuer is byte for byte', async () => {
  const ring = await aKeyring().with({ issuer: 'https://login.example.com/ü/' }).build();
  const { data } = renderPublication(ring);
  const document = JSON.stringify(jwks(ring));
  const issuer = 'https://login.example.com/ü/';
  expect(data).toMatchObject({ jwks: document, 'jwks.json': document, issuer });
});

test('bundle.crt has the certificate of each key once, in the order of the slots', async () => {
  const ring = await aKeyring().previous(2).build();
  const { data } = renderPublication(ring);
  expect(data['bundle.crt']).toBe(ring.keys.map(({ certificate }) => certificate).join(''));
  for (const { kid, certificate } of ring.keys) expect(data[`${kid}.crt`]).toBe(certificate);
});

test('a previous key without a certificate has its .pub, and the .crt of the current key', async () => {
  const ring = await aKeyring().previous(1).previousPublicOnly().build();
  const { data, binaryData } = renderPublication(ring);
  const kid = ring.keys[2]?.kid;
  expect(data['previous.crt']).toBe(data['current.crt']);
  expect(binaryData['previous.cer']).toBe(binaryData['current.cer']);
  expect(data['previous.pub']).toBe(data[`${kid}.pub`]);
  expect(data['previous.pub']).not.toBe(data['current.pub']);
  expect(data).not.toHaveProperty([`${kid}.crt`]);
});

test('the same ring gives the same content, also after a round through the Secret', async () => {
  const ring = await aKeyring().algorithm('PS256').previous(2).build();
  const again = decodeKeyring(encodeKeyring(ring));
  expect(JSON.stringify(renderPublication(again))).toBe(JSON.stringify(renderPublication(ring)));
});

test('I6, I12: neither a revoked key nor a private half appears anywhere', async () => {
  const ring = await aKeyring().previous(1).revoked(2).build();
  const text = JSON.stringify(renderPublication(ring));
  expect(text).not.toContain('PRIVATE');
  for (const { kid } of ring.revoked) expect(text).not.toContain(kid);
});

test('the largest ConfigMap is a tenth of what the API accepts, and its names are allowed', async () => {
  const { issuer, keys } = await aKeyring().previous(3).build();
  const { kid: _, ...large } = await testKey('RS256', 0, 4096);
  const five = keys.map((key) => ({ ...key, ...large }));
  const { data, binaryData } = renderPublication({ issuer, keys: five });
  expect(JSON.stringify({ data, binaryData }).length).toBeLessThan(100 * 1024);
  for (const file of [...Object.keys(data), ...Object.keys(binaryData)])
    expect(file).toMatch(/^(?!\.\.)[-._a-zA-Z0-9]{1,253}$/);
});

test('a ring without a current certificate cannot be published', async () => {
  const ring = await aKeyring().build();
  const keys = ring.keys.map(({ certificate: _, ...key }) => key);
  expect(() => renderPublication({ ...ring, keys })).toThrow(/current key with a certificate/);
});
