import { type Backoff, backoffMs } from './backoff.ts';

/** What a pass asks for: another one, at this Unix time in ms at the latest. */
// biome-ignore lint/suspicious/noConfusingVoidType: a process that asks for nothing returns nothing.
export type PassResult = void | { readonly recheckAt?: number | undefined };

interface Pass {
  readonly key: string;
  readonly outcome: 'done' | 'failed';
  readonly durationMs: number;
}

interface FailedPass {
  /** How many times in a row this key has failed. */
  readonly failures: number;
  readonly retryInMs: number;
}

export interface WorkQueueOptions {
  readonly concurrency: number;
  readonly process: (key: string, signal: AbortSignal) => Promise<PassResult>;
  readonly onError: (key: string, error: unknown, failed: FailedPass) => void;
  /** For metrics: after each pass. */
  readonly onPass?: (pass: Pass) => void;
  /** Default 50 ms to 60 s, half of it left to chance. */
  readonly backoff?: Backoff;
  /** Unix ms. */
  readonly clock?: () => number;
  readonly random?: () => number;
}

const BACKOFF: Backoff = { baseMs: 50, maxMs: 60_000, jitter: 0.5 };
/** Timers are looked at this often at least: the wall clock may jump, and setTimeout ends at 2^31 ms. */
const LONGEST_SLEEP_MS = 60_000;

/** How many ms are left. A function, as waits for a time and waits for a duration differ. */
type Remaining = () => number;

/**
 * Keys to work on, each at most once at a time. However often a key is added, one pass that begins
 * afterwards answers all of it; that pass says itself when the next one is due.
 */
export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #clock: () => number;
  readonly #ready = new Set<string>();
  readonly #waiting = new Map<string, Remaining>();
  readonly #working = new Set<string>();
  readonly #failures = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  #signal: AbortSignal | undefined;
  #idle: (() => void) | undefined;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
    this.#clock = options.clock ?? Date.now;
  }

  /** Keys that could be worked on now, if a worker were free. */
  get depth(): number {
    return this.#ready.size;
  }

  /** Keys that wait for their time. */
  get delayed(): number {
    return this.#waiting.size;
  }

  add(key: string): void {
    this.#waiting.delete(key);
    this.#ready.add(key);
    this.#pump();
  }

  /** @param at Unix ms. The earliest of several times wins. */
  addAt(key: string, at: number): void {
    this.#wait(key, () => at - this.#clock());
  }

  /** Works until the signal aborts; resolves when the passes under way have ended. Call it once. */
  async run(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    const stopped = Promise.withResolvers<void>();
    signal.addEventListener('abort', () => stopped.resolve(), { once: true });
    if (signal.aborted) stopped.resolve();
    this.#wake();
    await stopped.promise;
    clearTimeout(this.#timer);
    if (this.#working.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#idle = resolve;
    });
  }

  #wait(key: string, remaining: Remaining): void {
    if (this.#ready.has(key)) return;
    const known = this.#waiting.get(key);
    if (known !== undefined && known() <= remaining()) return;
    this.#waiting.set(key, remaining);
    this.#wake();
  }

  /** Moves what is due, and sets the one timer for what is due next. */
  #wake(): void {
    clearTimeout(this.#timer);
    let next = LONGEST_SLEEP_MS;
    for (const [key, remaining] of this.#waiting) {
      const ms = remaining();
      if (ms > 0) {
        next = Math.min(next, ms);
        continue;
      }
      this.#waiting.delete(key);
      this.#ready.add(key);
    }
    if (this.#waiting.size > 0 && this.#running) {
      this.#timer = setTimeout(() => this.#wake(), Math.ceil(next));
    }
    this.#pump();
  }

  get #running(): boolean {
    return this.#signal?.aborted === false;
  }

  #pump(): void {
    for (const key of this.#ready) {
      if (!this.#running || this.#working.size >= this.#options.concurrency) return;
      if (this.#working.has(key)) continue;
      this.#ready.delete(key);
      void this.#pass(key);
    }
  }

  async #pass(key: string): Promise<void> {
    const { process, onError, onPass, backoff = BACKOFF, random } = this.#options;
    const startedAt = performance.now();
    let outcome: Pass['outcome'] = 'done';
    this.#working.add(key);
    try {
      const result = await process(key, this.#signal ?? AbortSignal.abort());
      this.#failures.delete(key);
      if (result?.recheckAt !== undefined) this.addAt(key, result.recheckAt);
    } catch (error) {
      outcome = 'failed';
      const failures = (this.#failures.get(key) ?? 0) + 1;
      const retryInMs = backoffMs(backoff, failures, error, random);
      const dueAt = performance.now() + retryInMs;
      this.#failures.set(key, failures);
      this.#wait(key, () => dueAt - performance.now());
      onError(key, error, { failures, retryInMs });
    } finally {
      this.#working.delete(key);
      onPass?.({ key, outcome, durationMs: performance.now() - startedAt });
      if (this.#working.size === 0) this.#idle?.();
      this.#pump();
    }
  }
}
