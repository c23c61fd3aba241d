import { expect, test } from 'vitest';
import { damageIn, secretLines } from '../../test/support/damage.ts';
import { aKeyring, testKey } from '../../test/support/keyrings.ts';
import { encodeKeyring, type KeyringEntries } from './codec.ts';
import type { DamageCode } from './damage.ts';

const DOCUMENT = 'keyring.json';
const ring = await aKeyring().algorithm('RS256').previous(3).revoked(1).build();
const whole: KeyringEntries = encodeKeyring(ring);
const [current = '', next = '', previous = '', , oldest = ''] = ring.keys.map(({ kid }) => kid);
const stranger = await testKey('RS256', 20);
const strangerKey = stranger.privateKey.exportPem();

const secrets = secretLines(
  strangerKey,
  ...Object.keys(whole).flatMap((name) => (name.endsWith('.key') ? [whole[name] ?? ''] : [])),
);

type Damage = (entries: KeyringEntries) => KeyringEntries;
type Path = readonly [...(string | number)[], string | number];

const entry =
  (name: string, content: string): Damage =>
  (entries) => ({ ...entries, [name]: content });

const lost =
  (name: string): Damage =>
  ({ [name]: _, ...entries }) =>
    entries;

/** Changes `keyring.json` the way a person with an editor would; `undefined` removes the field. */
const put =
  (value: unknown, ...path: Path): Damage =>
  (entries) => {
    const document = JSON.parse(entries[DOCUMENT] ?? '');
    const last = path.at(-1) ?? '';
    const parent = path.slice(0, -1).reduce((node, step) => Reflect.get(node, step), document);
    Reflect.set(parent, last, value);
    return { ...entries, [DOCUMENT]: JSON.stringify(document) };
  };

const both =
  (...damages: readonly Damage[]): Damage =>
  (entries) =>
    damages.reduce((damaged, damage) => damage(damaged), entries);

const revoked = {
  kid: oldest,
  algorithm: 'RS256',
  createdAt: '2026-01-31T12:00:00.000Z',
  revokedAt: '2026-01-31T12:00:00.000Z',
};

type Case = [damage: string, apply: Damage, code: DamageCode, says: RegExp];

/** Of `keyring.json`: its text, its version, its fields. */
const DOCUMENT_DAMAGE: readonly Case[] = [
  ['it is gone', lost(DOCUMENT), 'EntryMissing', /: is not in the Secret; restore the Secret/],
  [
    'it is no JSON',
    entry(DOCUMENT, '{ "format": 1, '),
    'EntryUnreadable',
    /: is not JSON; restore/,
  ],
  ['it is a list', entry(DOCUMENT, '[]'), 'FieldInvalid', /keyring is not an object/],
  [
    'of a newer Signet',
    put(3, 'format'),
    'FormatUnknown',
    /a newer Signet: upgrade the controller/,
  ],
  [
    'the format is a text',
    put('1', 'format'),
    'FieldInvalid',
    /keyring\.format is not one of 1, 2;/,
  ],
  [
    'the format is odd',
    put({ valueOf: 1, toString: 1 }, 'format'),
    'FieldInvalid',
    /not one of 1, 2;/,
  ],
  ['no format', put(undefined, 'format'), 'FieldInvalid', /keyring lacks the field "format"/],
  ['an unknown field', put(true, 'paused'), 'FieldInvalid', /has an unknown field "paused"/],
  [
    'and of a key',
    put('x', 'keys', 1, 'alias'),
    'FieldInvalid',
    /keys\[1\] has an unknown field "a/,
  ],
  ['a lost field', put(undefined, 'keys', 0, 'createdAt'), 'FieldInvalid', /lacks the field "cre/],
  ['no time', put('2026-01-31', 'keys', 0, 'createdAt'), 'FieldInvalid', /is not a time such as/],
  ['no such day', put('2026-02-30T12:00:00.000Z', 'retiredAt'), 'FieldInvalid', /is not a time/],
  ['null', put(null, 'retiredAt'), 'FieldInvalid', /keyring\.retiredAt is not a time/],
  ['a number for a time', put(1769860800000, 'retiredAt'), 'FieldInvalid', /is not a time/],
  ['no unit', put('90', 'maxLifetime'), 'FieldInvalid', /maxLifetime is not a duration such as/],
  ['below zero', put(-1, 'requests', 'number'), 'FieldInvalid', /number is not a whole number/],
  ['no list', put('a', 'audiences'), 'FieldInvalid', /keyring\.audiences is not a list/],
  ['no text', put(7, 'audiences', 0), 'FieldInvalid', /keyring\.audiences\[0\] is not a text/],
  ['no name', put('', 'owner', 'uid'), 'FieldInvalid', /keyring\.owner\.uid is not a name/],
  ['no flag', put(1, 'keys', 0, 'inFirstJwks'), 'FieldInvalid', /is not true or false/],
  ['an unknown state', put('x', 'keys', 0, 'state'), 'FieldInvalid', /one of current, next, prev/],
  ['an unknown algorithm', put('HS256', 'keys', 0, 'algorithm'), 'FieldInvalid', /one of RS256/],
  ['a key for a name', put(strangerKey, strangerKey), 'FieldInvalid', /has an unknown field; rest/],
  ['a key for a time', put(strangerKey, 'retiredAt'), 'FieldInvalid', /is not a time/],
  [
    'a key for a state',
    put(strangerKey, 'keys', 0, 'state'),
    'FieldInvalid',
    /state is not one of/,
  ],
  ['a key for it all', entry(DOCUMENT, strangerKey), 'EntryUnreadable', /is not JSON/],
];

/** Of the keys: each by itself, and all of them together. */
const KEY_DAMAGE: readonly Case[] = [
  [
    'an algorithm for another type of key',
    both(put('ES256', 'keys', 0, 'algorithm'), put('ES256', 'keys', 0, 'jwk', 'alg')),
    'KeyMismatch',
    /kty of the JWK is not EC, as ES256 needs/,
  ],
  [
    'another alg',
    put('PS256', 'keys', 0, 'jwk', 'alg'),
    'KeyMismatch',
    /alg of the JWK is not RS256/,
  ],
  [
    'a curve for RSA',
    put('P-256', 'keys', 0, 'jwk', 'crv'),
    'KeyMismatch',
    /crv of the JWK is not/,
  ],
  [
    'EC members',
    put('AA', 'keys', 0, 'jwk', 'x'),
    'KeyMismatch',
    /exactly the members of a public R/,
  ],
  [
    'I12: a private member',
    put('AA', 'keys', 0, 'jwk', 'd'),
    'FieldInvalid',
    /jwk has an unknown fie/,
  ],
  [
    'I8: another key',
    put('Aw', 'keys', 0, 'jwk', 'e'),
    'KeyMismatch',
    /not the RFC 7638 thumbprint/,
  ],
  ['I2: two current', put('current', 'keys', 1, 'state'), 'RingInvalid', /exactly one current key/],
  ['no next key', put('previous', 'keys', 1, 'state'), 'RingInvalid', /exactly one next key/],
  ['published and revoked', put(revoked, 'revoked', 0), 'RingInvalid', /lists a key twice/],
  [
    'a current key that cannot sign',
    both(put(['certificate'], 'keys', 0, 'holds'), lost(`${current}.key`)),
    'RingInvalid',
    /does not say that the current key has a \S+\.key/,
  ],
  ['no .key of current', lost(`${current}.key`), 'EntryMissing', /is not in the Secret/],
  ['no .key of next', lost(`${next}.key`), 'EntryMissing', /is not in the Secret/],
  ['no .key of previous', lost(`${previous}.key`), 'EntryMissing', /is not in the Secret/],
  ['no .crt of previous', lost(`${previous}.crt`), 'EntryMissing', /is not in the Secret/],
  [
    'a kid by hand',
    entry('x.key', strangerKey),
    'EntryUnknown',
    /^x\.key: no key .* remove this entry/,
  ],
  ['a file by hand', entry('tls.crt', stranger.certificate), 'EntryUnknown', /^tls\.crt: no key/],
  ['a hidden name', entry('toString', ''), 'EntryUnknown', /^toString: no key/],
  [
    'a strange .key',
    entry(`${next}.key`, strangerKey),
    'KeyMismatch',
    /is not the private half of th/,
  ],
  ['a strange .crt', entry(`${next}.crt`, stranger.certificate), 'KeyMismatch', /own certificate/],
  ['no PEM', entry(`${next}.key`, 'c2VjcmV0'), 'EntryUnreadable', /is not one PKCS#8 PEM key/],
  ['an empty .key', entry(`${current}.key`, ''), 'EntryUnreadable', /is not one PKCS#8 PEM key/],
  [
    'I12: a private key behind a certificate, which is public',
    entry(`${next}.crt`, `${whole[`${next}.crt`]}${whole[`${next}.key`]}`),
    'EntryUnreadable',
    /is not one PEM certificate/,
  ],
];

test.each([...DOCUMENT_DAMAGE, ...KEY_DAMAGE])(
  'damage is refused and said in words: %s',
  (_, apply, code, says) => {
    const damage = damageIn(apply(whole), secrets);
    expect(damage).toMatchObject({ code, message: expect.stringMatching(says) });
    expect(damage?.message.startsWith(damage.entry)).toBe(true);
  },
);

test('I18: a fourth previous key is one too many', async () => {
  const { keys } = await aKeyring().algorithm('RS256').keysFrom(10).previous(1).build();
  const fourth = keys.filter((key) => key.state === 'previous');
  expect(() => encodeKeyring({ ...ring, keys: [...ring.keys, ...fourth] })).toThrow(
    /has more than 3 previous keys/,
  );
});

test('the error names the damaged key', () => {
  const lostKey = damageIn(lost(`${next}.key`)(whole));
  expect(lostKey).toMatchObject({ entry: `${next}.key`, kid: next });
  const field = damageIn(put('old', 'keys', 2, 'state')(whole));
  expect(field).toMatchObject({ entry: DOCUMENT, kid: previous });
  expect(field?.message).toContain(`keyring.json (key ${previous}): keyring.keys[2].state`);
});
