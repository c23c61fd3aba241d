import type { RefusedToken, Tally, VerifierName } from './messages.ts';

/** Many are allowed: the ledger says which. What is beyond is counted, and no test passes with any. */
const MOST_REFUSALS = 20_000;

/** What the traffic process has seen. */
export class Counts {
  #signed = 0;
  #unpublished = 0;
  #late = 0;
  #refusals = 0;
  readonly #unsigned: Record<string, number> = {};
  readonly #verified = { cached: 0, fresh: 0, gateway: 0 };
  readonly #refused: RefusedToken[] = [];
  readonly #lastVerified: Record<string, Partial<Record<VerifierName, number>>> = {};
  readonly #kids: Record<string, string[]> = {};

  signed(set: string, kid: string): void {
    this.#signed += 1;
    const kids = this.#kids[set] ?? [];
    if (!kids.includes(kid)) this.#kids[set] = [...kids, kid];
  }

  unsigned(code: string): void {
    this.#unsigned[code] = (this.#unsigned[code] ?? 0) + 1;
  }

  unpublished(): void {
    this.#unpublished += 1;
  }

  verified(kid: string, verifier: VerifierName, at: number, isLate: boolean): void {
    this.#verified[verifier] += 1;
    if (isLate) this.#late += 1;
    this.#lastVerified[kid] = { ...this.#lastVerified[kid], [verifier]: at };
  }

  refused(token: RefusedToken): void {
    this.#refusals += 1;
    if (this.#refused.length < MOST_REFUSALS) this.#refused.push(token);
  }

  get tally(): Tally {
    return {
      signed: this.#signed,
      unsigned: this.#unsigned,
      unpublished: this.#unpublished,
      verified: this.#verified,
      verifiedLate: this.#late,
      refused: this.#refused,
      refusals: this.#refusals,
      lastVerified: this.#lastVerified,
      kids: this.#kids,
    };
  }
}
