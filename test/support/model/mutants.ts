import { PENDING_ANNOTATION } from '../../../src/api/constants.ts';
import { type Plan, plan } from '../../../src/rotation/plan.ts';
import type { KeyringDraft, Notice, Transition } from '../../../src/rotation/situation.ts';
import { isMade } from '../../../src/rotation/transitions.ts';
import type { Decide } from './universe.ts';

/** A plan that breaks a rule on purpose: a test of the test. */
export interface Mutant {
  /** What it does wrong. */
  readonly what: string;
  /** The rules that may be seen to be broken by it, the one that it is about first. */
  readonly rules: readonly string[];
  readonly decide: Decide;
}

type Key = KeyringDraft['keys'][number];

/** Plans from something else than what was observed. */
function seeing(
  what: string,
  rules: string,
  look: (...seen: Parameters<Decide>) => Parameters<Decide>,
): Mutant {
  return { what, rules: rules.split(' '), decide: (...seen) => plan(...look(...seen)) };
}

/** Changes the transitions of some kinds. */
function writing(
  what: string,
  rules: string,
  kinds: readonly Transition['kind'][],
  change: (transition: Transition, ...seen: Parameters<Decide>) => Transition | undefined,
): Mutant {
  const decide: Decide = (...seen) => {
    const made = plan(...seen);
    const { transition, ...rest } = made;
    if (transition === undefined || !kinds.includes(transition.kind)) return made;
    const changed = change(transition, ...seen);
    return changed === undefined ? rest : { ...rest, transition: changed };
  };
  return { what, rules: rules.split(' '), decide };
}

function withKeys(transition: Transition, change: (key: Key) => Key): Transition {
  const { keyring } = transition;
  return { ...transition, keyring: { ...keyring, keys: keyring.keys.map(change) } };
}

/** Changes keys in one state that are there already. */
function inState(state: Key['state'], change: (key: Key) => Key): (key: Key) => Key {
  return (key) => (key.state === state && isMade(key) ? change(key) : key);
}

function without(transition: Transition, reasons: readonly Notice['reason'][]): Transition {
  const notices = transition.notices.filter(({ reason }) => !reasons.includes(reason));
  return { ...transition, notices };
}

/** Plans with keys that look otherwise, which are as they were in what is written. */
function pretending(what: string, rules: string, pretend: (key: Key) => Key): Mutant {
  const decide: Decide = (observed, policy, time) => {
    const { keyring } = observed;
    if (keyring === undefined) return plan(observed, policy, time);
    const keys = keyring.keys.map((key) => Object.assign({}, key, pretend(key)));
    const made = plan({ ...observed, keyring: { ...keyring, keys } }, policy, time);
    return made.transition === undefined
      ? made
      : { ...made, transition: withKeys(made.transition, restored(keyring.keys)) };
  };
  return { what, rules: rules.split(' '), decide };
}

function restored(originals: readonly Key[]): (key: Key) => Key {
  const kidOf = (key: Key) => ('kid' in key ? key.kid : undefined);
  return (key) => {
    const was = originals.find((one) => kidOf(one) !== undefined && kidOf(one) === kidOf(key));
    if (was === undefined) return key;
    const { inFirstJwks, publishedAt } = was;
    return { ...key, inFirstJwks, ...(publishedAt === undefined ? {} : { publishedAt }) };
  };
}

/** Changes anything of a plan. */
function saying(
  what: string,
  rules: string,
  change: (made: Plan, ...seen: Parameters<Decide>) => Plan,
): Mutant {
  return { what, rules: rules.split(' '), decide: (...seen) => change(plan(...seen), ...seen) };
}

export const MUTANTS: readonly Mutant[] = [
  saying('a request that is taken does not wait', 'I9', ({ intake, ...made }) =>
    intake === undefined
      ? made
      : {
          ...made,
          intake: { ...intake, annotations: { ...intake.annotations, [PENDING_ANNOTATION]: null } },
        },
  ),
  saying('a refusal is not told', 'I9', ({ intake, ...made }) =>
    intake === undefined ? made : { ...made, intake: { ...intake, notices: [] } },
  ),
  saying('a request gives way without a word', 'I9', ({ intake, ...made }) => {
    if (intake === undefined) return made;
    const notices = intake.notices.filter(({ reason }) => reason !== 'RotationCancelled');
    return { ...made, intake: { ...intake, notices } };
  }),
  saying('status names a key that is not there', 'I11', ({ report, ...made }) =>
    report?.keys === undefined
      ? { ...made, ...(report === undefined ? {} : { report }) }
      : { ...made, report: { ...report, keys: report.keys.map((key) => ({ ...key, kid: 'x' })) } },
  ),
  saying('nobody says why a set that is due does not rotate', 'due', ({ report, ...made }) => {
    if (report === undefined) return made;
    const conditions = report.conditions.map((condition) =>
      condition.type === 'RotationPending' && condition.message.includes('due since')
        ? { ...condition, status: 'False' as const }
        : condition,
    );
    return { ...made, report: { ...report, conditions } };
  }),
  saying('the same is written for ever', 'I20', (made, { keyring, set }) =>
    made.report === undefined || keyring === undefined || set === undefined
      ? made
      : { transition: { kind: 'Publish', keyring, confirm: false, notices: [] } },
  ),
  writing('a previous key signs again by itself', 'I7', ['Promote'], (transition) => {
    const { keys } = transition.keyring;
    const newest = keys.find(({ state }) => state === 'previous');
    const swapped = { current: 'previous', previous: 'current', next: 'next' } as const;
    return withKeys(transition, (key) =>
      isMade(key) && newest !== undefined && (key === newest || key.state === 'current')
        ? { ...key, state: swapped[key.state] }
        : key,
    );
  }),
  writing('the key that signed goes on signing', 'I2', ['Promote'], (transition) =>
    withKeys(
      transition,
      inState('previous', (key) => ({ ...key, state: 'current' })),
    ),
  ),
  writing('a revoked kid comes back', 'I8', ['Promote'], (transition) => {
    const { keys, revoked } = transition.keyring;
    const [gone] = revoked;
    const like = keys.filter(isMade).find(({ state }) => state === 'previous');
    if (gone === undefined || like === undefined || keys.length > 4) return transition;
    const { privateKey: _, ...old } = { ...like, kid: gone.kid, tokensUntil: Infinity };
    return { ...transition, keyring: { ...transition.keyring, keys: [...keys, old] } };
  }),
  pretending('the gate is ignored', 'I3 I1', (key) => ({ ...key, inFirstJwks: true })),
  pretending('P is not waited for to the end', 'I3 I1', ({ publishedAt, ...key }) =>
    publishedAt === undefined
      ? key
      : { ...key, publishedAt: publishedAt - key.propagationDelay / 2 },
  ),
  seeing('replicas are not asked', 'evidence I1', (observed, ...rest) => [
    { ...observed, replicas: [] },
    ...rest,
  ]),
  seeing('ConfigMaps are not asked', 'evidence I1', (observed, ...rest) => [
    { ...observed, publishers: [] },
    ...rest,
  ]),
  seeing(
    'a clock that is wrong does not matter',
    'I16',
    ({ clockSkew: _, ...observed }, ...rest) => [observed, ...rest],
  ),
  seeing(
    'both readings of the clock are the wall clock',
    'I16 I3 I5 I15',
    (observed, policy, time) => [observed, policy, { now: time.stamp, stamp: time.stamp }],
  ),
  seeing('the readings of the clock are exchanged', 'I16 I3 I5 I15', (observed, policy, time) => [
    observed,
    policy,
    { now: time.stamp, stamp: time.now },
  ]),
  seeing('what a ConfigMap lost counts as never gone', 'I1', ({ publishers, ...seen }, ...rest) => [
    { ...seen, publishers: publishers.map(({ lacksNext: _, ...publisher }) => publisher) },
    ...rest,
  ]),
  seeing('a ConfigMap that could not be deleted is forgotten', 'I6', (observed, ...rest) => [
    { ...observed, publishers: observed.publishers.filter(({ isLeaving }) => isLeaving !== true) },
    ...rest,
  ]),
  seeing('an older Secret is used', 'I8 I9 I22 I5 I6', ({ newer: _, ...observed }, ...rest) => [
    observed,
    ...rest,
  ]),
  seeing('a backup brings back what was revoked', 'I8', ({ revoked: _, ...observed }, ...rest) => [
    observed,
    ...rest,
  ]),
  seeing('suspend holds nothing', 'suspend', (observed, policy, time) => [
    observed,
    { ...policy, suspend: false },
    time,
  ]),
  seeing('a replica with a longer R is forgotten', 'I15 I1', (observed, ...rest) => [
    {
      ...observed,
      replicas: observed.replicas.map(({ maxStaleness: _, ...replica }) => replica),
    },
    ...rest,
  ]),
  writing('older caches are forgotten', 'I1', ['Adopt'], (transition) => {
    const { olderCaches: _, ...keyring } = transition.keyring;
    return { ...transition, keyring };
  }),
  writing('a shorter P holds at once', 'I22', ['Adopt'], (transition, _, policy) =>
    withKeys(transition, (key) =>
      key.state === 'next' ? { ...key, propagationDelay: policy.propagationDelay } : key,
    ),
  ),
  writing(
    'a longer P does not hold for the key that waits',
    'I22 I20',
    ['Adopt'],
    (made, observed) => {
      const old = observed.keyring?.keys.find(({ state }) => state === 'next');
      return withKeys(made, (key) =>
        key.state === 'next' && old !== undefined
          ? { ...key, propagationDelay: old.propagationDelay }
          : key,
      );
    },
  ),
  writing('tokens of the longer L are forgotten', 'I22 I15', ['Adopt'], (transition) =>
    withKeys(
      transition,
      inState('current', (key) => ({ ...key, tokensUntil: 0 })),
    ),
  ),
  writing('grace counts from the promotion', 'I15 I22', ['Promote'], (transition, _, policy) =>
    withKeys(
      transition,
      inState('previous', (key) => {
        if (!('promotedAt' in key) || key.promotedAt === undefined) return key;
        const { maxStaleness, maxLifetime, clockSkew } = policy;
        const end = key.promotedAt + maxStaleness + maxLifetime + clockSkew;
        return { ...key, tokensUntil: end, revokeAt: end };
      }),
    ),
  ),
  writing('R is left out of the grace', 'I15 I22', ['Promote'], (transition, _, { maxStaleness }) =>
    withKeys(
      transition,
      inState('previous', (key) =>
        'tokensUntil' in key && key.tokensUntil !== undefined
          ? { ...key, tokensUntil: key.tokensUntil - maxStaleness }
          : key,
      ),
    ),
  ),
  seeing('a fourth key evicts the oldest', 'I18 I5', ({ keyring, ...observed }, ...rest) => {
    if (keyring === undefined) return [observed, ...rest];
    const oldest = keyring.keys.filter(({ state }) => state === 'previous')[2];
    const keys = keyring.keys.filter((key) => key !== oldest);
    return [{ ...observed, keyring: { ...keyring, keys } }, ...rest];
  }),
  writing('older keys keep their private half', 'I6', ['Promote'], (transition, observed) => {
    const old = observed.keyring?.keys ?? [];
    return withKeys(
      transition,
      inState('previous', (key) => {
        const kid = 'kid' in key ? key.kid : '';
        const half = old.find((one) => one.kid === kid)?.privateKey;
        return half === undefined ? key : { ...key, privateKey: half };
      }),
    );
  }),
  writing('the next key comes in a second write', 'I21 I10', ['Promote'], (transition) => {
    const keys = transition.keyring.keys.filter(isMade);
    return { ...transition, keyring: { ...transition.keyring, keys } };
  }),
  writing(
    'what is to be revoked goes in a second write',
    'I10 I15 I5 I8',
    ['Promote'],
    (made, observed) => {
      const kids = new Set(made.keyring.revoked.map(({ kid }) => kid));
      const gone = (observed.keyring?.keys ?? []).filter(({ kid }) => kids.has(kid));
      const stay = gone.slice(0, 1).map((key) => ({ ...key, state: 'previous' as const }));
      return { ...made, keyring: { ...made.keyring, keys: [...made.keyring.keys, ...stay] } };
    },
  ),
  writing(
    'the number of a request is not recorded',
    'I9',
    ['Promote', 'RollBack'],
    (made, seen) => ({
      ...made,
      keyring: { ...made.keyring, requests: seen.keyring?.requests ?? made.keyring.requests },
    }),
  ),
  writing('force comes without its Event', 'I17', ['Promote'], (transition) =>
    without(transition, ['RotationForced', 'KeysCompromised']),
  ),
  writing('force is not told apart afterwards', 'I17', ['Promote'], (transition) => {
    const { lastRotation } = transition.keyring;
    if (lastRotation === undefined) return transition;
    const keyring = {
      ...transition.keyring,
      lastRotation: { ...lastRotation, trigger: 'Request' as const },
    };
    return { ...transition, keyring };
  }),
  writing('a key that signs again forgets its tokens', 'I22', ['RollBack'], (transition) =>
    withKeys(
      transition,
      inState('current', (key) => ({ ...key, tokensUntil: 0 })),
    ),
  ),
  writing('a rollback makes the key that signed go', 'I5', ['RollBack'], (transition) => ({
    ...transition,
    keyring: {
      ...transition.keyring,
      keys: transition.keyring.keys.filter(({ state }) => state !== 'previous'),
    },
  })),
  writing(
    'a key from a backup counts as published',
    'I3 I1',
    ['RestoreFromBackup'],
    (made, seen) => {
      const old = seen.backup?.keyring?.keys ?? [];
      return withKeys(made, (key) => {
        const was = old.find((one) => 'kid' in key && one.kid === key.kid);
        return was !== undefined && key.state === 'next' ? was : key;
      });
    },
  ),
  writing(
    'a revoked key counts as gone at once',
    'I6',
    ['Revoke', 'Promote'],
    (made, _, __, time) => ({
      ...made,
      keyring: {
        ...made.keyring,
        revoked: made.keyring.revoked.map((key) => ({ ...key, revokedEverywhereAt: time.stamp })),
      },
    }),
  ),
];
