import { DAY, HOUR, MINUTE } from '../../src/api/constants.ts';
import type { Algorithm } from '../../src/keys/algorithms.ts';
import { generateKey, type KeyMaterial } from '../../src/keys/generate.ts';
import type { Keyring, KeyState, RevokedKey, SigningKey } from '../../src/keys/keyring.ts';

/** The instant at which fixtures stand unless told otherwise. */
export const NOW = Date.UTC(2026, 0, 31, 12);

const made = new Map<string, Promise<KeyMaterial>>();

/** A real key, made once for each algorithm and number in a process. */
export function testKey(
  algorithm: Algorithm = 'ES256',
  number = 0,
  modulusLength = 2048,
): Promise<KeyMaterial> {
  const name = `${algorithm}/${modulusLength}/${number}`;
  const key =
    made.get(name) ??
    generateKey({
      algorithm,
      modulusLength,
      subject: 'CN=login.example.com',
      lifetime: 3650 * DAY,
      now: NOW,
    });
  made.set(name, key);
  return key;
}

type Changes = Partial<Omit<SigningKey, keyof KeyMaterial | 'state'>>;

/**
 * Builds a keyring with real keys, ES256 unless told otherwise:
 *
 *     await aKeyring().named('identity', 'login').previous(2).build()
 *
 * Rings share their keys, so that tests are fast; `keysFrom(10)` gives a ring keys of its own.
 */
export function aKeyring(): KeyringBuilder {
  return new KeyringBuilder();
}

class KeyringBuilder {
  #algorithm: Algorithm = 'ES256';
  #modulusLength = 2048;
  #now = NOW;
  #firstKey = 0;
  #previous = 0;
  #revoked = 0;
  #publicOnly = false;
  readonly #changes: Partial<Record<KeyState, Changes>> = {};
  #ring: Omit<Keyring, 'keys' | 'revoked'> = {
    owner: {
      namespace: 'identity',
      name: 'login',
      uid: '6f1c9a52-0d3e-4b7f-9f4e-2f4c8e0b7a11',
      namespaceUid: '0b9f7a3c-55d1-4f1e-8a57-9d1f6f0c2e22',
    },
    formerUids: [],
    issuer: 'https://login.example.com/',
    issuerSource: 'spec',
    maxLifetime: 24 * HOUR,
    propagationDelay: 90 * MINUTE,
    audiences: [],
    requests: { number: 0, ids: [] },
  };

  named(namespace: string, name: string): this {
    return this.with({ owner: { ...this.#ring.owner, namespace, name } });
  }

  /** Any field of the ring itself, such as `issuer` or `retiredAt`. */
  with(changes: Partial<Omit<Keyring, 'keys' | 'revoked'>>): this {
    this.#ring = { ...this.#ring, ...changes };
    return this;
  }

  algorithm(algorithm: Algorithm, modulusLength = 2048): this {
    this.#algorithm = algorithm;
    this.#modulusLength = modulusLength;
    return this;
  }

  /** Unix time in milliseconds: the current key was promoted an hour before. */
  at(now: number): this {
    this.#now = now;
    return this;
  }

  /** The number of previous keys; the newest of them keeps its private half. */
  previous(count: number): this {
    this.#previous = count;
    return this;
  }

  revoked(count: number): this {
    this.#revoked = count;
    return this;
  }

  /** Previous keys came from elsewhere: no private half, no certificate. */
  previousPublicOnly(): this {
    this.#publicOnly = true;
    return this;
  }

  /** The times and promises of the keys in one state. */
  key(state: KeyState, changes: Changes): this {
    this.#changes[state] = changes;
    return this;
  }

  /** The number of the first test key; rings whose numbers do not overlap share no key. */
  keysFrom(number: number): this {
    this.#firstKey = number;
    return this;
  }

  async build(): Promise<Keyring> {
    const keys = await Promise.all([
      this.#key('current', 0),
      this.#key('next', 1),
      ...Array.from({ length: this.#previous }, (_, age) => this.#key('previous', age + 2)),
    ]);
    const revoked = await Promise.all(
      Array.from({ length: this.#revoked }, (_, age) => this.#revokedKey(age)),
    );
    return { ...this.#ring, keys, revoked };
  }

  #material(number: number): Promise<KeyMaterial> {
    return testKey(this.#algorithm, this.#firstKey + number, this.#modulusLength);
  }

  async #key(state: KeyState, number: number): Promise<SigningKey> {
    const material = await this.#material(number);
    const { privateKey, certificate, fingerprint, notAfter, ...publicHalf } = material;
    const certified = { certificate, fingerprint, notAfter };
    const older = state === 'previous' && number > 2;
    return {
      ...publicHalf,
      ...(state === 'previous' && this.#publicOnly ? {} : certified),
      ...(state === 'previous' && (this.#publicOnly || older) ? {} : { privateKey }),
      state,
      ...this.#times(state, number),
      propagationDelay: this.#ring.propagationDelay,
      inFirstJwks: false,
      ...this.#changes[state],
    };
  }

  /** Each rotation was an hour after the one before; the newest is an hour ago. */
  #times(state: KeyState, number: number): Changes & Pick<SigningKey, 'createdAt'> {
    const promotedAt = this.#now - (state === 'current' ? 1 : number) * HOUR;
    const tokensUntil = promotedAt + HOUR + this.#ring.maxLifetime;
    const previous = { demotedAt: promotedAt + HOUR, revokeAt: tokensUntil };
    const createdAt = state === 'next' ? this.#now - HOUR : promotedAt - 2 * HOUR;
    if (state === 'next') return { createdAt, publishedAt: createdAt };
    return {
      createdAt,
      publishedAt: createdAt,
      promotedAt,
      tokensUntil,
      ...(state === 'previous' && previous),
    };
  }

  async #revokedKey(age: number): Promise<RevokedKey> {
    const { kid, algorithm, fingerprint, notAfter } = await this.#material(
      2 + this.#previous + age,
    );
    const revokedAt = this.#now - (age + 1) * DAY;
    return { kid, algorithm, createdAt: revokedAt - DAY, revokedAt, fingerprint, notAfter };
  }
}
