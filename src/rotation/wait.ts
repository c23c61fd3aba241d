import { formatDuration } from '../api/duration.ts';
import type { ReasonOf } from '../api/reasons.ts';
import { gate, lackingNext, MOST_PREVIOUS_KEYS, PREVIOUS_KEYS, roomAt } from './gate.ts';
import type { PendingRequest } from './pending.ts';
import { nextKey, type Situation } from './situation.ts';
import { at, from } from './text.ts';

/** Why a request cannot be carried out yet; the reasons are those of `RotationPending`. */
export interface Wait {
  readonly reason: ReasonOf<'RotationPending'>;
  readonly message: string;
}

interface Waiting extends Situation {
  readonly request: PendingRequest;
}

type Look = (waiting: Waiting) => Wait | undefined;

/** What holds everything, whatever was asked for. */
const HOLDS: readonly Look[] = [suspended, skewed];
/** What a rotation through the gate waits for, what somebody can do something about first. */
const GATE: readonly Look[] = [previousKeys, publication, propagation];

/** @returns undefined when the request would be carried out at once. */
export function explainWait(situation: Situation, request: PendingRequest): Wait | undefined {
  const waiting = { ...situation, request };
  for (const look of [...HOLDS, ...looksAt(request)]) {
    const wait = look(waiting);
    if (wait !== undefined) return wait;
  }
  return undefined;
}

function looksAt({ rotate, haste }: PendingRequest): readonly Look[] {
  if (!rotate || haste === 'compromised') return [];
  return haste === 'force' ? [previousKeys] : GATE;
}

function suspended({ policy }: Waiting): Wait | undefined {
  if (!policy.suspend) return undefined;
  return {
    reason: 'Suspended',
    message: 'held by spec.rotation.suspend: set it to false to go on',
  };
}

function skewed({ observed }: Waiting): Wait | undefined {
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
