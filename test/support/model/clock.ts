import type { Instant } from '../../../src/keys/keyring.ts';
import type { Time } from '../../../src/rotation/situation.ts';

/** How far a clock may be off when a process starts, in milliseconds: what NTP leaves. */
export const DRIFT = 1_000;

/**
 * The clock of a controller: a wall clock that may be set, and a monotonic one that starts with the
 * process. The API server's clock is the true one.
 */
export class ControllerClock {
  #offset = 0;
  #wasSkewed = false;
  #startedAt: Instant;
  #startedAs: Instant;

  constructor(truth: Instant) {
    this.#startedAt = truth;
    this.#startedAs = truth;
  }

  /** What the wall clock shows from now on, relative to the truth, in milliseconds. */
  set(offset: number): void {
    this.#offset = offset;
  }

  /** How far the clocks are apart; absent within S. */
  skew(allowed: number): number | undefined {
    const apart = Math.abs(this.#offset);
    return apart > allowed ? apart : undefined;
  }

  /** Another process: a clock that is off by less than anybody notices has been put right by then. */
  restart(truth: Instant, allowed: number): void {
    if (this.skew(allowed) === undefined && Math.abs(this.#offset) > DRIFT) this.#offset = 0;
    this.#startedAt = truth;
    this.#startedAs = truth + this.#offset;
  }

  /**
   * The clocks agree again after they had not: time goes on from what the wall clock says, or else
   * a process that began with a wrong one would be wrong for as long as it runs.
   */
  notice(truth: Instant, allowed: number): void {
    const isSkewed = this.skew(allowed) !== undefined;
    if (this.#wasSkewed && !isSkewed) this.restart(truth, allowed);
    this.#wasSkewed = isSkewed;
  }

  read(truth: Instant): Time {
    const wall = truth + this.#offset;
    const elapsed = this.#startedAs + truth - this.#startedAt;
    return { now: Math.min(wall, elapsed), stamp: Math.max(wall, elapsed) };
  }
}
