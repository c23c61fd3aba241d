import { hash } from 'node:crypto';
import { decodeJwt } from 'jose';
import { SECOND } from '../api/constants.ts';
import type { Keyring } from '../keys/keyring.ts';
import { Refusal } from './refusals.ts';

/** Whom the API server found behind a token. */
export interface Caller {
  readonly username: string;
  readonly uid?: string;
  readonly groups: readonly string[];
  readonly extra: Readonly<Record<string, string[]>>;
}

/** The two powers over a set, as subresources of `signingkeysets` (design section 4). */
export type Power = 'token' | 'claims';

/** Asks the API server; every error of its is thrown. */
export interface Reviewer {
  /** @returns nobody when the token is not valid for exactly this audience. */
  authenticate(token: string, audience: string): Promise<Caller | undefined>;
  mayCreate(caller: Caller, power: Power, set: Keyring['owner']): Promise<boolean>;
}

/** What came of a review, for the metric. */
export type ReviewResult = 'allowed' | 'denied' | 'failed' | 'cached';

/** How long, in milliseconds, a decision counts: so long a revoked role binding still works. */
const ALLOWED_FOR = 10 * SECOND;
const DENIED_FOR = 2 * SECOND;
/**
 * Between these it is asked again behind the back of a caller who goes on, so that none waits; at
 * some time between, so that callers who came together do not all come to the API server together.
 */
const RENEWED_AFTER = { soonest: 7 * SECOND, latest: 9.5 * SECOND };
const MAX_DECISIONS = 10_000;

type Decision = { readonly caller: Caller } | { readonly refusal: Refusal };
interface Entry {
  readonly decision: Promise<Decision>;
  expiresAt: number;
  renewAt: number;
}

/**
 * Who may use a set. Fails closed: without an answer of the API server nobody may. Decisions are
 * kept for seconds under the hash of the token, and equal questions in flight are asked once.
 */
export class Authorizer {
  readonly #reviewer: Reviewer;
  readonly #monotonic: () => number;
  readonly #onReview: (result: ReviewResult) => void;
  readonly #random: () => number;
  readonly #decisions = new Map<string, Entry>();

  /** @param monotonic - milliseconds that never go back, so a clock set back prolongs nothing. */
  constructor(
    reviewer: Reviewer,
    monotonic: () => number,
    onReview: (result: ReviewResult) => void = () => {},
    random = Math.random,
  ) {
    this.#reviewer = reviewer;
    this.#monotonic = monotonic;
    this.#onReview = onReview;
    this.#random = random;
  }

  /**
   * @param beforeAsking - called where the API server has to be asked; may throw.
   * @returns the caller behind `token`, who has `power` over the set.
   * @throws Refusal `token_invalid`, `permission_denied` or `authorization_unavailable`.
   */
  async authorize(
    token: string,
    power: Power,
    ring: Keyring,
    beforeAsking: () => void = () => {},
  ): Promise<Caller> {
    const decision = await this.#decision(token, power, ring, beforeAsking);
    if ('refusal' in decision) throw decision.refusal;
    return decision.caller;
  }

  #decision(
    token: string,
    power: Power,
    ring: Keyring,
    beforeAsking: () => void,
  ): Promise<Decision> {
    const key = decisionKey(token, power, ring);
    const known = this.#decisions.get(key);
    if (known !== undefined && this.#monotonic() < known.expiresAt) {
      this.#onReview('cached');
      if (this.#monotonic() >= known.renewAt) this.#renew(key, known, token, power, ring);
      return known.decision;
    }
    beforeAsking();
    const askedAt = this.#monotonic();
    const entry: Entry = {
      // Whoever asked meanwhile is given the same answer, and the same refusal.
      decision: this.#review(token, power, ring).catch(unavailable),
      expiresAt: Number.POSITIVE_INFINITY,
      renewAt: Number.POSITIVE_INFINITY,
    };
    this.#remember(key, entry);
    return entry.decision.then(
      (decision) => {
        this.#decided(entry, decision, askedAt);
        return decision;
      },
      (refusal: unknown) => {
        this.#decisions.delete(key);
        this.#onReview('failed');
        throw refusal;
      },
    );
  }

  #decided(entry: Entry, decision: Decision, askedAt: number): void {
    const allowed = 'caller' in decision;
    entry.expiresAt = askedAt + (allowed ? ALLOWED_FOR : DENIED_FOR);
    const { soonest, latest } = RENEWED_AFTER;
    if (allowed) entry.renewAt = askedAt + soonest + (latest - soonest) * this.#random();
    this.#onReview(allowed ? 'allowed' : 'denied');
  }

  /** What comes of it replaces what is known; where nothing does, that lives out its seconds. */
  #renew(key: string, known: Entry, token: string, power: Power, ring: Keyring): void {
    known.renewAt = Number.POSITIVE_INFINITY;
    const askedAt = this.#monotonic();
    const decision = this.#review(token, power, ring);
    const entry = { decision, expiresAt: 0, renewAt: Number.POSITIVE_INFINITY };
    decision.then(
      (made) => {
        this.#decided(entry, made, askedAt);
        if (this.#decisions.get(key) === known) this.#remember(key, entry);
      },
      () => this.#onReview('failed'),
    );
  }

  async #review(token: string, power: Power, ring: Keyring): Promise<Decision> {
    if (isIssuedBy(ring, token)) return { refusal: TOKEN_INVALID };
    const caller = await this.#reviewer.authenticate(token, ring.issuer);
    if (caller === undefined) return { refusal: TOKEN_INVALID };
    const allowed = await this.#reviewer.mayCreate(caller, power, ring.owner);
    return allowed ? { caller } : { refusal: PERMISSION_DENIED[power] };
  }

  #remember(key: string, entry: Entry): void {
    this.#decisions.delete(key);
    this.#decisions.set(key, entry);
    if (this.#decisions.size <= MAX_DECISIONS) return;
    const [oldest] = this.#decisions.keys();
    if (oldest !== undefined) this.#decisions.delete(oldest);
  }
}

/**
 * Where the API server trusts this issuer (structured authentication), a token of the set would be
 * good for the next one, and so for ever.
 */
function isIssuedBy({ issuer }: Keyring, token: string): boolean {
  try {
    return decodeJwt(token).iss === issuer;
  } catch {
    // No JWT: the API server says what it is.
    return false;
  }
}

const TOKEN_INVALID = new Refusal(
  'token_invalid',
  'Send a valid ServiceAccount token whose audience is the issuer, such as kubectl create token <name> --audience=<issuer>.',
);

const PERMISSION_DENIED: Readonly<Record<Power, Refusal>> = {
  token: denied('token'),
  claims: denied('claims'),
};

function denied(power: Power): Refusal {
  return new Refusal(
    'permission_denied',
    `Bind the caller to a role with the verb create on signingkeysets/${power} of this set.`,
  );
}

/** The token last: nothing before it can contain the NUL that divides them. */
function decisionKey(token: string, power: Power, { issuer, owner }: Keyring): string {
  const parts = [power, owner.namespace, owner.name, issuer, token];
  return hash('sha256', parts.join('\0'), 'base64url');
}

/** @throws Refusal always: nobody is let in because nobody could be asked. */
function unavailable(cause: unknown): never {
  const refusal = new Refusal('authorization_unavailable', 'Ask again in a moment.');
  refusal.cause = cause;
  throw refusal;
}
