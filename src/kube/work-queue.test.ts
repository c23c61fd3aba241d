import fc from 'fast-check';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ApiError } from './errors.ts';
import { type PassResult, WorkQueue } from './work-queue.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

beforeEach(() => {
  vi.useFakeTimers({ now: 1_700_000_000_000 });
});

afterEach(() => {
  vi.useRealTimers();
});

const later = (ms: number) => vi.advanceTimersByTimeAsync(ms);

/** A queue that runs, with what it worked on and when, in ms since it began. */
function start(process: (key: string) => Promise<PassResult> = async () => {}, concurrency = 2) {
  const began = Date.now();
  const passes: [key: string, at: number][] = [];
  const failed: number[] = [];
  const queue = new WorkQueue({
    concurrency,
    process: (key) => {
      passes.push([key, Date.now() - began]);
      return process(key);
    },
    onError: (_key, _error, { retryInMs }) => failed.push(retryInMs),
    random: () => 0,
  });
  const stop = new AbortController();
  const stopped = queue.run(stop.signal);
  return { queue, passes, failed, stop, stopped, began };
}

const takes = (ms: number) => () => new Promise<void>((resolve) => setTimeout(resolve, ms));

test('a key added many times is worked on once', async () => {
  const { queue, passes } = start(takes(10), 1);
  for (const key of ['a', 'b', 'b', 'b']) queue.add(key);
  await later(1_000);
  expect(passes).toEqual([
    ['a', 0],
    ['b', 10],
  ]);
});

test('a key added while it is worked on is worked on again afterwards', async () => {
  const { queue, passes } = start(takes(100), 8);
  queue.add('a');
  await later(50);
  queue.add('a');
  queue.add('a');
  await later(1_000);
  expect(passes).toEqual([
    ['a', 0],
    ['a', 100],
  ]);
});

test('the earliest of several times wins, and adding does not wait for it', async () => {
  const { queue, passes, began } = start();
  queue.addAt('a', began + 2_000);
  queue.addAt('a', began + 1_000);
  queue.addAt('a', began + 3_000);
  queue.addAt('b', began + 1_000);
  queue.add('b');
  await later(DAY);
  expect(passes).toEqual([
    ['b', 0],
    ['a', 1_000],
  ]);
});

test('a pass says when the next one is due, even in two months', async () => {
  let rechecks = 1;
  const { queue, passes, began } = start(async () => {
    rechecks -= 1;
    return rechecks < 0 ? {} : { recheckAt: began + 60 * DAY };
  });
  queue.add('a');
  await later(60 * DAY - 1);
  expect(passes).toEqual([['a', 0]]);
  await later(1);
  expect(passes).toEqual([
    ['a', 0],
    ['a', 60 * DAY],
  ]);
});

test('a wall clock that jumps past the time is noticed within a minute', async () => {
  const { queue, passes, began } = start();
  queue.addAt('a', began + 8 * HOUR);
  vi.setSystemTime(began + 9 * HOUR);
  await later(60_000);
  expect(passes).toHaveLength(1);
});

test('an error is tried again ever later, success starts over, and the clock does not matter', async () => {
  let healthy = false;
  const { queue, failed, passes, began } = start(async () => {
    if (!healthy) throw new Error('not yet');
  });
  queue.add('a');
  await later(800);
  expect(failed).toEqual([50, 100, 200, 400, 800]);
  vi.setSystemTime(began - DAY);
  await later(120_000);
  expect(failed.at(-1)).toBe(60_000);
  healthy = true;
  await later(60_000);
  const count = passes.length;
  await later(DAY);
  expect(passes).toHaveLength(count);
  healthy = false;
  queue.add('a');
  await later(1);
  expect(failed.at(-1)).toBe(50);
});

test('a wait that the API server asks for is kept', async () => {
  const { queue, failed } = start(async () => {
    throw new ApiError(429, 'TooManyRequests', 'later', 7_000);
  });
  queue.add('a');
  await later(1);
  expect(failed).toEqual([7_000]);
});

test('stopping waits for what is under way and begins nothing more', async () => {
  const { queue, passes, stop, stopped, began } = start(takes(500), 1);
  queue.add('a');
  queue.add('b');
  queue.addAt('c', began + 600);
  await later(100);
  stop.abort();
  let ended = 0;
  void stopped.then(() => {
    ended = Date.now() - began;
  });
  await later(DAY);
  queue.add('d');
  await later(DAY);
  expect(ended).toBe(500);
  expect(passes).toEqual([['a', 0]]);
});

test('never two passes at one key, never more than allowed at all, and no request is lost', async () => {
  const step = fc.record({
    wait: fc.integer({ min: 0, max: 300 }),
    key: fc.constantFrom('a', 'b', 'c', 'd'),
    delay: fc.option(fc.integer({ min: 0, max: 1_000 }), { nil: undefined }),
    takes: fc.integer({ min: 0, max: 400 }),
    fails: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), async (steps) => {
      const turns = steps.values();
      const violations: string[] = [];
      const atWork = new Set<string>();
      const answered = new Map<string, number>();
      const asked = new Map<string, number>();
      const { queue, stop, stopped } = start(async (key) => {
        if (atWork.has(key)) violations.push(`two at ${key}`);
        atWork.add(key);
        if (atWork.size > 2) violations.push(`at once: ${[...atWork].join()}`);
        const request = asked.get(key) ?? 0;
        const { value: turn } = turns.next();
        await takes(turn?.takes ?? 0)();
        atWork.delete(key);
        if (turn?.fails) throw new Error('as drawn');
        answered.set(key, request);
      });
      for (const { wait, key, delay } of steps) {
        await later(wait);
        asked.set(key, (asked.get(key) ?? 0) + 1);
        if (delay === undefined) queue.add(key);
        else queue.addAt(key, Date.now() + delay);
      }
      await later(HOUR);
      expect(violations).toEqual([]);
      expect(answered).toEqual(asked);
      expect(queue.depth + queue.delayed).toBe(0);
      stop.abort();
      await stopped;
    }),
    { numRuns: 200 },
  );
});
