import type { RefusedToken, Tally } from './messages.ts';

/** What may be refused, and what may not be accepted, because somebody asked for it. */
export class Ledger {
  readonly #propagationDelay: number;
  readonly #revoked = new Map<string, { readonly from: number; readonly everywhere: number }>();
  readonly #forced = new Map<string, number>();

  /** @param propagationDelay - P, in milliseconds: verifiers whose keys are older are promised nothing. */
  constructor(propagationDelay: number) {
    this.#propagationDelay = propagationDelay;
  }

  /**
   * A key was revoked by request.
   *
   * @param from - Unix ms: from then on its tokens may be refused.
   * @param everywhere - from then on they have to be.
   */
  revoked(kid: string, from: number, everywhere: number): void {
    this.#revoked.set(kid, { from, everywhere });
  }

  /** The request that was to revoke a key was refused, or lost: no refusal of its tokens is excused. */
  pardoned(kid: string): void {
    this.#revoked.delete(kid);
  }

  /** A key signs that verifiers have not seen: until then they may refuse its tokens. */
  forced(kid: string, until: number): void {
    this.#forced.set(kid, until);
  }

  /** The refusals that break the promise (I1). */
  wronglyRefused({ refused }: Pick<Tally, 'refused'>): readonly RefusedToken[] {
    return refused.filter(({ kid, at, keysOf }) => {
      const { from = Number.POSITIVE_INFINITY } = this.#revoked.get(kid) ?? {};
      const isPromised = at - keysOf <= this.#propagationDelay;
      return isPromised && at < from && at >= (this.#forced.get(kid) ?? 0);
    });
  }

  /** How many refusals nobody can judge any more, because there were too many to keep. */
  unjudged({ refused, refusals }: Pick<Tally, 'refused' | 'refusals'>): number {
    return refusals - refused.length;
  }

  /** The revoked keys of which a token verified when every copy of the JWKS had to be without. */
  wronglyAccepted({ lastVerified }: Pick<Tally, 'lastVerified'>): readonly string[] {
    return [...this.#revoked].flatMap(([kid, { everywhere }]) =>
      Object.entries(lastVerified[kid] ?? {})
        .filter(([, at]) => at > everywhere)
        .map(([verifier, at]) => `${kid} by ${verifier}, ${at - everywhere} ms late`),
    );
  }
}
