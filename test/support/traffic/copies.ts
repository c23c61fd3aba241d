import { createLocalJWKSet, type JSONWebKeySet } from 'jose';
import type { ConfigMapObject } from '../../../src/controller/objects.ts';
import type { Service } from './service.ts';

/** Public keys as a verifier holds them. */
export interface HeldKeys {
  readonly find: ReturnType<typeof createLocalJWKSet>;
  /** When they were asked for, Unix ms. */
  readonly askedAt: number;
}

/** Where a verifier has its keys from: the newest that it may know of. */
export interface Copy {
  /** Undefined before the first answer. */
  keys(): Promise<HeldKeys | undefined>;
}

const NO_KEYS = JSON.stringify({ keys: [] });

/** Importing a key costs more than verifying with it: done once for each text. */
class Parsed {
  #text = '';
  #find: HeldKeys['find'] | undefined;

  hold(text: string, askedAt: number): HeldKeys {
    if (this.#find === undefined || text !== this.#text) {
      const parsed: JSONWebKeySet = JSON.parse(text);
      this.#find = createLocalJWKSet(parsed);
      this.#text = text;
    }
    return { find: this.#find, askedAt };
  }
}

/**
 * A JWKS that is kept for as long as its `Cache-Control` allows, and not a moment less; an unknown
 * kid is no reason to ask again. Where nobody answers, the last one stays in use.
 */
export class CachedJwks implements Copy {
  readonly #service: Service;
  readonly #path: string;
  readonly #shortest: number;
  readonly #onNone: () => void;
  readonly #parsed = new Parsed();
  #held: HeldKeys | undefined;
  #etag = '';
  #freshUntil = 0;
  #asking: Promise<void> | undefined;

  /**
   * @param mayCache - false: asks every time, but for what comes within a tenth of a second.
   * @param onNone - told where it asked and got no JWKS.
   */
  constructor(service: Service, path: string, mayCache: boolean, onNone: () => void) {
    this.#service = service;
    this.#path = path;
    this.#onNone = onNone;
    this.#shortest = mayCache ? 0 : 100;
  }

  async keys(): Promise<HeldKeys | undefined> {
    if (performance.now() >= this.#freshUntil) {
      this.#asking ??= this.#ask().finally(() => {
        this.#asking = undefined;
      });
      await this.#asking;
    }
    return this.#held;
  }

  async #ask(): Promise<void> {
    const askedAt = Date.now();
    try {
      const answer = await this.#service.fetch(this.#path, {
        headers: this.#etag === '' ? {} : { 'If-None-Match': this.#etag },
      });
      const text = await answer.text();
      if (answer.status === 304 && this.#held !== undefined) {
        this.#held = { ...this.#held, askedAt };
      } else if (answer.ok) {
        this.#held = this.#parsed.hold(text, askedAt);
        this.#etag = answer.headers.get('etag') ?? '';
      } else {
        this.#onNone();
      }
      const [, maxAge = '0'] =
        /max-age=(\d+)/.exec(answer.headers.get('cache-control') ?? '') ?? [];
      this.#freshUntil = performance.now() + (this.#shortest || Number(maxAge) * 1_000);
    } catch {
      // Whoever is gone answers the next question, or the one after that.
      this.#onNone();
    }
  }
}

/** A ConfigMap as a kubelet mounts it: each state of it arrives `delay` ms after it was read. */
export class MountedConfigMap implements Copy {
  readonly #delay: number;
  readonly #parsed = new Parsed();
  readonly #coming: { readonly text: string; readonly askedAt: number }[] = [];
  #held: HeldKeys | undefined;

  constructor(delay: number) {
    this.#delay = delay;
  }

  /**
   * Takes what the API server answered, whoever wrote it: a JWKS that somebody took out is a gateway
   * without keys. A ConfigMap that is gone changes no mount.
   */
  read({ data = {} }: ConfigMapObject, askedAt: number): void {
    this.#coming.push({ text: data['jwks.json'] ?? NO_KEYS, askedAt });
  }

  async keys(): Promise<HeldKeys | undefined> {
    const arrived = Date.now() - this.#delay;
    for (;;) {
      const [first] = this.#coming;
      if (first === undefined || (this.#held !== undefined && first.askedAt > arrived)) break;
      this.#coming.shift();
      this.#held = this.#parsed.hold(first.text, first.askedAt);
    }
    return this.#held;
  }
}
