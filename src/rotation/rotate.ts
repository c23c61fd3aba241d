import { formatDuration } from '../api/duration.ts';
import type { Keyring, RotationTrigger } from '../keys/keyring.ts';
import { gate } from './gate.ts';
import { readPending } from './pending.ts';
import {
  currentKey,
  dueAt,
  type Notice,
  nextKey,
  type Situation,
  type Transition,
} from './situation.ts';
import { at, discardNext, isMade, promote, remember, revoke, short } from './transitions.ts';

/** Carries out the pending request, as far as it can be now (design section 1, requests). */
export function carryOutRequest(situation: Situation): Transition | undefined {
  const { set, ring, observed, policy, now } = situation;
  const pending = readPending(set, ring);
  if (pending.kind !== 'waiting' || policy.suspend) return undefined;
  const { number, ids, asked, rotate, revoke: kids } = pending.request;
  const request = asked.join(' ');
  const requests = remember(ring.requests, number, ids);
  const discards = kids.includes(nextKey(ring).kid);
  if (rotate && !discards && gate(ring, observed, now).open) {
    return rotated(situation, { trigger: 'Request', request, requests, kids });
  }
  const revocable = kids.filter((kid) => kid !== currentKey(ring).kid && isIn(ring, kid));
  if (rotate && revocable.length === 0) return undefined;
  const draft = discards ? discardNext(ring, policy, now) : ring;
  return {
    kind: 'Revoke',
    keyring: { ...revoke(draft, revocable, now), requests: rotate ? ring.requests : requests },
    confirm: true,
    notices: revocable.length === 0 ? [] : [revokedByRequest(revocable, request)],
  };
}

/** Rotates by itself at the age, or at the times, that the spec names. */
export function rotateWhenDue(situation: Situation): Transition | undefined {
  const { ring, observed, policy, now } = situation;
  const due = dueAt(ring, policy);
  if (policy.automatic === undefined || due === undefined || policy.suspend) return undefined;
  if (now < due || !gate(ring, observed, now).open) return undefined;
  const { trigger } = policy.automatic;
  return rotated(situation, { trigger, requests: ring.requests, kids: [] });
}

interface Cause {
  readonly trigger: RotationTrigger;
  readonly request?: string;
  readonly requests: Keyring['requests'];
  /** To revoke in the same write. */
  readonly kids: readonly string[];
}

function rotated({ ring, policy, now }: Situation, cause: Cause): Transition {
  const from = currentKey(ring).kid;
  const to = nextKey(ring).kid;
  const { trigger, request, requests, kids } = cause;
  const draft = revoke(promote(ring, policy, now), kids, now);
  const demoted = draft.keys.filter(isMade).find(({ kid }) => kid === from);
  const fate =
    demoted?.revokeAt === undefined
      ? `${short(from)} was revoked`
      : `${short(from)} verifies until ${at(demoted.revokeAt)} (${formatDuration(demoted.revokeAt - now)})`;
  return {
    kind: 'Promote',
    keyring: {
      ...draft,
      requests,
      lastRotation: { at: now, trigger, from, to, ...(request ? { request } : {}) },
    },
    confirm: true,
    notices: [
      { type: 'Normal', reason: 'Rotated', message: `${short(to)} signs now, ${fate}` },
      ...(kids.length > 0 ? [revokedByRequest(kids, request ?? '')] : []),
    ],
  };
}

function revokedByRequest(kids: readonly string[], request: string): Notice {
  return {
    type: 'Warning',
    reason: 'KeyRevoked',
    message:
      `${kids.join(', ')} left everything that is published, as asked by ${request}: tokens ` +
      'signed with it are refused as soon as verifiers refetch',
  };
}

function isIn(ring: Keyring, kid: string): boolean {
  return ring.keys.some((key) => key.kid === kid);
}
