import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HELD_RULES } from '../../test/support/model/held-rules.ts';
import { histories, live } from '../../test/support/model/histories.ts';
import { MUTANTS } from '../../test/support/model/mutants.ts';
import { Violation } from '../../test/support/model/violation.ts';

/** As many as the model tries in CI: a mutant that survives them is a rule that nothing holds. */
const HISTORIES = 10_000;
const SLOW = { timeout: 300_000 };

const CASES = MUTANTS.map((mutant) => ({ ...mutant, rule: mutant.rules[0] }));

test('each rule that the model holds has a mutant that it is about', () => {
  const about = CASES.map(({ rule }) => rule);
  expect(HELD_RULES.filter((rule) => !about.includes(rule))).toEqual([]);
});

test.each(CASES)('$rule: the model catches a plan in which $what', SLOW, ({ rules, decide }) => {
  const { errorInstance } = fc.check(
    fc.property(histories, ({ beginning, happenings }) => {
      live(happenings, { beginning, decide });
    }),
    { numRuns: HISTORIES, seed: 1, endOnFailure: true },
  );
  expect(errorInstance).toBeInstanceOf(Violation);
  expect(rules).toContain(errorInstance instanceof Violation ? errorInstance.rule : undefined);
});
