import type { Ledger } from '../support/traffic/ledger.ts';
import type { Tally } from '../support/traffic/messages.ts';
import type { Memory } from './memory.ts';

interface Outcome {
  readonly minutes: number;
  readonly seed: number;
  readonly sets: number;
  readonly rotations: number;
  readonly tally: Tally;
  readonly ledger: Ledger;
  /** How often each happened. */
  readonly faults: ReadonlyMap<string, number>;
  /** What went wrong with the faults themselves, or with coming to rest. */
  readonly failures: readonly string[];
  /** Writes, Leases apart, in 30 s of rest. */
  readonly writesAtRest: number;
  readonly memory: Readonly<Record<string, Memory>>;
}

/** @returns the lines, as a Markdown table, and what must be 0 and is not. */
export function summarize(outcome: Outcome): { lines: string[]; broken: string[] } {
  const { tally, ledger, faults, memory } = outcome;
  const refused = ledger.wronglyRefused(tally);
  const accepted = ledger.wronglyAccepted(tally);
  const verified = Object.values(tally.verified).reduce((sum, count) => sum + count, 0);
  const total = [...faults.values()].reduce((sum, count) => sum + count, 0);
  const zero: Readonly<Record<string, number>> = {
    'wrongly refused': refused.length,
    'refused, and too many to judge': ledger.unjudged(tally),
    'wrongly accepted after revocation': accepted.length,
    'sets that did not come to rest, and other failures': outcome.failures.length,
    'writes in 30 s of rest, Leases apart': outcome.writesAtRest,
  };
  const figures: Readonly<Record<string, string | number>> = {
    minutes: outcome.minutes,
    seed: outcome.seed,
    sets: outcome.sets,
    rotations: outcome.rotations,
    'tokens signed': tally.signed,
    'verifications of them': verified,
    'of these in the last second of a token': tally.verifiedLate,
    ...zero,
    'tokens refused after a revocation or a forced rotation, as they may be':
      tally.refused.length - refused.length,
    faults: total,
  };
  const lines = [
    '| what | how many |',
    '| --- | --- |',
    ...Object.entries(figures).map(([what, count]) => `| ${what} | ${count} |`),
    ...Object.entries(memory).map(
      ([of, { last, slope }]) =>
        `| memory of the ${of} | ${last.toFixed(0)} MB in the end, ${slope.toFixed(1)} MB an hour |`,
    ),
    '',
    `Faults: ${[...faults].map(([name, count]) => `${name} ${count}`).join(', ')}.`,
  ];
  const details = [...refused.slice(0, 10).map((token) => JSON.stringify(token)), ...accepted];
  const broken = Object.entries(zero).filter(([, count]) => count !== 0);
  return {
    lines,
    broken: [
      ...broken.map(([what, count]) => `${what}: ${count}, and must be 0`),
      ...(broken.length === 0 ? [] : [...details, ...outcome.failures]),
    ],
  };
}
