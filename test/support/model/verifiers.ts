import { jwksMaxAge } from '../../../src/api/caching.ts';
import { MINUTE } from '../../../src/api/constants.ts';
import type { Instant, Keyring } from '../../../src/keys/keyring.ts';
import { currentKey, nextKey } from '../../../src/rotation/situation.ts';
import { hold } from './violation.ts';

/** The kubelet mounts a changed ConfigMap anew within so long. */
export const MOUNT_DELAY = 2 * MINUTE;

/** A document that verifiers may hold: made from this keyring, until then. */
interface Held {
  readonly kids: ReadonlySet<string>;
  until: Instant;
}

/**
 * Every verifier there can be: each holds any JWKS or ConfigMap that was served, for as long as
 * the cache headers or the kubelet allow. And every token that was signed, until it expires.
 */
export class Verifiers {
  readonly #held = new Map<Keyring, Held>();
  readonly #mounted = new Map<string, { readonly ring: Keyring; until: Instant }[]>();
  /** The latest expiry of a token of each key. */
  readonly #tokens = new Map<string, Instant>();
  readonly #given = new Set<string>();
  readonly #excused = new Map<string, Instant>();
  readonly #hidden = new Map<string, Instant>();
  /** In which order keyrings were written, and which was the first with a key. */
  readonly #order = new WeakMap<Keyring, number>();
  readonly #born = new Map<string, number>();
  #written = 0;

  /** A keyring was written: documents are made from it from now on. */
  learn(ring: Keyring): void {
    this.#written += 1;
    this.#order.set(ring, this.#written);
    for (const { kid } of ring.keys) if (!this.#born.has(kid)) this.#born.set(kid, this.#written);
  }

  /** A key comes with the keyring that was written last: older documents may lack it. */
  bear(kid: string): void {
    this.#born.set(kid, this.#written);
  }

  /** A replica serves the JWKS of this keyring at this moment. */
  fetch(ring: Keyring, now: Instant): void {
    const until = now + maxAgeOf(ring);
    const held = this.#held.get(ring);
    if (held === undefined) this.#held.set(ring, { kids: kidsOf(ring), until });
    else held.until = Math.max(held.until, until);
  }

  /** A ConfigMap has this content from now on; undefined: it is gone. */
  mount(name: string, ring: Keyring | undefined, now: Instant): void {
    const mounts = this.#mounted.get(name) ?? [];
    // The kubelet takes its time whatever P is; what comes later than P is promised nothing (I1).
    const delay = ring === undefined ? 0 : Math.min(MOUNT_DELAY, nextKey(ring).propagationDelay);
    for (const mount of mounts) mount.until = Math.min(mount.until, now + delay);
    const kept = mounts.filter(({ until }) => until > now);
    if (ring !== undefined) kept.push({ ring, until: Number.POSITIVE_INFINITY });
    this.#mounted.set(name, kept);
  }

  /** A replica signs with the keyring that it has. */
  sign(ring: Keyring, now: Instant): void {
    const { kid } = currentKey(ring);
    this.#tokens.set(kid, Math.max(this.#tokens.get(kid) ?? 0, now + ring.maxLifetime));
  }

  /** The last expiry of a token of this key. */
  lastExpiry(kid: string): Instant {
    return this.#tokens.get(kid) ?? 0;
  }

  /** Somebody asked for these to be revoked, or lost them: their tokens may be refused. */
  giveUp(kids: Iterable<string>): void {
    for (const kid of kids) this.#given.add(kid);
  }

  isGivenUp(kid: string): boolean {
    return this.#given.has(kid);
  }

  /** A key signs before everybody has it; those who lack it may refuse it until then. */
  excuse(kid: string, until: Instant): void {
    this.#excused.set(kid, until);
  }

  /** An older document that lacks the key was served until then, by no doing of ours. */
  hide(kid: string, until: Instant): void {
    this.#hidden.set(kid, until);
  }

  /**
   * I1: each unexpired token that was not given up verifies, with each document that somebody may
   * hold.
   *
   * @param served the keyrings whose JWKS is being served now.
   */
  check(now: Instant, served: readonly Keyring[]): void {
    for (const ring of served) this.fetch(ring, now);
    for (const [ring, { until }] of this.#held) {
      if (until <= now && !served.includes(ring)) this.#held.delete(ring);
    }
    for (const [kid, expiry] of this.#tokens) {
      if (expiry <= now) this.#tokens.delete(kid);
      else if (!this.#given.has(kid)) this.#checkKid(kid, now);
    }
  }

  #checkKid(kid: string, now: Instant): void {
    for (const [ring, { kids }] of this.#held) {
      const verifies = kids.has(kid) || this.#isExcused(kid, ring, now);
      hold('I1', verifies, `a JWKS that somebody may hold lacks ${name(kid)}`);
    }
    for (const mounts of this.#mounted.values()) {
      for (const { ring, until } of mounts) {
        const verifies = until <= now || kidsOf(ring).has(kid) || this.#isExcused(kid, ring, now);
        hold('I1', verifies, `a ConfigMap that somebody may have mounted lacks ${name(kid)}`);
      }
    }
  }

  /** Whether a document is older than a key that did not wait for verifiers, or was out of sight. */
  #isExcused(kid: string, ring: Keyring, now: Instant): boolean {
    const until = Math.max(this.#excused.get(kid) ?? 0, this.#hidden.get(kid) ?? 0);
    if (until <= now) return false;
    return (this.#order.get(ring) ?? 0) < (this.#born.get(kid) ?? 0);
  }
}

const KIDS = new WeakMap<Keyring, ReadonlySet<string>>();

function kidsOf(ring: Keyring): ReadonlySet<string> {
  const known = KIDS.get(ring) ?? new Set(ring.keys.map(({ kid }) => kid));
  KIDS.set(ring, known);
  return known;
}

/** What the issuer says in Cache-Control; a retired keyring is not to be cached. */
function maxAgeOf(ring: Keyring): number {
  if (ring.retiredAt !== undefined) return 0;
  return jwksMaxAge(Math.min(ring.propagationDelay, nextKey(ring).propagationDelay));
}

/** The kids of the fixtures count up, after filling. */
export function name(kid: string): string {
  return `key ${kid.replace(/^k+/, '')}`;
}
