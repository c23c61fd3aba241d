import fc from 'fast-check';
import { DAY, HOUR, MINUTE, SECOND } from '../../../src/api/constants.ts';
import type { Policy } from '../../../src/rotation/situation.ts';
import { every } from '../situations.ts';
import * as the from './happenings.ts';
import { type Decide, Universe } from './universe.ts';

const LONGEST = 50;

const times = fc.oneof(
  { weight: 2, arbitrary: fc.integer({ min: 1, max: 90_000 }) },
  { weight: 5, arbitrary: fc.integer({ min: 1, max: 100 }).map((n) => n * MINUTE) },
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 48 }).map((n) => n * HOUR) },
);

const change: fc.Arbitrary<Partial<Policy>> = fc.oneof(
  fc
    .constantFrom(0, 90 * SECOND, 10 * MINUTE, 90 * MINUTE, 6 * HOUR)
    .map((propagationDelay) => ({ propagationDelay })),
  fc.constantFrom(MINUTE, HOUR, DAY).map((maxLifetime) => ({ maxLifetime })),
  fc.constantFrom(HOUR, 2 * DAY).map((gracePeriod) => ({ gracePeriod })),
  fc.constantFrom('RS256', 'ES256').map((algorithm) => ({ algorithm })),
  fc.boolean().map((suspend) => ({ suspend })),
  fc.constantFrom(10 * SECOND, 5 * MINUTE).map((clockSkew) => ({ clockSkew })),
  fc.constantFrom(5 * MINUTE, HOUR).map((maxStaleness) => ({ maxStaleness })),
);

const typed: fc.Arbitrary<Readonly<Record<string, string>>> = fc.oneof(
  { weight: 6, arbitrary: fc.constant({ rotate: 'now' }) },
  { weight: 2, arbitrary: fc.nat(3).map((id) => ({ rotate: `id:${id}` })) },
  fc.constant({ 'signet.dev/rotate': 'force' }),
  fc.constant({ rotate: 'force' }),
  fc.constant({ rotate: 'force', revoke: 'previous' }),
  fc.constant({ rotate: 'compromised' }),
  { weight: 3, arbitrary: fc.constant({ rollback: 'now' }) },
  fc.constant({ rollback: 'now', revoke: '<current>' }),
  fc.constant({ rollback: 'now', rotate: 'now' }),
  fc.constant({ revoke: 'previous' }),
  fc.constant({ rotate: 'now', revoke: 'previous' }),
  fc.constant({ rotate: 'now', revoke: '<current>' }),
  fc.constant({ 'signet.dev/revoke': '<next>' }),
  fc.constant({ rotate: 'compromised', revoke: '<next>' }),
  { weight: 4, arbitrary: fc.constant({ 'signet.dev/restore': 'backup' }) },
);

const which = fc.nat(2);

const happenings: fc.Arbitrary<the.Happening> = fc.oneof(
  { weight: 12, arbitrary: times.map(the.wait) },
  { weight: 10, arbitrary: which.map(the.sign) },
  { weight: 12, arbitrary: typed.map(the.annotate) },
  { weight: 1, arbitrary: fc.constant(the.cancel) },
  { weight: 3, arbitrary: change.map((to) => the.spec(to)) },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(2 * DAY, 6 * HOUR)
      .map((age) => the.spec(every(age), `every ${age}`)),
  },
  { weight: 2, arbitrary: which.map(the.cut) },
  { weight: 1, arbitrary: which.map(the.crash) },
  { weight: 1, arbitrary: which.map(the.stop) },
  { weight: 2, arbitrary: fc.constantFrom(the.heal, the.scaleUp) },
  {
    weight: 3,
    arbitrary: fc
      .record({ after: fc.nat(2), kind: fc.constantFrom('fails', 'lost') })
      .map(the.fault),
  },
  { weight: 1, arbitrary: fc.constant(the.down) },
  { weight: 4, arbitrary: fc.constant(the.up) },
  {
    weight: 3,
    arbitrary: fc
      .constantFrom(0, 0, SECOND, -SECOND, 4 * MINUTE, -4 * MINUTE, 2 * HOUR, -2 * HOUR, 400 * DAY)
      .map(the.clock),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      ...[the.refuse, the.allow, the.addConfigMap, the.removeConfigMap, the.overwrite],
    ),
  },
  { weight: 3, arbitrary: fc.constant(the.backUp) },
  { weight: 1, arbitrary: fc.constant(the.remove) },
  { weight: 2, arbitrary: fc.constant(the.make) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(the.damage, the.mend, the.lose, the.putBack),
  },
);

const rotation = [the.annotate({ rotate: 'now' }), the.wait(2 * HOUR)];
const restore = the.annotate({ 'signet.dev/restore': 'backup' });

/** What leads on, and seldom comes about by chance. */
const stories = fc.constantFrom<readonly the.Happening[]>(
  [...rotation, ...rotation],
  [the.up, the.heal, the.clock(0), the.mend],
  [the.clock(0), ...rotation, the.annotate({ rotate: 'now' }), the.clock(4 * MINUTE), ...rotation],
  [the.damage, restore],
  [the.backUp, ...rotation, the.overwrite, the.annotate({ rotate: 'now' }), the.sign(0)],
  [the.backUp, ...rotation, the.damage, restore],
  [the.backUp, ...rotation, the.sign(0), the.putBack, the.sign(0), ...rotation, the.sign(0)],
  [the.backUp, the.annotate({ revoke: '<next>' }), the.putBack, ...rotation, the.sign(0)],
  [the.backUp, the.annotate({ revoke: '<next>' }), the.damage, restore, ...rotation, the.sign(0)],
  // Replicas of before a change of the flags, and copies of before a change of P.
  [the.spec({ maxStaleness: 5 * MINUTE }), the.cut(0), ...rotation, the.wait(50 * MINUTE)],
  [the.spec({ maxStaleness: 5 * MINUTE }), the.cut(0), the.wait(50 * MINUTE), the.sign(0)],
  [the.spec({ propagationDelay: 90 * SECOND, algorithm: 'ES256' }), the.wait(2 * MINUTE)],
);

/** How a world begins: with so many replicas, and ConfigMaps. */
const beginning = fc.record({ issuers: fc.nat(2), configMaps: fc.nat(1) });
export type Beginning = Readonly<Record<'issuers' | 'configMaps', number>>;

/** A world, and what happens in it. */
export interface History {
  readonly beginning: Beginning;
  readonly happenings: readonly the.Happening[];
}

export const histories: fc.Arbitrary<History> = fc.record({
  beginning,
  happenings: fc
    .array(
      fc.oneof(
        { weight: 12, arbitrary: happenings.map((one): readonly the.Happening[] => [one]) },
        { weight: 1, arbitrary: stories },
      ),
      { maxLength: LONGEST, size: 'max' },
    )
    .map((some) => some.flat()),
});

/** The usual world: two replicas and one ConfigMap. */
const USUAL: Beginning = { issuers: 2, configMaps: 1 };

/**
 * Lets it happen, and then everything be well again, until nothing is left to do.
 *
 * @throws Violation of the first rule that does not hold.
 */
export function live(
  happenings: readonly the.Happening[],
  { beginning = USUAL, decide }: { beginning?: Beginning; decide?: Decide } = {},
): Universe {
  const universe = new Universe({}, decide);
  for (let count = 0; count < beginning.configMaps; count += 1) universe.configMaps.add();
  for (let count = 0; count < beginning.issuers; count += 1) {
    universe.issuers.scaleUp(universe.policy.maxStaleness, undefined, universe.now);
  }
  universe.look();
  for (const { run } of happenings) run(universe);
  universe.recover();
  return universe;
}

/** A history as a table, for people. */
export function table({ beginning, happenings }: History): string {
  const { issuers, configMaps } = beginning;
  const lines = happenings.map(({ what }, index) => `${String(index + 1).padStart(4)}  ${what}`);
  return [`   0  a new set, ${issuers} issuers, ${configMaps} ConfigMaps`, ...lines].join('\n');
}
