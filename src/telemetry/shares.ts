/** How much of something there is, and how much of it one client may have. */
export interface Share {
  readonly total: number;
  readonly each: number;
}

/** Shares something that is given back. Whoever has none takes no room here. */
export class Shares {
  readonly #share: Share;
  readonly #taken = new Map<string, number>();
  #total = 0;

  constructor(share: Share) {
    this.#share = share;
  }

  /** @returns whether there was so much left for `client`; if not, nothing is taken. */
  take(client: string, amount: number): boolean {
    const { total, each } = this.#share;
    const taken = (this.#taken.get(client) ?? 0) + amount;
    if (taken > each || this.#total + amount > total) return false;
    this.#taken.set(client, taken);
    this.#total += amount;
    return true;
  }

  giveBack(client: string, amount: number): void {
    const left = (this.#taken.get(client) ?? 0) - amount;
    if (left > 0) this.#taken.set(client, left);
    else this.#taken.delete(client);
    this.#total -= amount;
  }
}
