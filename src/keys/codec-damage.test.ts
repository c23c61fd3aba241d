import fc from 'fast-check';
import { expect, test } from 'vitest';
import { damageIn, secretLines } from '../../test/support/damage.ts';
import { aKeyring } from '../../test/support/keyrings.ts';
import { certificateDer } from './certificate.ts';
import { decodeKeyring, encodeKeyring } from './codec.ts';
import type { Keyring } from './keyring.ts';

const DOCUMENT = 'keyring.json';
/** Each run reads up to five RSA keys. */
const SLOW = { timeout: 30_000 };

const ring = await aKeyring().algorithm('RS256').previous(3).revoked(1).build();
const whole = encodeKeyring(ring);
const secrets = secretLines(...ring.keys.map((key) => key.privateKey?.exportPem() ?? ''));

test('a lost or cut entry is always refused', SLOW, () => {
  fc.assert(
    fc.property(fc.constantFrom(...Object.keys(whole)), fc.nat(), (name, cut) => {
      const { [name]: content = '', ...rest } = whole;
      expect(damageIn(rest, secrets)?.entry).toBe(name);
      // The last character is a line end, without which JSON is still whole.
      const left = content.slice(0, cut % (content.length - 1));
      expect(damageIn({ ...whole, [name]: left }, secrets)?.entry).toBe(name);
    }),
    { numRuns: 100 },
  );
});

test.each(['RS256', 'ES256', 'ES512', 'EdDSA'] as const)(
  'a changed character in %s key material is refused, unless it changes nothing',
  SLOW,
  async (algorithm) => {
    const original = await aKeyring().algorithm(algorithm).previous(1).build();
    const intact = encodeKeyring(original);
    const hidden = secretLines(...Object.values(intact).filter((pem) => pem.includes('PRIVATE')));
    const parts = Object.keys(intact).filter((name) => name !== DOCUMENT);
    const change = fc.tuple(
      fc.constantFrom(...parts),
      fc.nat(),
      fc.string({ minLength: 1, maxLength: 1 }),
    );
    fc.assert(
      fc.property(change, ([name, position, character]) => {
        const pem = intact[name] ?? '';
        const at = position % pem.length;
        const changed = pem.slice(0, at) + character + pem.slice(at + 1);
        const entries = { ...intact, [name]: changed };
        const damage = damageIn(entries, hidden);
        if (damage !== undefined) expect(damage.entry).toBe(name);
        else expect(material(decodeKeyring(entries))).toEqual(material(original));
      }),
      { numRuns: 100 },
    );
  },
);

/** The numbers and bytes behind the text: OpenSSL reads over a line end or a version number. */
function material({ keys }: Keyring) {
  return keys.map(({ privateKey, certificate = '' }) => ({
    privateKey: privateKey?.keyObject.export({ format: 'jwk' }),
    certificate: certificateDer(certificate).toString('base64'),
  }));
}

test(
  'whatever stands in keyring.json, the answer is a ring that can be written or our error',
  SLOW,
  () => {
    const text = whole[DOCUMENT] ?? '';
    const changed = fc
      .tuple(fc.nat(text.length - 1), fc.nat(4), fc.string({ maxLength: 3 }))
      .map(([at, gone, added]) => text.slice(0, at) + added + text.slice(at + gone));
    const foreign = fc.oneof(fc.json(), fc.string(), fc.jsonValue().map(grafted));
    fc.assert(
      fc.property(fc.oneof(changed, foreign), (json) => {
        const entries = { ...whole, [DOCUMENT]: json };
        if (damageIn(entries, secrets) === undefined) encodeKeyring(decodeKeyring(entries));
      }),
      { numRuns: 300 },
    );
  },
);

/** A value of any kind where a key belongs. */
function grafted(value: unknown): string {
  const parsed = JSON.parse(whole[DOCUMENT] ?? '');
  return JSON.stringify({ ...parsed, keys: [value, ...parsed.keys] });
}
