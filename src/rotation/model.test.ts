import fc from 'fast-check';
import { test } from 'vitest';
import { HELD_RULES } from '../../test/support/model/held-rules.ts';
import { histories, live, table } from '../../test/support/model/histories.ts';
import { SEEDS } from '../../test/support/model/seeds.ts';

/** Of all runs together. */
const HISTORIES = Number(process.env['SIGNET_HISTORIES'] ?? 10_000);

test.each(SEEDS)(
  `${HELD_RULES.join(', ')} hold after every step of any history: $which`,
  {
    timeout: 600_000,
  },
  ({ seed }) => {
    fc.assert(
      fc.property(histories, ({ beginning, happenings }) => {
        live(happenings, { beginning });
      }),
      {
        numRuns: Math.ceil(HISTORIES / SEEDS.length),
        seed,
        reporter({ failed, counterexample, errorInstance }) {
          const [history] = counterexample ?? [];
          if (!failed || history === undefined) return;
          throw new Error(`SIGNET_SEED=${seed}\n${table(history)}\n${errorInstance}`);
        },
      },
    );
  },
);
