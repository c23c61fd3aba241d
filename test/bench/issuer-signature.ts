import { constants, generateKeyPairSync, sign } from 'node:crypto';
import { percentile } from './figures.ts';

/** RS256 signatures one after another, with nothing around them. @returns p99 in milliseconds. */
export function signatureAlone(seconds: number): number {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = { key: privateKey, padding: constants.RSA_PKCS1_PADDING };
  const bytes = Buffer.alloc(400, 'a');
  const times: number[] = [];
  const end = performance.now() + seconds * 1_000;
  for (let begun = performance.now(); begun < end; begun = performance.now()) {
    sign('sha256', bytes, key);
    times.push(performance.now() - begun);
  }
  return percentile(times, 0.99);
}
