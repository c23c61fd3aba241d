import { decodeProtectedHeader, importJWK, jwtVerify } from 'jose';
import { expect, test } from 'vitest';
import { testKey } from '../../test/support/keyrings.ts';
import { ALGORITHM_NAMES, isAlgorithm } from './algorithms.ts';
import { signJwt } from './jwt.ts';

test.each(ALGORITHM_NAMES)('jose verifies a token signed with %s', async (algorithm) => {
  const { kid, jwk, privateKey } = await testKey(algorithm);
  const claims = { iss: 'https://login.example.com/', sub: 'zoë', nested: { list: [1, null] } };
  const token = await signJwt({ algorithm, kid, privateKey, type: 'at+jwt', claims });

  const { payload } = await jwtVerify(token, await importJWK({ ...jwk }), {
    algorithms: [algorithm],
    typ: 'at+jwt',
  });
  expect(payload).toEqual(claims);
  expect(decodeProtectedHeader(token)).toEqual({ alg: algorithm, kid, typ: 'at+jwt' });
});

test.each(ALGORITHM_NAMES)(
  'a %s signature holds up nobody who asks for it: none is there before the next turn of the event loop',
  async (algorithm) => {
    const { kid, privateKey } = await testKey(algorithm);
    let signed = false;
    const token = signJwt({ algorithm, kid, privateKey, type: 'JWT', claims: {} });
    const done = token.then(() => {
      signed = true;
    });
    // Microtasks alone: a signature made at once would be there after a few of them.
    for (let turn = 0; turn < 50; turn++) await null;
    expect(signed).toBe(false);
    await done;
  },
);

test('only the names of the table are algorithms', () => {
  expect(ALGORITHM_NAMES).toHaveLength(10);
  expect(ALGORITHM_NAMES.every(isAlgorithm)).toBe(true);
  expect(['none', 'HS256', 'toString', '__proto__', 7, undefined].some(isAlgorithm)).toBe(false);
});
