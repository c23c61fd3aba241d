import { generateKeyPairSync, KeyObject } from 'node:crypto';
import { inspect } from 'node:util';
import { serialize } from 'node:v8';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { PrivateKey } from './private-key.ts';

const { privateKey: keyObject, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const key = new PrivateKey(keyObject);
const pem = key.exportPem();
const jwk = keyObject.export({ format: 'jwk' });

/** Every text that would give the key away. */
const SECRETS = [...pem.split('\n').filter((line) => line && !line.startsWith('-')), jwk.d ?? pem];

function logged(write: (log: ReturnType<typeof pino>) => void): string {
  let written = '';
  write(pino({}, { write: (line: string) => (written += line) }));
  return written;
}

const LEAKS: Readonly<Record<string, () => string>> = {
  'JSON.stringify': () => JSON.stringify({ nested: [{ key }] }),
  'a template string': () => `${key}`,
  concatenation: () => `key: ${String(key)}`,
  'util.inspect': () => inspect(key),
  'util.inspect of everything': () =>
    inspect({ nested: [{ key }] }, { depth: null, showHidden: true, getters: true }),
  'util.inspect without our own inspection': () =>
    inspect({ key }, { depth: null, showHidden: true, getters: true, customInspect: false }),
  'a copy of its members': () =>
    JSON.stringify({ ...key, ...Object.getOwnPropertyDescriptors(key) }),
  structuredClone: () => inspect(structuredClone(key), { depth: null, showHidden: true }),
  'v8.serialize': () => serialize(key).toString('latin1'),
  'an error with the key as cause': () => inspect(new Error('x', { cause: key }), { depth: null }),
  'pino, as a field': () => logged((log) => log.info({ key, nested: { key } }, 'x')),
  'pino, as the object': () => logged((log) => log.info(key)),
  'pino, formatted': () => logged((log) => log.info('%s %o %j', key, key, key)),
};

test.each(Object.entries(LEAKS))('I12: %s shows nothing of a private key', (_, leak) => {
  const text = leak();
  for (const secret of SECRETS) expect(text).not.toContain(secret);
});

test('the codec and signing get at the key, and nobody takes a public one for it', () => {
  expect(PrivateKey.fromPem(pem).keyObject.equals(keyObject)).toBe(true);
  expect(key.keyObject).toBeInstanceOf(KeyObject);
  expect(() => new PrivateKey(publicKey)).toThrow('expected a private key, got a public one');
});

test('a text that is no key is refused without repeating it', () => {
  const damaged = pem.replace('M', '!');
  expect(() => PrivateKey.fromPem(damaged)).toThrow(/^not a PKCS#8 PEM private key$/);
});
