import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_DEPTH, parseJson } from './json.ts';

const parse = (text: string) => parseJson(Buffer.from(text));

describe('a JSON text', () => {
  it('is read as JSON.parse reads it', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
        fc.pre(!/"(__proto__|constructor|prototype)":/.test(JSON.stringify(value)));
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

  it('made to be slow takes no time', () => {
    const startedAt = performance.now();
    for (const text of ['"'.repeat(65_535), `"${'\\"'.repeat(32_767)}`, '[]'.repeat(32_767)]) {
      expect(() => parse(text)).toThrow(expect.objectContaining({ code: 'json_invalid' }));
    }
    expect(performance.now() - startedAt).toBeLessThan(2_000);
  });
});

function isJson(bytes: Uint8Array): boolean {
  try {
    JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    return true;
  } catch {
    return false;
  }
}
