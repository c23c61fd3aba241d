import { withFacts } from './certificate.ts';
import { KeyringDamagedError } from './damage.ts';
import { DOCUMENT } from './form.ts';
import { FORMAT, KEYRING, PARTS, type Part, type StoredKey, type StoredKeyring } from './format.ts';
import type { Keyring, KeyState, SigningKey } from './keyring.ts';
import { PrivateKey } from './private-key.ts';
import { certificateMatches, jwkProblem, privateKeyMatches } from './soundness.ts';

/** The entries of a Secret's `data` as text; the API has them in base64. */
export type KeyringEntries = Readonly<Record<string, string>>;

/**
 * What the Secret of a set holds: `keyring.json`, and for each key `<kid>.key` (PKCS#8 PEM) and
 * `<kid>.crt` (PEM) where it has them. The same ring gives the same text, byte for byte.
 *
 * @throws KeyringDamagedError when the ring could not be read back, so that none such is written.
 * @throws RangeError when a time of the ring is not a time.
 */
export function encodeKeyring(ring: Keyring): Record<string, string> {
  const keys = ring.keys.map(stored);
  const document = KEYRING.write({ ...ring, format: FORMAT, keys });
  const entries = Object.fromEntries([
    [DOCUMENT, `${JSON.stringify(document, null, 2)}\n`],
    ...ring.keys.flatMap(partsOf),
  ]);
  decodeKeyring(entries);
  return entries;
}

/**
 * Reads what {@link encodeKeyring} wrote. Never repairs: a ring comes back whole or not at all.
 *
 * @throws KeyringDamagedError on everything else, and nothing but that.
 */
export function decodeKeyring(entries: KeyringEntries): Keyring {
  const { format: _, ...document } = readDocument(entries);
  refuseUnknownEntries(document.keys, entries);
  const keys = document.keys.map((key) => assemble(key, entries));
  refuseUnsoundRing({ ...document, keys });
  return { ...document, keys };
}

function stored({ privateKey, certificate, fingerprint, notAfter, ...key }: SigningKey): StoredKey {
  const holds: Part[] = [];
  if (privateKey !== undefined) holds.push('privateKey');
  if (certificate !== undefined) holds.push('certificate');
  return { ...key, holds };
}

function partsOf({ kid, privateKey, certificate }: SigningKey): [string, string][] {
  const parts: [string, string][] = [];
  if (privateKey !== undefined) parts.push([kid + PARTS.privateKey, privateKey.exportPem()]);
  if (certificate !== undefined) parts.push([kid + PARTS.certificate, certificate]);
  return parts;
}

function readDocument(entries: KeyringEntries): StoredKeyring {
  const json = parse(entryOf(entries, DOCUMENT));
  if (formatOf(json) > FORMAT)
    throw new KeyringDamagedError('FormatUnknown', DOCUMENT, `has a format above ${FORMAT}`);
  return KEYRING.read(json, 'keyring');
}

/** The version that a document says it has; one that says none is refused field by field. */
function formatOf(json: unknown): number {
  if (typeof json !== 'object' || json === null || !('format' in json)) return FORMAT;
  return typeof json.format === 'number' ? json.format : FORMAT;
}

function parse(document: string): unknown {
  try {
    return JSON.parse(document);
  } catch {
    // The parser's message quotes the text, so it is not passed on.
    throw new KeyringDamagedError('EntryUnreadable', DOCUMENT, 'is not JSON');
  }
}

function entryOf(entries: KeyringEntries, name: string, kid?: string): string {
  const entry = Object.hasOwn(entries, name) ? entries[name] : undefined;
  if (entry === undefined)
    throw new KeyringDamagedError('EntryMissing', name, 'is not in the Secret', kid);
  return entry;
}

/** Anything added by hand, such as the entry of a key that `keyring.json` does not list. */
function refuseUnknownEntries(keys: readonly StoredKey[], entries: KeyringEntries): void {
  const known = new Set(keys.flatMap(({ kid, holds }) => holds.map((part) => kid + PARTS[part])));
  for (const name of Object.keys(entries))
    if (name !== DOCUMENT && !known.has(name))
      throw new KeyringDamagedError('EntryUnknown', name, `no key in ${DOCUMENT} has this entry`);
}

/** A key of the ring from its parts, each of which must belong to the others. */
function assemble({ holds, ...key }: StoredKey, entries: KeyringEntries): SigningKey {
  const { kid, algorithm, jwk, state } = key;
  const problem = jwkProblem(kid, algorithm, jwk);
  if (problem !== undefined) throw new KeyringDamagedError('KeyMismatch', DOCUMENT, problem, kid);
  for (const part of NEEDED[state])
    if (!holds.includes(part))
      throw new KeyringDamagedError(
        'RingInvalid',
        DOCUMENT,
        `does not say that the ${state} key has a ${kid}${PARTS[part]}`,
        kid,
      );
  return {
    ...key,
    ...(holds.includes('certificate') && withFacts(readCertificate(key, entries))),
    ...(holds.includes('privateKey') && { privateKey: readPrivateKey(key, entries) }),
  };
}

/** The parts without which a key of this state cannot do its work. */
const NEEDED: Readonly<Record<KeyState, readonly Part[]>> = {
  current: ['privateKey', 'certificate'],
  next: ['privateKey', 'certificate'],
  previous: [],
};

type PublicHalf = Pick<SigningKey, 'kid' | 'jwk'>;

/** Exactly one block: what stands around it would be published along with it (I12). */
const PEM = {
  privateKey: /^-----BEGIN PRIVATE KEY-----\n[A-Za-z\d+/=\n]+-----END PRIVATE KEY-----\n$/,
  certificate: /^-----BEGIN CERTIFICATE-----\n[A-Za-z\d+/=\n]+-----END CERTIFICATE-----\n$/,
} as const satisfies Record<Part, RegExp>;

function readCertificate({ kid, jwk }: PublicHalf, entries: KeyringEntries): string {
  const name = kid + PARTS.certificate;
  const pem = entryOf(entries, name, kid);
  if (!PEM.certificate.test(pem))
    throw new KeyringDamagedError('EntryUnreadable', name, 'is not one PEM certificate', kid);
  if (!certificateMatches(pem, jwk))
    throw new KeyringDamagedError('KeyMismatch', name, "is not this key's own certificate", kid);
  return pem;
}

function readPrivateKey({ kid, jwk }: PublicHalf, entries: KeyringEntries): PrivateKey {
  const name = kid + PARTS.privateKey;
  const pem = entryOf(entries, name, kid);
  const privateKey = PEM.privateKey.test(pem) ? privateKeyOf(pem) : undefined;
  if (privateKey === undefined)
    throw new KeyringDamagedError('EntryUnreadable', name, 'is not one PKCS#8 PEM key', kid);
  if (!privateKeyMatches(privateKey, jwk))
    throw new KeyringDamagedError('KeyMismatch', name, 'is not the private half of this key', kid);
  return privateKey;
}

function privateKeyOf(pem: string): PrivateKey | undefined {
  try {
    return PrivateKey.fromPem(pem);
  } catch {
    return undefined;
  }
}

const MOST_PREVIOUS = 3;

/** @throws KeyringDamagedError when the keys are whole, but not a keyring (I2, I8, I18). */
function refuseUnsoundRing({ keys, revoked }: Pick<Keyring, 'keys' | 'revoked'>): void {
  const counted = (state: KeyState) => keys.filter((key) => key.state === state).length;
  const kids = [...keys, ...revoked].map(({ kid }) => kid);
  const twice = kids.find((kid, index) => kids.indexOf(kid) !== index);
  const rules: readonly (readonly [holds: boolean, problem: string])[] = [
    [counted('current') === 1, 'does not have exactly one current key'],
    [counted('next') === 1, 'does not have exactly one next key'],
    [counted('previous') <= MOST_PREVIOUS, `has more than ${MOST_PREVIOUS} previous keys`],
    [twice === undefined, 'lists a key twice'],
  ];
  for (const [holds, problem] of rules)
    if (!holds) throw new KeyringDamagedError('RingInvalid', DOCUMENT, problem, twice);
}

/**
 * Reads a keyring from the `data` of its Secret.
 *
 * @param data base64, as the API has it.
 * @throws KeyringDamagedError as `decodeKeyring`.
 */
export function decodeSecretData(data: Readonly<Record<string, string>>): Keyring {
  const entries = Object.entries(data);
  return decodeKeyring(
    Object.fromEntries(
      entries.map(([name, base64]) => [name, Buffer.from(base64, 'base64').toString()]),
    ),
  );
}
