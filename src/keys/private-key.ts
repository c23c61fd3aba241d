import { createPrivateKey, type KeyObject } from 'node:crypto';
import { inspect } from 'node:util';

const HIDDEN = '[private key]';

/**
 * The private half of a signing key. Cannot be logged, printed, cloned into JSON or compared by
 * content (I12): every way to turn it into text answers `[private key]`. Only `exportPem`, which
 * the keyring codec calls, and `keyObject`, which signing calls, reveal it.
 */
export class PrivateKey {
  readonly #key: KeyObject;

  constructor(key: KeyObject) {
    if (key.type !== 'private')
      throw new TypeError(`expected a private key, got a ${key.type} one`);
    this.#key = key;
  }

  /** @throws Error when the text is not a PKCS#8 PEM; the message never contains the text. */
  static fromPem(pem: string): PrivateKey {
    let key: KeyObject;
    try {
      key = createPrivateKey({ key: pem, format: 'pem' });
    } catch {
      throw new Error('not a PKCS#8 PEM private key');
    }
    return new PrivateKey(key);
  }

  get keyObject(): KeyObject {
    return this.#key;
  }

  /** PKCS#8 PEM (RFC 5958), for the Secret and nothing else. */
  exportPem(): string {
    return this.#key.export({ type: 'pkcs8', format: 'pem' }).toString();
  }

  toJSON(): string {
    return HIDDEN;
  }

  toString(): string {
    return HIDDEN;
  }

  [inspect.custom](): string {
    return HIDDEN;
  }
}
