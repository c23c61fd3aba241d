import { setTimeout as delay } from 'node:timers/promises';

const POLL = 25;

export interface EventuallyOptions {
  /** Milliseconds; default 30 s: the machine may be busy. */
  readonly timeout?: number;
  /** Milliseconds between two tries; default 25. */
  readonly interval?: number;
}

/**
 * Calls `probe` until it neither throws nor answers false: a condition, or assertions.
 *
 * @returns what the probe answered.
 * @throws the probe's last error; an Error with the probe's text if it only answered false.
 */
export async function eventually<T>(
  probe: () => T | Promise<T>,
  { timeout = 30_000, interval = POLL }: EventuallyOptions = {},
): Promise<Exclude<Awaited<T>, false>> {
  const deadline = performance.now() + timeout;
  for (;;) {
    let problem: unknown;
    try {
      const answer = await probe();
      if (isYes(answer)) return answer;
      problem = new Error(`not within ${timeout} ms: ${probe.toString()}`);
    } catch (error) {
      problem = error;
    }
    if (performance.now() > deadline) throw problem;
    await delay(interval);
  }
}

function isYes<T>(answer: T): answer is Exclude<T, false> {
  return answer !== false;
}
