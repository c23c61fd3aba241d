import fc from 'fast-check';
import { test } from 'vitest';
import { HELD_RULES } from '../../test/support/model/held-rules.ts';
import { histories, live, table } from '../../test/support/model/histories.ts';
import { SEED } from '../../test/support/model/seeds.ts';

const HISTORIES = Number(process.env['SIGNET_HISTORIES'] ?? 10_000);

test(`${HELD_RULES.join(', ')} hold after every step of any history`, {
  timeout: 600_000,
}, () => {
  fc.assert(
    fc.property(histories, ({ beginning, happenings }) => {
      live(happenings, { beginning });
    }),
    {
      numRuns: HISTORIES,
      seed: SEED,
      reporter({ failed, counterexample, errorInstance }) {
        const [history] = counterexample ?? [];
        if (!failed || history === undefined) return;
        throw new Error(`SIGNET_SEED=${SEED}\n${table(history)}\n${errorInstance}`);
      },
    },
  );
});
