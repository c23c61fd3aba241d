import { setTimeout as delay } from 'node:timers/promises';
import { ApiError } from './errors.ts';

export interface Backoff {
  /** The first delay. */
  readonly baseMs: number;
  readonly maxMs: number;
  /** The share of a delay that is left to chance, 0 to 1, so that many do not come back at once. */
  readonly jitter: number;
}

/**
 * How long to wait after so many failures in a row (from 1): doubled each time, never shorter than
 * what the server asked for.
 */
export function backoffMs(
  { baseMs, maxMs, jitter }: Backoff,
  failures: number,
  error?: unknown,
  random: () => number = Math.random,
): number {
  const full = Math.min(maxMs, baseMs * 2 ** Math.min(failures - 1, 30));
  const asked = error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0;
  return Math.max(full * (1 - jitter * random()), asked);
}

/** Waits; returns early, and does not throw, when the signal aborts. */
export async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
