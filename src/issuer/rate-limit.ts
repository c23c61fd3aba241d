import { SECOND } from '../api/constants.ts';

export interface Rate {
  readonly perSecond: number;
  /** How many may come at once, after a pause. */
  readonly burst: number;
}

const MAX_KEYS = 20_000;

/**
 * A token bucket for each key, kept as one number: the time at which the bucket will be full again
 * (the generic cell rate algorithm). The keys asked for longest ago are forgotten first.
 */
export class RateLimit {
  readonly #interval: number;
  readonly #tolerance: number;
  readonly #monotonic: () => number;
  readonly #fullAt = new Map<string, number>();

  /** @param monotonic - milliseconds that never go back. */
  constructor({ perSecond, burst }: Rate, monotonic: () => number) {
    this.#interval = SECOND / perSecond;
    this.#tolerance = this.#interval * burst;
    this.#monotonic = monotonic;
  }

  /** Takes one from the bucket of `key`. @returns 0; or, with nothing taken, the wait in ms. */
  take(key: string): number {
    const now = this.#monotonic();
    const fullAt = Math.max(now, this.#fullAt.get(key) ?? now) + this.#interval;
    const wait = fullAt - now - this.#tolerance;
    if (wait > 0) return wait;
    this.#fullAt.delete(key);
    this.#fullAt.set(key, fullAt);
    if (this.#fullAt.size > MAX_KEYS) this.#forgetOldest();
    return 0;
  }

  #forgetOldest(): void {
    const [oldest] = this.#fullAt.keys();
    if (oldest !== undefined) this.#fullAt.delete(oldest);
  }
}
