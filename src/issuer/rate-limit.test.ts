import { describe, expect, it } from 'vitest';
import { RateLimit } from './rate-limit.ts';

describe('a rate limit', () => {
  let now = 0;
  const limit = () => new RateLimit({ perSecond: 10, burst: 3 }, () => now);

  it('lets a burst pass, then says how long to wait, and takes nothing for a refusal', () => {
    now = 5_000;
    const bucket = limit();
    const waits = Array.from({ length: 5 }, () => bucket.take('alice'));
    expect(waits).toEqual([0, 0, 0, 100, 100]);
    now += 100;
    expect([bucket.take('alice'), bucket.take('alice')]).toEqual([0, 100]);
  });

  it('fills up to the burst and no further, for each key alone', () => {
    now = 0;
    const bucket = limit();
    for (let taken = 0; taken < 3; taken += 1) bucket.take('alice');
    expect(bucket.take('bob')).toBe(0);
    now = 3_600_000;
    const waits = Array.from({ length: 4 }, () => bucket.take('alice'));
    expect(waits).toEqual([0, 0, 0, 100]);
  });

  it('remembers a bounded number of keys, those that asked last', () => {
    now = 0;
    const bucket = limit();
    for (let taken = 0; taken < 3; taken += 1) bucket.take('first');
    for (let key = 0; key < 19_999; key += 1) bucket.take(`${key}`);
    expect(bucket.take('first')).toBe(100);
    bucket.take('one more');
    expect(bucket.take('first')).toBe(0);
  });
});
