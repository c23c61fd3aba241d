import { setTimeout as delay } from 'node:timers/promises';
import { decodeProtectedHeader, errors, jwtVerify } from 'jose';
import { CachedJwks, type Copy, MountedConfigMap } from './copies.ts';
import type { Counts } from './counts.ts';
import type { FollowedSet, VerifierName } from './messages.ts';
import type { Service } from './service.ts';

/** So long before it expires a token is verified for the last time, in milliseconds. */
const LAST_LOOK = 700;
const LATE = 1_000;

interface Token {
  readonly text: string;
  readonly kid: string;
  readonly signedAt: number;
  /** Unix ms. */
  readonly expiresAt: number;
}

/** One set: tokens are signed for it, and each is verified at once, in mid-life and at its end. */
export class Followed {
  readonly set: FollowedSet;
  readonly key: string;
  readonly mounted: MountedConfigMap | undefined;
  readonly #service: Service;
  readonly #counts: Counts;
  readonly #copies: readonly (readonly [VerifierName, Copy])[];
  #following = true;

  constructor(set: FollowedSet, mountDelay: number, service: Service, counts: Counts) {
    this.set = set;
    this.key = `${set.namespace}/${set.name}`;
    this.#service = service;
    this.#counts = counts;
    const jwks = `/${this.key}/.well-known/jwks.json`;
    const none = () => counts.unpublished();
    this.mounted = set.configMap === undefined ? undefined : new MountedConfigMap(mountDelay);
    this.#copies = [
      ['cached', new CachedJwks(service, jwks, true, none)],
      ['fresh', new CachedJwks(service, jwks, false, none)],
      ...(this.mounted === undefined ? [] : [['gateway', this.mounted] as const]),
    ];
  }

  /** No more tokens are signed; those that are under way are verified to their end. */
  end(): void {
    this.#following = false;
  }

  /** Signs a token each `interval` ms until it is ended. */
  async run(interval: number): Promise<void> {
    while (this.#following) {
      const token = await this.#sign();
      if (token !== undefined) void this.#live(token);
      await delay(interval);
    }
  }

  async #sign(): Promise<Token | undefined> {
    const { credential, lifetime } = this.set;
    try {
      const answer = await this.#service.fetch(`/${this.key}/sign`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${credential}` },
        body: JSON.stringify({ claims: { sub: 'alice' }, lifetime }),
      });
      const body: SignAnswer = JSON.parse(await answer.text());
      if (body.token === undefined) {
        this.#counts.unsigned(body.code ?? `${answer.status}`);
        return undefined;
      }
      const { kid = '' } = decodeProtectedHeader(body.token);
      this.#counts.signed(this.key, kid);
      const expiresAt = Date.parse(body.expiresAt ?? '');
      return { text: body.token, kid, signedAt: Date.now(), expiresAt };
    } catch {
      this.#counts.unsigned('unreachable');
      return undefined;
    }
  }

  async #live(token: Token): Promise<void> {
    const { signedAt, expiresAt } = token;
    for (const at of [signedAt, (signedAt + expiresAt) / 2, expiresAt - LAST_LOOK]) {
      await delay(Math.max(0, at - Date.now()));
      await Promise.all(this.#copies.map(([name, copy]) => this.#verify(token, name, copy)));
    }
  }

  async #verify({ text, kid, signedAt, expiresAt }: Token, verifier: VerifierName, copy: Copy) {
    const held = await copy.keys();
    // Nothing was ever answered: that is not a token refused.
    if (held === undefined) return;
    try {
      await jwtVerify(text, held.find, { issuer: this.set.issuer });
      const at = Date.now();
      this.#counts.verified(kid, verifier, at, at > expiresAt - LATE);
    } catch (error) {
      if (!(error instanceof errors.JOSEError)) throw error;
      const at = Date.now();
      if (at >= expiresAt) return;
      const { askedAt: keysOf } = held;
      const { code } = error;
      this.#counts.refused({ set: this.key, kid, verifier, at, signedAt, keysOf, code });
    }
  }
}

interface SignAnswer {
  readonly token?: string;
  readonly expiresAt?: string;
  readonly code?: string;
}
