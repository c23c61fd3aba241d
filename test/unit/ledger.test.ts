import { expect, test } from 'vitest';
import { Counts } from '../support/traffic/counts.ts';
import { Ledger } from '../support/traffic/ledger.ts';
import type { RefusedToken } from '../support/traffic/messages.ts';

const P = 4_000;

function refusal(kid: string, at: number): RefusedToken {
  const place = { set: 'identity/login', code: 'ERR_JWKS_NO_MATCHING_KEY' };
  return { ...place, kid, at, signedAt: at - 1_000, keysOf: at - 100, verifier: 'fresh' };
}

test('a revocation that came to nothing excuses no refusal, not even of before that was known', () => {
  const ledger = new Ledger(P);
  ledger.revoked('k1', 10_000, Number.POSITIVE_INFINITY);
  const seen = { refused: [refusal('k1', 11_000)] };
  expect(ledger.wronglyRefused(seen)).toEqual([]);
  ledger.pardoned('k1');
  expect(ledger.wronglyRefused(seen)).toEqual(seen.refused);
});

test('no number of allowed refusals hides one that is not', () => {
  const [ledger, counts] = [new Ledger(P), new Counts()];
  ledger.revoked('revoked', 0, Number.POSITIVE_INFINITY);
  for (let at = 1; at <= 1_500; at += 1) counts.refused(refusal('revoked', at));
  counts.refused(refusal('promised', 2_000));
  expect(ledger.wronglyRefused(counts.tally)).toHaveLength(1);
  expect(ledger.unjudged(counts.tally)).toBe(0);
  for (let at = 1; at <= 20_000; at += 1) counts.refused(refusal('revoked', at));
  expect(ledger.unjudged(counts.tally)).toBe(1_501);
});
