import { createHash, X509Certificate } from 'node:crypto';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { expect, test } from 'vitest';
import { aKeyring, testKey } from '../../test/support/keyrings.ts';
import { ALGORITHM_NAMES } from './algorithms.ts';
import { jwks } from './jwks.ts';
import { signJwt } from './jwt.ts';

const CERTIFICATE_MEMBERS = ['x5c', 'x5t', 'x5t#S256'];
const PUBLIC = new Set([
  'kid',
  'kty',
  'alg',
  'use',
  'n',
  'e',
  'crv',
  'x',
  'y',
  ...CERTIFICATE_MEMBERS,
]);

test.each(ALGORITHM_NAMES)(
  'I12: a JWKS of %s keys has public members and no other',
  async (algorithm) => {
    const ring = await aKeyring().algorithm(algorithm).previous(1).build();
    // Even where a private member came in with the JWK.
    const keys = ring.keys.map((key) => ({
      ...key,
      jwk: { ...key.jwk, d: 'AA', p: 'AA', k: 'AA' },
    }));
    const published = jwks({ keys });
    expect(published.keys).toHaveLength(3);
    for (const key of published.keys)
      for (const member of Object.keys(key)) expect(PUBLIC).toContain(member);
  },
);

test.each(ALGORITHM_NAMES)('jose finds the %s key of a token in the JWKS', async (algorithm) => {
  const ring = await aKeyring().algorithm(algorithm).previous(1).build();
  const find = createLocalJWKSet(JSON.parse(JSON.stringify(jwks(ring))));
  for (const { kid, privateKey } of ring.keys) {
    if (privateKey === undefined) throw new Error('the fixture keeps three private halves');
    const token = await signJwt({ algorithm, kid, privateKey, type: 'JWT', claims: { sub: kid } });
    expect((await jwtVerify(token, find)).payload.sub).toBe(kid);
  }
});

test('current comes first, then next, then the previous keys, newest first', async () => {
  const { keys } = await aKeyring().previous(3).build();
  const [current, next, ...previous] = keys;
  if (!current || !next) throw new Error('the fixture has both');
  const shuffled = [...previous, next, current];
  expect(jwks({ keys: shuffled }).keys.map(({ kid }) => kid)).toEqual(keys.map(({ kid }) => kid));
});

test('x5c, x5t and x5t#S256 are those of the certificate, and absent without one', async () => {
  const ring = await aKeyring().previous(1).previousPublicOnly().build();
  const [current, , previous] = jwks(ring).keys;
  const der = new X509Certificate(ring.keys[0]?.certificate ?? '').raw;
  expect(current).toMatchObject({
    x5c: [der.toString('base64')],
    x5t: createHash('sha1').update(der).digest('base64url'),
    'x5t#S256': createHash('sha256').update(der).digest('base64url'),
  });
  for (const member of CERTIFICATE_MEMBERS) expect(previous).not.toHaveProperty(member);
});

test('five keys of RSA-4096 stay far below the 50 KiB that Nimbus reads', async () => {
  const { keys } = await aKeyring().previous(3).build();
  const large = await testKey('RS512', 0, 4096);
  const five = keys.map((key) => ({ ...key, ...large }));
  expect(JSON.stringify(jwks({ keys: five })).length).toBeLessThan(20 * 1024);
});
