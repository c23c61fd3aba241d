import { inspect } from 'node:util';
import { expect } from 'vitest';
import { decodeKeyring, type KeyringEntries } from '../../src/keys/codec.ts';
import { KeyringDamagedError } from '../../src/keys/damage.ts';

/**
 * The error that decoding throws, if any. An error of another kind fails the test, and so does one
 * of whose text a line stands in `secrets` (I12).
 */
export function damageIn(
  entries: KeyringEntries,
  secrets: readonly string[] = [],
): KeyringDamagedError | undefined {
  try {
    decodeKeyring(entries);
  } catch (error) {
    if (!(error instanceof KeyringDamagedError)) throw error;
    const text = [error.message, error.stack, JSON.stringify(error), inspect(error)].join('\n');
    for (const secret of secrets) expect(text).not.toContain(secret);
    return error;
  }
  return undefined;
}

/** The lines of PEM private keys that must never be seen. */
export function secretLines(...pems: readonly string[]): readonly string[] {
  return pems.flatMap((pem) => pem.split('\n').filter((line) => /^[\w+/=]{16,}$/.test(line)));
}
