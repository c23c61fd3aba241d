import type { Keyring } from './keyring.ts';

/**
 * The entries of the Secret that holds a keyring, as text (the API wants them in base64):
 * `keyring.json`, and for each key `<kid>.key` (PKCS#8 PEM) and `<kid>.crt` where it has them.
 *
 * @throws KeyringDamagedError when the ring could not be read back, so it never gets written.
 */
export function encodeKeyring(_ring: Keyring): Record<string, string> {
  throw new Error('under construction');
}

/**
 * Reads the entries of a Secret's `data`, as text.
 *
 * @throws KeyringDamagedError on anything that {@link encodeKeyring} would not have written. Never
 *   repairs, and never throws anything else.
 */
export function decodeKeyring(_data: Readonly<Record<string, string>>): Keyring {
  throw new Error('under construction');
}
