import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_DEPTH, parseJson } from './json.ts';

const parse = (text: string) => parseJson(Buffer.from(text));

describe('a JSON text', () => {
  it('is read as JSON.parse reads it', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
        fc.pre(!/"(__proto__|constructor|prototype)":/.test(JSON.stringify(value)));
        fc.pre(isExact(value));
        expect(parse(JSON.stringify(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  it('that is not JSON is refused, whatever it is', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        fc.pre(!isJson(bytes));
        expect(() => parseJson(bytes)).toThrow(expect.objectContaining({ name: 'Refusal' }));
      }),
    );
  });

  it('is nested as deep as is allowed and not deeper, whatever its strings say', () => {
    const nested = (depth: number) =>
      `${'[{"[{\\"": '.repeat(depth / 2)}1${'}]'.repeat(depth / 2)}`;
    expect(parse(nested(MAX_DEPTH))).toBeDefined();
    expect(() => parse(nested(MAX_DEPTH + 2))).toThrow(
      expect.objectContaining({ code: 'json_too_deep' }),
    );
  });

  it.each(['9007199254740993', '-9007199254740992', '{"a":[{"id":18446744073709551615}]}', '1e20'])(
    'with an integer that a double may round, such as %s, is refused',
    (text) => {
      expect(() => parse(text)).toThrow(expect.objectContaining({ code: 'number_inexact' }));
    },
  );

  it('with the largest integer that every double holds is read', () => {
    expect(parse('[9007199254740991,-9007199254740991]')).toEqual([
      Number.MAX_SAFE_INTEGER,
      Number.MIN_SAFE_INTEGER,
    ]);
  });

  it('made to be slow takes no time', () => {
    const startedAt = performance.now();
    for (const text of ['"'.repeat(65_535), `"${'\\"'.repeat(32_767)}`, '[]'.repeat(32_767)]) {
      expect(() => parse(text)).toThrow(expect.objectContaining({ code: 'json_invalid' }));
    }
    expect(performance.now() - startedAt).toBeLessThan(2_000);
  });
});

function isExact(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.values(value).every(isExact);
  return !Number.isInteger(value) || Number.isSafeInteger(value);
}

function isJson(bytes: Uint8Array): boolean {
  try {
    JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    return true;
  } catch {
    return false;
  }
}
