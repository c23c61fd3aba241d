import { formatDuration } from '../api/duration.ts';
import type { ReasonOf } from '../api/reasons.ts';
import type { Instant, Keyring } from '../keys/keyring.ts';
import { gate, MOST_PREVIOUS_KEYS, missingPublishers, PREVIOUS_KEYS, roomAt } from './gate.ts';
import { nextKey, type Observed, type Policy } from './situation.ts';
import { at, from } from './transitions.ts';

/** Why a rotation cannot be carried out yet; the reasons are those of `RotationPending`. */
export interface Wait {
  readonly reason: ReasonOf<'RotationPending'>;
  readonly message: string;
}

interface Waiting {
  readonly ring: Keyring;
  readonly observed: Pick<Observed, 'publishers'>;
  readonly policy: Policy;
  readonly now: Instant;
}

/** The reasons to wait, the one that somebody can do something about first. */
const REASONS: readonly ((waiting: Waiting) => Wait | undefined)[] = [
  suspended,
  previousKeys,
  publication,
  propagation,
];

/** @returns undefined when a rotation would be carried out at once. */
export function explainWait(waiting: Waiting): Wait | undefined {
  for (const reason of REASONS) {
    const wait = reason(waiting);
    if (wait !== undefined) return wait;
  }
  return undefined;
}

function suspended({ policy }: Waiting): Wait | undefined {
  if (!policy.suspend) return undefined;
  return {
    reason: 'Suspended',
    message: 'Held by spec.rotation.suspend: set it to false to go on',
  };
}

function previousKeys({ ring }: Waiting): Wait | undefined {
  const room = roomAt(ring);
  if (room === undefined) return undefined;
  return {
    reason: PREVIOUS_KEYS,
    message:
      `${MOST_PREVIOUS_KEYS} previous keys still verify, and a fourth is not made: waits until ` +
      `${from(room)}, or type revoke=previous to give up their tokens now`,
  };
}

function publication({ ring, observed }: Waiting): Wait | undefined {
  const missing = missingPublishers(ring, observed.publishers);
  if (missing.length === 0 && nextKey(ring).publishedAt !== undefined) return undefined;
  const missed = missing.map(
    ({ name, fault }) => fault?.message ?? `${name} does not carry it yet`,
  );
  return {
    reason: 'WaitingForPublication',
    message: `The next key is not published everywhere: ${missed.join('; ') || 'not in the JWKS yet'}`,
  };
}

function propagation({ ring, observed, now }: Waiting): Wait | undefined {
  const { open, at: opens } = gate(ring, observed, now);
  if (open || opens === undefined) return undefined;
  const { publishedAt = now, propagationDelay } = nextKey(ring);
  return {
    reason: 'WaitingForPropagation',
    message:
      `Will be carried out at ${from(opens)}: the next key is published since ${at(publishedAt)}, and ` +
      `verifiers may hold a JWKS without it for ${formatDuration(propagationDelay)}`,
  };
}
