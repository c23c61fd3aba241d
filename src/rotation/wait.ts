import { formatDuration } from '../api/duration.ts';
import type { ReasonOf } from '../api/reasons.ts';
import { gate, lackingNext, MOST_PREVIOUS_KEYS, PREVIOUS_KEYS, roomAt } from './gate.ts';
import type { PendingRequest } from './pending.ts';
import { dueAt, nextKey, type Situation } from './situation.ts';
import { at, from } from './text.ts';

/** Why a request cannot be carried out yet; the reasons are those of `RotationPending`. */
export interface Wait {
  readonly reason: ReasonOf<'RotationPending'>;
  readonly message: string;
}

/** What of a request decides what it waits for. */
type Wish = Pick<PendingRequest, 'rotate' | 'haste' | 'revoke'>;

interface Waiting extends Situation {
  readonly request: Wish;
}

type Look = (waiting: Waiting) => Wait | undefined;
type Held = Pick<Situation, 'set' | 'policy' | 'observed'>;

/** What holds everything, whatever was asked for. */
const HOLDS: readonly ((held: Held) => Wait | undefined)[] = [leaving, suspended, skewed];
/** What a rotation through the gate waits for, what somebody can do something about first. */
const GATE: readonly Look[] = [previousKeys, publication, propagation];

/** @returns undefined when the request would be carried out at once. */
export function explainWait(situation: Situation, request: Wish): Wait | undefined {
  const hold = explainHold(situation);
  if (hold !== undefined) return hold;
  const waiting = { ...situation, request };
  for (const look of looksAt(request)) {
    const wait = look(waiting);
    if (wait !== undefined) return wait;
  }
  return undefined;
}

/** @returns undefined when nothing is held. */
export function explainHold(held: Held): Wait | undefined {
  for (const look of HOLDS) {
    const wait = look(held);
    if (wait !== undefined) return wait;
  }
  return undefined;
}

const BY_ITSELF: Wish = { rotate: true, revoke: [] };
const ASKED_BY = { Age: 'spec.rotation.every', Schedule: 'spec.rotation.schedule' } as const;

/**
 * Why a set does not rotate by itself though it is due.
 *
 * @returns undefined when it is not due.
 */
export function explainDue(situation: Situation): Wait | undefined {
  const { ring, policy, now } = situation;
  const due = dueAt(ring, policy);
  if (policy.automatic === undefined || due === undefined || now < due) return undefined;
  const wait = explainWait(situation, BY_ITSELF);
  if (wait === undefined) return undefined;
  const message = `${ASKED_BY[policy.automatic.trigger]}: due since ${at(due)}, ${wait.message}`;
  return { reason: wait.reason, message };
}

function looksAt({ rotate, haste }: Wish): readonly Look[] {
  if (!rotate || haste === 'compromised') return [];
  return haste === 'force' ? [previousKeys] : GATE;
}

function leaving({ set }: Held): Wait | undefined {
  if (set.isBeingDeleted !== true) return undefined;
  return {
    reason: 'BeingDeleted',
    message:
      "held, because the set is being deleted and somebody's finalizer keeps it; its keys sign until " +
      `it is gone. Whose: kubectl get signingkeyset ${set.name} -n ${set.namespace} ` +
      "-o jsonpath='{.metadata.finalizers}'",
  };
}

function suspended({ set, policy }: Held): Wait | undefined {
  if (!policy.suspend) return undefined;
  return {
    reason: 'Suspended',
    message:
      'held by spec.rotation.suspend: set it to false to go on: kubectl patch signingkeyset ' +
      `${set.name} -n ${set.namespace} --type=merge -p '{"spec":{"rotation":{"suspend":false}}}'`,
  };
}

function skewed({ observed }: Held): Wait | undefined {
  if (observed.clockSkew === undefined) return undefined;
  return {
    reason: 'ClockSkew',
    message:
      "waits until the clocks of the controller and of the API server agree: see to the node's " +
      'time service (NTP)',
  };
}

function previousKeys({ ring, request }: Waiting): Wait | undefined {
  const room = roomAt(ring, request.revoke);
  if (room === undefined) return undefined;
  return {
    reason: PREVIOUS_KEYS,
    message:
      `${MOST_PREVIOUS_KEYS} previous keys still verify, and a fourth is not made: waits until ` +
      `${from(room)}, or type revoke=previous to give up their tokens now`,
  };
}

function publication({ ring, observed }: Waiting): Wait | undefined {
  const lacking = lackingNext(ring, observed);
  if (lacking.length === 0 && nextKey(ring).publishedAt !== undefined) return undefined;
  const missed = lacking.map(({ name, fault }) => fault ?? `${name} does not carry it yet`);
  return {
    reason: 'WaitingForPublication',
    message: `the next key is not published everywhere: ${missed.join('; ') || 'being written down'}`,
  };
}

function propagation({ ring, observed, request, ...time }: Waiting): Wait | undefined {
  const { open, at: opens } = gate(ring, observed, time, request.revoke);
  if (open || opens === undefined) return undefined;
  const { publishedAt = time.now, propagationDelay } = nextKey(ring);
  return {
    reason: 'WaitingForPropagation',
    message:
      `will be carried out at ${from(opens)}: the next key is published since ${at(publishedAt)}, and ` +
      `verifiers may hold a JWKS without it for ${formatDuration(propagationDelay)}`,
  };
}
