import type { Instant, Keyring } from '../keys/keyring.ts';
import { restoreFromBackup } from './backup.ts';
import { create, restore, resume } from './beginnings.ts';
import { confirmPublication, unpublishLost } from './confirm.ts';
import { forcedUntil } from './force.ts';
import { gate } from './gate.ts';
import { withStalestReplica } from './lifetimes.ts';
import { tellOverdue, tellsOverdueAt } from './overdue.ts';
import { type PendingRequest, pendingWithoutKeys, readPending } from './pending.ts';
import { dropRevived, writeBack } from './put-back.ts';
import { type Intake, takeRequests, takeRestore } from './requests.ts';
import { isSuperseded, type Retirement, retire } from './retirement.ts';
import { carryOutRequest, rotateWhenDue } from './rotate.ts';
import {
  dueAt,
  isHeld,
  mayChange,
  type Notice,
  nextKey,
  type Observed,
  type ObservedSet,
  type Policy,
  previousKeys,
  type Situation,
  type Time,
  type Transition,
} from './situation.ts';
import { describe, type Report } from './status.ts';
import { adoptPolicy, dueKids, remember, replaceNext, revoke } from './transitions.ts';
import { idsPresent } from './verbs.ts';
import { explainDue, explainWait } from './wait.ts';

/** What to do now: at most one write of each object; each pass plans anew. */
export interface Plan {
  /** Requests to consume: one write of the set's annotations. */
  readonly intake?: Intake;
  /** One change of a keyring: one guarded write of its Secret (I10). */
  readonly transition?: Transition;
  /** A keyring that nobody needs any more. */
  readonly discard?: { readonly keyring: Keyring; readonly why: string };
  /** What to say; absent while something is to be done first, and when the set is gone. */
  readonly report?: Report;
  /** What to tell once the report is written; the report keeps it from being told again. */
  readonly notices?: readonly Notice[];
  /** When time alone will change the plan, Unix milliseconds. */
  readonly recheckAt?: Instant;
}

/**
 * The rules of the protocol (design section 2), in order: the first that applies is the transition
 * of this pass. To add one is to add a row.
 */
const RULES: readonly ((situation: Situation) => Transition | undefined)[] = [
  adoptPolicy,
  revokeWhatIsDue,
  replaceNext,
  carryOutRequest,
  rotateWhenDue,
  confirmPublication,
];

/**
 * Decides. Pure: the cluster, the time and the flags are arguments, keys to be made are left as
 * shapes. Asked twice, it answers the same.
 *
 * @param time Unix milliseconds.
 */
export function plan(observed: Observed, asked: Policy, time: Time): Plan {
  const policy = withStalestReplica(asked, observed.replicas);
  const former = planFormer(observed, policy, time);
  if (former.transition !== undefined || former.discard !== undefined) return former;
  if (observed.set === undefined) return former;
  const own = planSet(observed.set, observed, policy, time);
  return { ...own, ...recheck([own.recheckAt, former.recheckAt]) };
}

/** Keyrings of sets of this name that are gone. None is retired or discarded by a wrong clock. */
function planFormer(observed: Observed, policy: Policy, time: Time): Plan {
  if (observed.clockSkew !== undefined) return {};
  const resumable = findResumable(observed);
  const steps: readonly Retirement[] = observed.former
    .filter((ring) => ring !== resumable)
    .map((ring) => retire(ring, keyringsOf(observed), policy, time));
  const waits: Instant[] = [];
  for (const step of steps) {
    if (step.do === 'write') return { transition: step.transition };
    if (step.do === 'discard') return { discard: { keyring: step.keyring, why: step.why } };
    waits.push(step.until);
  }
  return recheck(waits);
}

function planSet(set: ObservedSet, observed: Observed, policy: Policy, time: Time): Plan {
  const { keyring: ring } = observed;
  if (ring === undefined) return planWithoutKeys({ set, observed, policy, ...time });
  const { newer } = observed;
  if (newer !== undefined) return { transition: writeBack(set, ring, newer, policy, time) };
  const situation: Situation = { set, ring, observed, policy, ...time };
  const mended = dropRevived(situation) ?? unpublishLost(situation);
  if (mended !== undefined) return { transition: mended };
  const intake = takeRequests(situation);
  if (intake !== undefined) {
    const notices = [...intake.notices, ...announceWait(intake, situation)];
    return { intake: { ...intake, notices } };
  }
  for (const rule of mayChange(situation) ? RULES : []) {
    const transition = rule(situation);
    if (transition !== undefined) return { transition };
  }
  const overdue = tellOverdue(situation);
  return overdue === undefined ? reportOn(situation) : { intake: overdue };
}

function planWithoutKeys(situation: Omit<Situation, 'ring'>): Plan {
  const { set, observed } = situation;
  const { keyringFault, claim } = observed;
  const isFree = keyringFault === undefined && set.isBeingDeleted !== true;
  const kept = isFree ? keptKeyring(situation) : undefined;
  if (kept !== undefined) return { transition: kept };
  const intake = takeRestore(situation);
  if (intake !== undefined) return { intake };
  const request = pendingWithoutKeys(set);
  if (request?.restore !== undefined) {
    const transition = isHeld(situation) ? undefined : restoreFromBackup(situation, request);
    if (transition !== undefined) return { transition };
  } else if (keyringFault === undefined && claim.granted && mayChange(situation)) {
    const record = remember({ number: 0, ids: [] }, 0, idsPresent(set));
    const { policy, ...time } = situation;
    return { transition: create(set, claim, policy, record, observed.revoked ?? [], time) };
  }
  const fault = claim.granted ? undefined : claim;
  return {
    report: describe({
      ...situation,
      ...(request ? { request } : {}),
      ...(fault ? { fault } : {}),
    }),
  };
}

function reportOn(situation: Situation): Plan {
  const { set, ring, observed } = situation;
  const pending = readPending(set, ring);
  const request = pending.kind === 'waiting' ? pending.request : undefined;
  const fault = observed.claim.granted ? undefined : observed.claim;
  const due = request === undefined ? explainDue(situation) : undefined;
  return {
    report: describe({
      ...situation,
      ...(request ? { request } : {}),
      ...(fault ? { fault } : {}),
    }),
    ...(due === undefined || set.reportedPending === true
      ? {}
      : { notices: [deferred(due.message)] }),
    ...nextRecheck(situation, request),
  };
}

/** Keys that are still known, before any are made or taken from a backup. */
function keptKeyring({ set, observed }: Omit<Situation, 'ring'>): Transition | undefined {
  if (observed.lostKeyring !== undefined) return restore(observed.lostKeyring);
  const former = findResumable(observed);
  return former === undefined ? undefined : resume(set, former, idsPresent(set));
}

function keyringsOf({ keyring, former }: Observed): Keyring[] {
  return keyring === undefined ? [...former] : [keyring, ...former];
}

/** The keyring that a set made again goes on with: same namespace, name and issuer. */
function findResumable(observed: Observed): Keyring | undefined {
  const { set, claim } = observed;
  const free = observed.keyring ?? observed.keyringFault ?? observed.lostKeyring;
  if (set === undefined || free !== undefined || !claim.granted) return undefined;
  const candidates = observed.former.filter((ring) => !isSuperseded(ring, observed.former));
  return candidates.find(
    ({ owner, issuer, issuerSource }) =>
      owner.namespaceUid === set.namespaceUid &&
      issuerSource === claim.source &&
      (issuerSource === 'default' || issuer === claim.issuer),
  );
}

function revokeWhatIsDue(situation: Situation): Transition | undefined {
  const { ring, policy, now, stamp } = situation;
  const kids = policy.suspend ? [] : dueKids(ring, situation);
  if (kids.length === 0) return undefined;
  return {
    kind: 'Revoke',
    keyring: revoke(ring, kids, { now, stamp }),
    confirm: true,
    notices: [
      {
        type: 'Normal',
        reason: 'KeyRevoked',
        message: `${kids.join(', ')} left the JWKS: the grace period is over`,
      },
    ],
  };
}

/** Says at once what a request that was just taken waits for; what follows a leak cannot wait. */
function announceWait({ taken }: Intake, situation: Situation): Notice[] {
  const wait = taken === undefined ? undefined : explainWait(situation, taken);
  if (taken === undefined || wait === undefined) return [];
  const isUrgent = taken.haste === 'compromised' || taken.revoke.length > 0;
  const type = isUrgent && isHeld(situation) ? 'Warning' : 'Normal';
  return [deferred(`${taken.asked.join(' ')}: ${wait.message}`, type)];
}

function deferred(message: string, type: Notice['type'] = 'Normal'): Notice {
  return { type, reason: 'RotationDeferred', message };
}

function nextRecheck(situation: Situation, request?: PendingRequest) {
  const { ring, observed, policy, now } = situation;
  const due = dueAt(ring, policy);
  const waits = request?.rotate === true || (due !== undefined && due <= now);
  const times = [
    ...(policy.suspend ? [] : previousKeys(ring).map(({ revokeAt }) => revokeAt)),
    due,
    // A restored next key gives way to another kind once no token of it can be left.
    nextKey(ring).tokensUntil,
    waits ? gate(ring, observed, situation, request?.revoke).at : undefined,
    forcedUntil(ring, now),
    tellsOverdueAt(ring, now),
  ];
  return recheck(times.filter((time) => isAfter(time, now)));
}

function isAfter(time: Instant | undefined, now: Instant): boolean {
  return time !== undefined && time > now;
}

function recheck(times: readonly (Instant | undefined)[]): { recheckAt?: Instant } {
  const known = times.filter((time) => time !== undefined).filter(Number.isFinite);
  return known.length === 0 ? {} : { recheckAt: Math.min(...known) };
}
