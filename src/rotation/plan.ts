import type { Instant, Keyring } from '../keys/keyring.ts';
import { gate, missingPublishers } from './gate.ts';
import { type PendingRequest, readPending } from './pending.ts';
import { type Intake, idsPresent, takeRequests } from './requests.ts';
import { type Retirement, retire } from './retirement.ts';
import { carryOutRequest, rotateWhenDue } from './rotate.ts';
import {
  currentKey,
  dueAt,
  type Notice,
  nextKey,
  type Observed,
  type ObservedSet,
  type Policy,
  type Situation,
  type Time,
  type Transition,
} from './situation.ts';
import { describe, NOTICE_AGE, type Report } from './status.ts';
import {
  adoptPolicy,
  create,
  dueKids,
  remember,
  replaceNext,
  restore,
  resume,
  revoke,
} from './transitions.ts';
import { explainWait } from './wait.ts';

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
  /** When time alone will change the plan, Unix milliseconds. */
  readonly recheckAt?: Instant;
}

/**
 * The rules of the protocol (design section 2), in order: the first that applies is the transition
 * of this pass. To add one is to add a row.
 */
const RULES: readonly ((situation: Situation) => Transition | undefined)[] = [
  adoptSpec,
  revokeWhatIsDue,
  replaceNextOfAnotherKind,
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
export function plan(observed: Observed, policy: Policy, time: Time): Plan {
  const { now } = time;
  const former = planFormer(observed, policy, now);
  if (former.transition !== undefined || former.discard !== undefined) return former;
  if (observed.set === undefined) return former;
  const own = planSet(observed.set, observed, policy, time);
  return { ...own, ...recheck([own.recheckAt, former.recheckAt]) };
}

/** Keyrings of sets of this name that are gone. */
function planFormer(observed: Observed, policy: Policy, now: Instant): Plan {
  const resumable = findResumable(observed);
  const steps: readonly Retirement[] = observed.former
    .filter((ring) => ring !== resumable)
    .map((ring) => retire(ring, observed.keyring, policy, now));
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
  if (ring === undefined) return planWithoutKeys(set, observed, policy, time.now);
  const situation: Situation = { set, ring, observed, policy, ...time };
  const intake = takeRequests(set, ring);
  if (intake !== undefined) {
    const notices = [...intake.notices, ...announceWait(intake, situation)];
    return { intake: { ...intake, notices } };
  }
  for (const rule of RULES) {
    const transition = rule(situation);
    if (transition !== undefined) return { transition };
  }
  return reportOn(situation);
}

function planWithoutKeys(set: ObservedSet, observed: Observed, policy: Policy, now: Instant): Plan {
  const { keyringFault, claim } = observed;
  const transition = keyringFault ? undefined : firstKeyring(set, observed, policy, now);
  if (transition !== undefined) return { transition };
  const fault = keyringFault ?? (claim.granted ? undefined : claim);
  return { report: describe({ set, observed, policy, now, ...(fault ? { fault } : {}) }) };
}

function reportOn(situation: Situation): Plan {
  const { set, ring, observed } = situation;
  const pending = readPending(set, ring);
  const request = pending.kind === 'waiting' ? pending.request : undefined;
  const fault = observed.claim.granted ? undefined : observed.claim;
  return {
    report: describe({
      ...situation,
      ...(request ? { request } : {}),
      ...(fault ? { fault } : {}),
    }),
    ...nextRecheck(situation, request),
  };
}

function firstKeyring(
  set: ObservedSet,
  observed: Observed,
  policy: Policy,
  now: Instant,
): Transition | undefined {
  if (observed.lostKeyring !== undefined) return restore(observed.lostKeyring);
  const former = findResumable(observed);
  const ids = idsPresent(set);
  if (former !== undefined) return resume(set, former, ids);
  if (!observed.claim.granted) return undefined;
  const record = remember({ number: 0, ids: [] }, 0, ids);
  return create(set, observed.claim, policy, record, now);
}

/** The keyring that a set made again goes on with: same namespace, name and issuer. */
function findResumable(observed: Observed): Keyring | undefined {
  const { set, claim } = observed;
  const free = observed.keyring ?? observed.keyringFault ?? observed.lostKeyring;
  if (set === undefined || free !== undefined || !claim.granted) return undefined;
  return observed.former.find(
    ({ owner, issuer, issuerSource }) =>
      owner.namespaceUid === set.namespaceUid &&
      issuerSource === claim.source &&
      (issuerSource === 'default' || issuer === claim.issuer),
  );
}

function adoptSpec({ ring, policy, now }: Situation): Transition | undefined {
  return adoptPolicy(ring, policy, now);
}

function revokeWhatIsDue({ ring, policy, now }: Situation): Transition | undefined {
  if (policy.suspend) return undefined;
  const kids = dueKids(ring, now);
  if (kids.length === 0) return undefined;
  return {
    kind: 'Revoke',
    keyring: revoke(ring, kids, now),
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

function replaceNextOfAnotherKind({ ring, policy, now }: Situation): Transition | undefined {
  const { algorithm, jwk } = nextKey(ring);
  const size = jwk.n === undefined ? policy.modulusLength : modulusLength(jwk.n);
  const fits = algorithm === policy.algorithm && size === policy.modulusLength;
  return fits ? undefined : replaceNext(ring, policy, now);
}

/** A next key counts as published from the moment that every publisher was seen to carry it. */
function confirmPublication({ ring, observed, now }: Situation): Transition | undefined {
  const next = nextKey(ring);
  if (next.publishedAt !== undefined) return undefined;
  if (missingPublishers(ring, observed.publishers).length > 0) return undefined;
  const published = { ...next, publishedAt: now };
  return {
    kind: 'Publish',
    keyring: { ...ring, keys: ring.keys.map((key) => (key === next ? published : key)) },
    confirm: false,
    notices: [],
  };
}

/** Says at once what a request that was just taken waits for. */
function announceWait({ taken }: Intake, situation: Situation): Notice[] {
  const wait = taken?.rotate === true ? explainWait(situation) : undefined;
  if (wait === undefined) return [];
  return [{ type: 'Normal', reason: 'RotationDeferred', message: wait.message }];
}

function nextRecheck({ ring, observed, policy, now }: Situation, request?: PendingRequest) {
  const signsSince = currentKey(ring).promotedAt ?? now;
  const due = dueAt(ring, policy);
  const waits = request?.rotate === true || (due !== undefined && due <= now);
  const times = [
    ...(policy.suspend ? [] : ring.keys.map(({ revokeAt }) => revokeAt)),
    due,
    waits ? gate(ring, observed, now).at : undefined,
    signsSince + NOTICE_AGE,
  ];
  return recheck(times.filter((time) => isAfter(time, now)));
}

function isAfter(time: Instant | undefined, now: Instant): boolean {
  return time !== undefined && time > now;
}

function recheck(times: readonly (Instant | undefined)[]): { recheckAt?: Instant } {
  const known = times.filter((time) => time !== undefined);
  return known.length === 0 ? {} : { recheckAt: Math.min(...known) };
}

/** In bits, of an RSA modulus in base64url (RFC 7518 section 6.3.1.1). */
function modulusLength(n: string): number {
  return Math.floor((n.length * 6) / 8) * 8;
}
