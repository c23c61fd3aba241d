import { generateKeyPairSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { DAY } from '../api/constants.ts';
import type { Authority } from '../keys/authority.ts';
import { PrivateKey } from '../keys/private-key.ts';
import {
  AUTHORITY_LIFETIME,
  type Authorities,
  applyStep,
  bundleOf,
  planAuthorities,
} from './authority-plan.ts';

const START = Date.UTC(2026, 0, 1);
const privateKey = new PrivateKey(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);
let made = 0;

/** Named by number: what the plan does not look at is not made here. */
function authority(now: number): Authority {
  made += 1;
  return {
    certificate: `[${made}]`,
    privateKey,
    notBefore: now,
    notAfter: now + AUTHORITY_LIFETIME,
  };
}

/** What a leader that looks every `interval` holds from `from` to `until`, oldest first. */
async function live(interval: number, from: number, until: number, begin?: Authorities) {
  const history: { readonly at: number; readonly held: Authorities }[] = [];
  let held = begin;
  for (let at = from; at < until; at += interval) {
    let { step } = planAuthorities(held, at);
    while (step !== undefined) {
      held = await applyStep(step, held, async () => authority(at));
      ({ step } = planAuthorities(held, at));
    }
    if (held !== undefined) history.push({ at, held });
  }
  return history;
}

test('who signs was trusted for a month before, over ten years', async () => {
  const history = await live(DAY, START, START + 3_650 * DAY);
  const signers = new Set(history.map(({ held }) => held.current.certificate));
  expect(signers.size).toBe(10);
  for (const [index, { held }] of history.entries()) {
    const before = history[index - 30]?.held ?? history[0]?.held;
    expect(before && bundleOf(before)).toContain(held.current.certificate);
  }
});

test('what was signed a week ago is still trusted, and no key of an authority stays after it', async () => {
  const history = await live(DAY, START, START + 3_650 * DAY);
  for (const [index, { at, held }] of history.entries()) {
    const before = history[index - 7]?.held ?? history[0]?.held;
    expect(bundleOf(held)).toContain(before?.current.certificate);
    expect(held.current.notAfter).toBeGreaterThan(at + 7 * DAY);
    expect(held.previous ?? {}).not.toHaveProperty('privateKey');
  }
});

test('the bundle begins with who signs, and has three at most', async () => {
  for (const { held } of await live(DAY, START, START + 3_650 * DAY)) {
    expect(bundleOf(held).startsWith(held.current.certificate)).toBe(true);
    expect(bundleOf(held).match(/\[/g)?.length).toBeLessThanOrEqual(3);
  }
});

test('nothing is due before the time that the plan names', async () => {
  const [first] = await live(DAY, START, START + DAY);
  const { step, recheckAt } = planAuthorities(first?.held, START);
  expect(step).toBeUndefined();
  expect(planAuthorities(first?.held, recheckAt - 1).step).toBeUndefined();
  expect(planAuthorities(first?.held, recheckAt).step).toBe('AddNext');
});

test('after a long sleep the next one is announced for as long as the old one allows', async () => {
  const [first] = await live(DAY, START, START + DAY);
  const wake = START + AUTHORITY_LIFETIME - 10 * DAY;
  const history = await live(DAY, wake, wake + 12 * DAY, first?.held);
  const signers = history.map(({ held }) => held.current);
  const change = signers.findIndex(({ notBefore }) => notBefore === wake);
  expect(change).toBe(9);
});

test('a set of authorities that has ended is replaced at once', async () => {
  const [first] = await live(DAY, START, START + DAY);
  const late = START + AUTHORITY_LIFETIME + DAY;
  const [now] = await live(DAY, late, late + 1, first?.held);
  expect(now?.held.current.notBefore).toBe(late);
  expect(now?.held.previous).toBeUndefined();
});
