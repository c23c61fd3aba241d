import { describe, expect, test } from 'vitest';
import { HOUR, MINUTE, SECOND } from '../api/constants.ts';
import { policyOf } from './policy.ts';

const FLAGS = { clockSkew: 5 * MINUTE, maxStaleness: HOUR };

function dueAfter(schedule: { cron: string; timeZone?: string }, since: string) {
  const { automatic } = policyOf({ rotation: { schedule } }, FLAGS);
  const due = automatic?.dueAfter(Date.parse(since));
  return due === undefined ? undefined : new Date(due).toISOString();
}

describe('the policy of a spec', () => {
  test('has the defaults of the CRD where the spec says nothing', () => {
    expect(policyOf(undefined, FLAGS)).toEqual({
      algorithm: 'RS256',
      modulusLength: 2048,
      propagationDelay: 90 * MINUTE,
      maxLifetime: 24 * HOUR,
      audiences: [],
      suspend: false,
      certificate: { lifetime: 87_600 * HOUR },
      ...FLAGS,
    });
  });

  test('reads durations of mixed units', () => {
    const spec = {
      rotation: { propagationDelay: '1h30m0.5s' },
      revocation: { gracePeriod: '26h' },
    };
    expect(policyOf(spec, FLAGS)).toMatchObject({
      propagationDelay: 90 * MINUTE + SECOND / 2,
      gracePeriod: 26 * HOUR,
    });
  });

  test.each([
    ['Saturdays at three in Berlin', '0 3 * * 6', 'Europe/Berlin', '2026-01-03T02:00:00.000Z'],
    ['the same in summer', '0 3 * * 6', 'Europe/Berlin', '2026-07-04T01:00:00.000Z'],
    ['midnight, UTC by default', '0 0 * * *', undefined, '2026-01-02T00:00:00.000Z'],
  ])('finds the next time of a schedule: %s', (_what, cron, timeZone, expected) => {
    const schedule = { cron, ...(timeZone === undefined ? {} : { timeZone }) };
    const since = `${expected.slice(0, 7)}-01T00:00:00Z`;
    expect(dueAfter(schedule, since)).toBe(expected);
  });

  test.each([
    [{ cron: '61 3 * * *' }, '61 3 * * *'],
    [{ cron: '0 3 * * *', timeZone: 'Europe/Atlantis' }, 'Europe/Atlantis'],
  ])(
    'rotates by hand only, and says why, when a schedule names no times: %o',
    (schedule, named) => {
      const { automatic, scheduleFault } = policyOf({ rotation: { schedule } }, FLAGS);
      expect(automatic).toBeUndefined();
      expect(scheduleFault).toContain(named);
      expect(scheduleFault).toContain('such as "0 3 * * 6"');
    },
  );
});
