import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { HOUR, MINUTE, SECOND } from '../api/constants.ts';
import { ClockCheck, Timekeeper } from './clock.ts';

const START = Date.UTC(2026, 0, 1);

let wall: number;
let monotonic: number;
beforeEach(() => {
  wall = START;
  monotonic = 7;
});

describe('the time', () => {
  it('that a wait takes is never shortened by a jump, however often there is one (I16)', () => {
    const steps = fc.array(
      fc.record({
        passes: fc.nat({ max: MINUTE }),
        jump: fc.integer({ min: -MINUTE, max: MINUTE }),
      }),
    );
    fc.assert(
      fc.property(steps, fc.nat({ max: MINUTE }), (history, wait) => {
        const [offset, startedAt] = [START, monotonic];
        wall = offset;
        const time = new Timekeeper(
          () => wall,
          () => monotonic,
        );
        const deadline = time.read().stamp + wait;
        for (const { passes, jump } of history) {
          wall += passes + jump;
          monotonic += passes;
          const { now, stamp } = time.read();
          expect(stamp).toBeGreaterThanOrEqual(now);
          if (now >= deadline) expect(monotonic - startedAt).toBeGreaterThanOrEqual(wait);
        }
      }),
    );
  });

  it.each([MINUTE, -MINUTE])(
    'of a process that began %i ms off is right once the clock was set right and is trusted (I20)',
    (off) => {
      wall += off;
      const time = new Timekeeper(
        () => wall,
        () => monotonic,
      );
      wall -= off;
      expect(time.read()).toEqual({
        now: START + Math.min(0, off),
        stamp: START + Math.max(0, off),
      });
      time.trustWall();
      expect(time.read()).toEqual({ now: START, stamp: START });
    },
  );

  it('is one, while nothing jumps', () => {
    const time = new Timekeeper(
      () => wall,
      () => monotonic,
    );
    wall += MINUTE;
    monotonic += MINUTE;
    expect(time.read()).toEqual({ now: START + MINUTE, stamp: START + MINUTE });
  });
});

describe('the check of the clock', () => {
  let told: (number | undefined)[];
  let measured: number[];
  let agreements: number;
  let check: ClockCheck;
  beforeEach(() => {
    [told, measured, agreements] = [[], [], 0];
    check = new ClockCheck({
      allowed: MINUTE,
      wall: () => wall,
      monotonic: () => monotonic,
      onMeasured: (skew) => measured.push(skew),
      onChange: (skew) => told.push(skew),
      onFirstAgreed: () => {
        agreements += 1;
      },
    });
  });

  /** The API server's clock says so much more than ours. */
  function hear(ahead: number): void {
    check.heard(new Date(wall + ahead), 100);
  }

  it('says nothing of clocks that agree within S, however late the answer came', () => {
    for (const ahead of [0, MINUTE, -MINUTE, -MINUTE - SECOND]) hear(ahead);
    check.heard(new Date(wall - 2 * MINUTE), 2 * MINUTE);
    expect(told).toEqual([]);
    expect(measured).toHaveLength(5);
  });

  it('tells at once of one that is off, and not again while it is off by about as much', () => {
    hear(2 * MINUTE);
    hear(2 * MINUTE + 3 * SECOND);
    expect(check.skew).toBe(2 * MINUTE);
    hear(4 * MINUTE);
    expect(told).toEqual([2 * MINUTE, 4 * MINUTE]);
  });

  it('tells that they agree again once all answers said so for ten seconds', () => {
    hear(2 * MINUTE);
    for (let second = 1; second <= 9; second += 1) {
      monotonic += SECOND;
      hear(0);
    }
    expect(check.skew).toBe(2 * MINUTE);
    hear(2 * MINUTE);
    monotonic += 10 * SECOND;
    hear(0);
    expect(told).toEqual([2 * MINUTE, undefined]);
  });

  it.each([
    ['at once', 0, 1],
    ['ten seconds after they differed', 2 * MINUTE, 0],
  ])('tells only once that they agree for the first time: %s', (_, first, expected) => {
    hear(first);
    expect(agreements).toBe(expected);
    for (const ahead of [0, 2 * MINUTE, 0, 0]) {
      monotonic += 10 * SECOND;
      hear(ahead);
    }
    expect(agreements).toBe(1);
    expect(told.at(-1)).toBeUndefined();
  });
});

describe('what happened while both clocks agreed', () => {
  /** A bad source of time sets the clock of one machine, or of both. */
  const steps = fc.array(
    fc.record({
      passes: fc.nat({ max: HOUR }),
      ours: fc.constantFrom(0, 0, HOUR, -HOUR),
      served: fc.constantFrom(0, 0, HOUR, -HOUR),
    }),
  );

  it('never seems longer ago than it is, whatever both clocks do together (I16)', () => {
    fc.assert(
      fc.property(steps, (history) => {
        [wall, monotonic] = [START, 7];
        let server = wall;
        const time = new Timekeeper(
          () => wall,
          () => monotonic,
        );
        const check = new ClockCheck({
          allowed: MINUTE,
          wall: () => wall,
          monotonic: () => monotonic,
          onMeasured: () => {},
          onChange: () => {},
          onFirstAgreed: () => time.trustWall(),
        });
        const written: { readonly stamp: number; readonly at: number }[] = [];
        for (const { passes, ours, served } of [{ passes: 0, ours: 0, served: 0 }, ...history]) {
          wall += passes + ours;
          server += passes + served;
          monotonic += passes;
          check.heard(new Date(server), 0);
          const { now, stamp } = time.read();
          if (check.skew === undefined) written.push({ stamp, at: monotonic });
          for (const { stamp: then, at } of written) {
            expect(now - then).toBeLessThanOrEqual(monotonic - at);
          }
        }
      }),
    );
  });
});
