import { generateKeyPairSync, verify } from 'node:crypto';
import { expect, test } from 'vitest';
import { SIGNING_THREADS, signingThreads } from './signing-threads.ts';

const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const key = { key: privateKey };
const MANY = 40;
const texts = Array.from({ length: MANY }, (_, index) => Buffer.from(`text ${index}`));

test('as many signatures as are asked for at once are made, each of what it is for', async () => {
  const made = await Promise.all(
    texts.map((bytes) => signingThreads.share({ hash: 'sha256', bytes, key })),
  );
  for (const [index, signature] of made.entries()) {
    expect(verify('sha256', texts[index] ?? Buffer.of(), publicKey, signature)).toBe(true);
  }
});

test('the event loop turns between any two signatures that it makes itself', async () => {
  let turns = 0;
  let goesOn = true;
  const turn = () => {
    turns += 1;
    if (goesOn) setImmediate(turn);
  };
  setImmediate(turn);
  await Promise.all(texts.map((bytes) => signingThreads.share({ hash: 'sha256', bytes, key })));
  goesOn = false;
  expect(turns).toBeGreaterThan(MANY / (SIGNING_THREADS + 1) / 2);
});

test.each(['share', 'sign'] as const)(
  'a signature that cannot be made fails alone, and those after it are made (%s)',
  async (way) => {
    const hashes = texts.map((_, index) => (index % 3 === 0 ? 'no-such-hash' : 'sha256'));
    const made = await Promise.allSettled(
      hashes.map((hash) => signingThreads[way]({ hash, bytes: Buffer.of(1), key })),
    );
    expect(made.map(({ status }) => status)).toEqual(
      hashes.map((hash) => (hash === 'sha256' ? 'fulfilled' : 'rejected')),
    );
    await expect(
      signingThreads.share({ hash: 'sha256', bytes: Buffer.of(1), key }),
    ).resolves.toHaveLength(256);
  },
);
