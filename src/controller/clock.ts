import { SECOND } from '../api/constants.ts';
import { skewBetween } from '../kube/skew.ts';
import type { Time } from '../rotation/situation.ts';

/**
 * Reads the time so that a jump of the wall clock shortens no wait (I16): it goes on from where it
 * stood when the process began, by the monotonic clock, and whichever of both is the worse counts.
 */
export class Timekeeper {
  readonly #wall: () => number;
  readonly #monotonic: () => number;
  /** What the wall clock would say at the zero of the monotonic one. */
  #origin = 0;

  /** @param wall Unix milliseconds. @param monotonic milliseconds since whenever. */
  constructor(wall: () => number, monotonic: () => number = () => performance.now()) {
    this.#wall = wall;
    this.#monotonic = monotonic;
    this.trustWall();
  }

  /**
   * The wall clock agrees with the API server's for the first time: time goes on from what it says
   * now. Else a process that began with a wrong clock would wait for as long as that was wrong, for
   * each key anew (I20). It shortens no wait: before they agreed, none was counted. A second time
   * would: whatever was counted from while they agreed would seem that much longer ago (I16).
   */
  trustWall(): void {
    this.#origin = this.#wall() - this.#monotonic();
  }

  read(): Time {
    const wall = this.#wall();
    const elapsed = Math.round(this.#origin + this.#monotonic());
    return { now: Math.min(wall, elapsed), stamp: Math.max(wall, elapsed) };
  }

  /** By how many milliseconds each wait is too long, because the wall clock jumped. */
  get excess(): number {
    const { now, stamp } = this.read();
    return stamp - now;
  }
}

interface ClockCheckOptions {
  /** S, in milliseconds. */
  readonly allowed: number;
  /** Unix milliseconds: what is compared with the API server's clock. */
  readonly wall: () => number;
  /** Milliseconds since whenever. */
  readonly monotonic?: () => number;
  /** Told each measurement, in milliseconds. */
  readonly onMeasured: (skew: number) => void;
  /** Told that the clocks agree no more, or again. */
  readonly onChange: (skew: number | undefined) => void;
  /** Told once, when they agree for the first time. */
  readonly onFirstAgreed: () => void;
}

/** Two API servers may disagree with each other: all of them have to agree for so long. */
const RECOVERY = 10 * SECOND;

/** Whether our clock and the API server's agree within S, by the `Date` of its answers. */
export class ClockCheck {
  readonly #options: Required<ClockCheckOptions>;
  #skew: number | undefined;
  #differedAt = 0;
  #hasAgreed = false;

  constructor(options: ClockCheckOptions) {
    this.#options = { monotonic: () => performance.now(), ...options };
  }

  /**
   * By how much they differ, in milliseconds; undefined while that is within S. It keeps its first
   * value until it has changed by S, so that nothing that repeats it changes all the time.
   */
  get skew(): number | undefined {
    return this.#skew;
  }

  /** Takes in an answer that came just now. @param tookMs since it was asked for. */
  heard(date: Date, tookMs: number): void {
    const { allowed, wall, monotonic, onMeasured } = this.#options;
    const until = wall();
    const measured = skewBetween(date, until - tookMs, until);
    onMeasured(measured);
    if (measured > allowed) {
      this.#differedAt = monotonic();
      this.#differ(measured);
    } else if (this.#skew === undefined || monotonic() - this.#differedAt >= RECOVERY) {
      this.#agree();
    }
  }

  #differ(measured: number): void {
    const { allowed, onChange } = this.#options;
    if (this.#skew !== undefined && Math.abs(measured - this.#skew) <= allowed) return;
    this.#skew = measured;
    onChange(measured);
  }

  #agree(): void {
    const { onChange, onFirstAgreed } = this.#options;
    if (!this.#hasAgreed) onFirstAgreed();
    this.#hasAgreed = true;
    if (this.#skew === undefined) return;
    this.#skew = undefined;
    onChange(undefined);
  }
}
