import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import { aKeyring, testKey } from '../../test/support/keyrings.ts';
import { ALGORITHM_NAMES } from './algorithms.ts';
import { decodeKeyring, encodeKeyring } from './codec.ts';
import type { KeyMaterial } from './generate.ts';
import type { Keyring, RevokedKey, SigningKey } from './keyring.ts';

/** Many rings of real keys: seconds, and more on a machine that is busy. */
const SLOW = { timeout: 180_000 };

/** Private keys compare by content, which `toEqual` cannot see. */
function revealed(ring: Keyring) {
  const keys = ring.keys.map((key) => ({ ...key, privateKey: key.privateKey?.exportPem() }));
  return { ...ring, keys };
}

const instant = fc.integer({ min: 0, max: Date.UTC(9999, 11, 31) });
const duration = fc.nat(400 * 24 * 3_600_000);
const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/);
const absent: { requiredKeys: [] } = { requiredKeys: [] };
const TRIGGERS = ['Request', 'Force', 'Compromised', 'Rollback', 'Schedule', 'Age'] as const;
const times = { publishedAt: instant, promotedAt: instant, demotedAt: instant };

let pool: readonly KeyMaterial[];
beforeAll(async () => {
  pool = await Promise.all(ALGORITHM_NAMES.map((algorithm) => testKey(algorithm)));
});

function keyIn(state: SigningKey['state'], material: KeyMaterial): fc.Arbitrary<SigningKey> {
  const { privateKey, certificate, fingerprint, notAfter, ...publicHalf } = material;
  const certified = { certificate, fingerprint, notAfter };
  const parts =
    state === 'previous'
      ? fc.constantFrom({}, certified, { privateKey }, { ...certified, privateKey })
      : fc.constant({ ...certified, privateKey });
  const required = { createdAt: instant, propagationDelay: duration, inFirstJwks: fc.boolean() };
  const may = { ...times, revokeAt: instant, tokensUntil: instant };
  return fc
    .tuple(parts, fc.record(required), fc.record(may, absent))
    .map(([held, must, may]) => ({ ...publicHalf, state, ...held, ...must, ...may }));
}

function revokedKey({ kid, algorithm, fingerprint, notAfter }: KeyMaterial) {
  const may = fc.record(
    {
      ...times,
      revokedEverywhereAt: instant,
      fingerprint: fc.constant(fingerprint),
      notAfter: fc.constant(notAfter),
    },
    absent,
  );
  return fc
    .tuple(fc.record({ createdAt: instant, revokedAt: instant }), may)
    .map(([must, may]): RevokedKey => ({ kid, algorithm, ...must, ...may }));
}

/** Any ring that the rules allow: all algorithms mixed, public-only previous keys, retired or not. */
function anyRing(): fc.Arbitrary<Keyring> {
  const chosen = fc.shuffledSubarray([...pool], { minLength: 2, maxLength: 8 });
  return chosen.chain((materials) => {
    const states = ['current', 'next', 'previous', 'previous', 'previous'] as const;
    const keys = materials
      .slice(0, 5)
      .flatMap((material, index) => states.slice(index, index + 1).map((s) => keyIn(s, material)));
    const must = fc.record({
      owner: fc.record({ namespace: name, name, uid: fc.uuid(), namespaceUid: fc.uuid() }),
      formerUids: fc.array(fc.uuid(), { maxLength: 3 }),
      issuer: fc.webUrl(),
      issuerSource: fc.constantFrom('spec' as const, 'default' as const),
      maxLifetime: duration,
      propagationDelay: duration,
      audiences: fc.array(fc.string({ unit: 'binary' })),
      keys: fc
        .tuple(...keys)
        .chain((ordered) => fc.shuffledSubarray(ordered, { minLength: ordered.length })),
      revoked: fc.tuple(...materials.slice(5).map(revokedKey)),
      requests: fc.record({
        number: fc.maxSafeNat(),
        ids: fc.array(fc.string({ unit: 'grapheme' })),
      }),
    });
    const kid = fc.constantFrom(...pool.map((material) => material.kid));
    const trigger = fc.constantFrom(...TRIGGERS);
    const lastRotation = fc.record(
      { at: instant, trigger, from: kid, to: kid, request: fc.string() },
      { requiredKeys: ['at', 'trigger', 'from', 'to'] },
    );
    const may = fc.record({ lastRotation, retiredAt: instant }, absent);
    return fc.tuple(must, may).map(([must, may]) => ({ ...must, ...may }));
  });
}

test('every ring comes back as it was, and is written the same each time', SLOW, () => {
  fc.assert(
    fc.property(anyRing(), (ring) => {
      const entries = encodeKeyring(ring);
      const back = decodeKeyring(entries);
      expect(revealed(back)).toEqual(revealed(ring));
      expect(encodeKeyring(back)).toEqual(entries);
    }),
    { numRuns: 30 },
  );
});

test('a ring of format version 1 is read, and written as version 2 with the next change', async () => {
  const ring = await aKeyring().previous(1).revoked(1).build();
  const entries = encodeKeyring(ring);
  const text = entries['keyring.json'] ?? '';
  const older = { ...entries, 'keyring.json': text.replace('"format": 2', '"format": 1') };
  expect(revealed(decodeKeyring(older))).toEqual(revealed(ring));
  expect(encodeKeyring(decodeKeyring(older))).toEqual(entries);
});

test('I12: keyring.json and the certificates hold nothing of a private key', SLOW, () => {
  fc.assert(
    fc.property(anyRing(), (ring) => {
      const open = Object.entries(encodeKeyring(ring)).filter(([entry]) => !entry.endsWith('.key'));
      const text = JSON.stringify(open);
      expect(text).not.toMatch(/PRIVATE KEY|"(d|p|q|dp|dq|qi|oth|k)"/);
    }),
    { numRuns: 15 },
  );
});

test('a person who decodes the Secret reads times and durations', async () => {
  const ring = await aKeyring().previous(1).build();
  const text = encodeKeyring(ring)['keyring.json'];
  expect(text).toContain('\n  "maxLifetime": "24h",\n  "propagationDelay": "1h30m",\n');
  expect(text).toContain('"demotedAt": "2026-01-31T11:00:00.000Z"');
});

test('openssl reads what the Secret holds', async () => {
  const ring = await aKeyring().algorithm('RS256').build();
  const entries = encodeKeyring(ring);
  const kid = ring.keys[0]?.kid;
  const publicKey = (command: string, entry: string, ...args: string[]) =>
    execFileSync('openssl', [command, ...args], { input: entries[entry], encoding: 'utf8' });
  expect(publicKey('pkey', `${kid}.key`, '-pubout')).toBe(
    publicKey('x509', `${kid}.crt`, '-noout', '-pubkey'),
  );
});

test('only keys that keep their private half have a .key entry', async () => {
  const ring = await aKeyring().previous(3).build();
  const [current, next, newest] = ring.keys.map(({ kid }) => `${kid}.key`);
  const keys = Object.keys(encodeKeyring(ring)).filter((entry) => entry.endsWith('.key'));
  expect(keys).toEqual([current, next, newest]);
});

test('a ring that could not be read back is not written', async () => {
  const ring = await aKeyring().build();
  const [current, next] = ring.keys;
  expect(() => encodeKeyring({ ...ring, keys: next ? [next] : [] })).toThrow(
    /does not have exactly one current key/,
  );
  const stranger = await testKey('ES256', 7);
  const keys = ring.keys.map((key) => ({ ...key, privateKey: stranger.privateKey }));
  expect(() => encodeKeyring({ ...ring, keys })).toThrow(
    `${current?.kid}.key (key ${current?.kid}): is not the private half of this key`,
  );
});
