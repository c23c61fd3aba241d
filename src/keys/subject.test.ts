import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { parseSubject, subjectOf } from './subject.ts';

/** What the CRD takes as a subject. */
function pattern(): RegExp {
  const path = join(import.meta.dirname, '../../crds/signet.dev_signingkeysets.yaml');
  const crd = parse(readFileSync(path, 'utf8'));
  const { spec } = crd.spec.versions[0].schema.openAPIV3Schema.properties;
  const { subject } = spec.properties.certificate.properties;
  const [{ rule }] = subject['x-kubernetes-validations'];
  return new RegExp(/^self\.matches\(r'(.*)'\)$/.exec(rule)?.[1] ?? 'none');
}

const TYPE = fc.constantFrom('CN', 'O', 'OU', 'L', 'ST', 'C', 'DC');
const VALUE = fc
  .string({ unit: fc.constantFrom(...String.raw`\,+"<>;=# aZ9é日`), minLength: 1, maxLength: 6 })
  .filter((value) => !/^[# ]| $/.test(value));

function escaped(value: string): string {
  return value.replaceAll(/[\\,+"<>;=]/g, '\\$&');
}

test('every subject that the CRD takes can be read', () => {
  fc.assert(
    fc.property(fc.stringMatching(pattern(), { maxLength: 256 }), (subject) => {
      for (const part of parseSubject(subject).toJSON()) {
        expect(Object.values(part).flat()).not.toContain('');
      }
    }),
  );
});

test('what is escaped belongs to a value, and nothing else does: no part can hide in another', () => {
  const parts = fc.array(fc.tuple(TYPE, VALUE), { maxLength: 4 });
  fc.assert(
    fc.property(VALUE, parts, fc.constantFrom(',', ', '), (name, more, comma) => {
      const all = [['CN', name] as const, ...more];
      const subject = all.map(([type, value]) => `${type}=${escaped(value)}`).join(comma);
      expect(subject).toMatch(pattern());
      expect(parseSubject(subject).toJSON()).toEqual(
        all.map(([type, value]) => ({ [type]: [value] })),
      );
    }),
  );
});

test.each([
  [String.raw`CN=a\\`, ['a\\']],
  [String.raw`CN=a\\,O=Evil`, ['a\\', 'Evil']],
  [String.raw`CN=a\,O\=b`, ['a,O=b']],
  ['CN=a , O=b ', ['a', 'b']],
])('%s names %j', (subject, values) => {
  const found = parseSubject(subject)
    .toJSON()
    .flatMap((part) => Object.values(part).flat());
  expect(found).toEqual(values);
});

test('a host is one value, whatever characters a URL lets it have', () => {
  expect(parseSubject(subjectOf('a,o=b')).toJSON()).toEqual([{ CN: ['a,o=b'] }]);
});

test.each(['', 'login.example.com', 'CN=', 'CN= ', 'ZZ=a', 'CN=a,', 'CN=a,b', 'CN="a"', 'CN=a\\'])(
  'a subject that is no distinguished name is refused with one that is: %o',
  (subject) => {
    expect(() => parseSubject(subject)).toThrow(
      `"${subject}" is not a certificate subject: type one such as CN=login.example.com,O=Example`,
    );
  },
);
