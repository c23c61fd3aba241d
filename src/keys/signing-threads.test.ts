import { generateKeyPairSync, pbkdf2, verify } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { signingThreads } from './signing-threads.ts';

const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const key = { key: privateKey };
const MANY = 40;
/** Node's default, as nothing else is set where tests run. */
const POOL = 4;
const longWork = promisify(pbkdf2);
const texts = Array.from({ length: MANY }, (_, index) => Buffer.from(`text ${index}`));

test('as many signatures as are asked for at once are made, each of what it is for', async () => {
  const made = await Promise.all(
    texts.map((bytes) => signingThreads.share({ hash: 'sha256', bytes, key })),
  );
  for (const [index, signature] of made.entries()) {
    expect(verify('sha256', texts[index] ?? Buffer.of(), publicKey, signature)).toBe(true);
  }
});

test('the event loop makes at most one signature in each of its turns, while the pool is busy', async () => {
  let isBusy = true;
  const busy = Array.from({ length: POOL }, () => longWork('x', 'y', 2_000_000, 64, 'sha512'));
  const free = Promise.race(busy).then(() => {
    isBusy = false;
  });
  let made = 0;
  const all = texts.map(async (bytes) => {
    await signingThreads.share({ hash: 'sha256', bytes, key });
    made += 1;
  });
  const perTurn: number[] = [];
  while (isBusy && made < MANY / 4) {
    const before = made;
    await nextTurn();
    if (isBusy) perTurn.push(made - before);
  }
  expect(Math.max(...perTurn)).toBe(1);
  await Promise.all([free, ...busy, ...all]);
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
