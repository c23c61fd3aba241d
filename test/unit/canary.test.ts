import { describe, expect, it } from 'vitest';
import { canariesIn, placesWith } from '../support/canary.ts';
import { testKey } from '../support/keyrings.ts';

describe.each(['RS256', 'ES256', 'EdDSA'] as const)('of a private key for %s', (algorithm) => {
  it('each line of its PEM and each private member of its JWK is found wherever it stands', async () => {
    const { privateKey, certificate, jwk } = await testKey(algorithm);
    const pem = privateKey.exportPem();
    const canaries = canariesIn(`current.key: ${pem}`);
    const { d = '' } = privateKey.keyObject.export({ format: 'jwk' });
    const [, line = ''] = pem.split('\n');
    const places = {
      'an escaped PEM': JSON.stringify({ pem }),
      'one line': `… ${line} …`,
      'a JWK': `{"d":"${d}"}`,
      'what is public': JSON.stringify([certificate, jwk]),
    };
    expect(placesWith(canaries, places)).toEqual(['an escaped PEM', 'one line', 'a JWK']);
  });
});
