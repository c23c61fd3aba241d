import { formatDuration } from '../api/duration.ts';
import type { Keyring, RotationTrigger } from '../keys/keyring.ts';
import { restoreFromBackup } from './backup.ts';
import { priceOfCompromise, priceOfForce } from './force.ts';
import { gate, roomAt } from './gate.ts';
import { rollbackRefusal } from './judge.ts';
import { type PendingRequest, readPending } from './pending.ts';
import {
  currentKey,
  dueAt,
  isHeld,
  type KeyringDraft,
  type Notice,
  nextKey,
  previousKeys,
  type Situation,
  type Transition,
} from './situation.ts';
import { at, short } from './text.ts';
import {
  isMade,
  promote,
  remember,
  replaceAll,
  revoke,
  revokeNext,
  rollBack,
} from './transitions.ts';

type CarryOut = (situation: Situation, request: PendingRequest) => Transition | undefined;

/** Carries out the pending request, as far as it can be now: one write (design section 1, requests). */
export function carryOutRequest(situation: Situation): Transition | undefined {
  const pending = readPending(situation.set, situation.ring);
  if (pending.kind !== 'waiting' || isHeld(situation)) return undefined;
  const { request } = pending;
  if (request.restore !== undefined) return restoreFromBackup(situation, request);
  return wayOf(request)(situation, request) ?? revokeAlready(situation, request);
}

function wayOf({ rotate, haste, rollback }: PendingRequest): CarryOut {
  if (rollback === true) return rollBackOnRequest;
  if (!rotate) return () => undefined;
  return haste === undefined ? rotateThroughGate : WITH_HASTE[haste];
}

const WITH_HASTE = { force: rotateByForce, compromised: replaceCompromised } as const;

/** Rotates by itself at the age, or at the times, that the spec names. */
export function rotateWhenDue(situation: Situation): Transition | undefined {
  const { ring, observed, policy, now } = situation;
  const due = dueAt(ring, policy);
  if (policy.automatic === undefined || due === undefined || isHeld(situation)) return undefined;
  if (now < due || !gate(ring, observed, situation).open) return undefined;
  return rotated(situation, { trigger: policy.automatic.trigger });
}

function rotateThroughGate(situation: Situation, request: PendingRequest): Transition | undefined {
  const { ring, observed } = situation;
  if (request.revoke.includes(nextKey(ring).kid)) return undefined;
  if (!gate(ring, observed, situation, request.revoke).open) return undefined;
  return rotated(situation, { trigger: 'Request', request });
}

function rotateByForce(situation: Situation, request: PendingRequest): Transition | undefined {
  const { ring } = situation;
  if (request.revoke.includes(nextKey(ring).kid)) return undefined;
  if (roomAt(ring, request.revoke) !== undefined) return undefined;
  const told: Notice = {
    type: 'Warning',
    reason: 'RotationForced',
    message: `${short(nextKey(ring).kid)} signs by force: ${priceOfForce(situation, request.revoke)}`,
  };
  return rotated(situation, { trigger: 'Force', request }, told);
}

function replaceCompromised(situation: Situation, request: PendingRequest): Transition {
  const { ring, policy, now, stamp } = situation;
  return {
    kind: 'Promote',
    keyring: recorded(situation, replaceAll(ring, policy, { now, stamp }), {
      trigger: 'Compromised',
      request,
    }),
    confirm: true,
    notices: [
      {
        type: 'Warning',
        reason: 'KeysCompromised',
        message:
          `A new key signs, and ${ring.keys.map(({ kid }) => short(kid)).join(', ')} left everything ` +
          `that is published, as asked by ${request.asked.join(' ')}: ${priceOfCompromise(ring)}`,
      },
    ],
  };
}

function rollBackOnRequest(situation: Situation, request: PendingRequest): Transition | undefined {
  const { ring, policy, now, stamp } = situation;
  const [target] = previousKeys(ring);
  if (target === undefined || rollbackRefusal(situation, request.revoke) !== undefined) {
    return undefined;
  }
  const cause: Cause = { trigger: 'Rollback', request };
  const draft = withRevoked(situation, rollBack(ring, target, policy, { now, stamp }), request);
  const from = currentKey(ring).kid;
  return {
    kind: 'RollBack',
    keyring: recorded(situation, draft, cause),
    confirm: true,
    notices: [
      {
        type: 'Warning',
        reason: 'RolledBack',
        message: `${short(target.kid)} signs again, ${fateOf(from, draft, stamp)}`,
      },
      ...revokedByRequest(ring, request),
    ],
  };
}

/** A revocation does not wait for the rotation that it came with, unless it names the current key. */
function revokeAlready(situation: Situation, request: PendingRequest): Transition | undefined {
  const { ring } = situation;
  const { rotate, rollback, revoke: asked, number, ids } = request;
  const turns = rotate || rollback === true;
  const kids = asked.filter((kid) => kid !== currentKey(ring).kid && isIn(ring, kid));
  if (turns && kids.length === 0) return undefined;
  return {
    kind: 'Revoke',
    keyring: {
      ...withRevoked(situation, ring, { ...request, revoke: kids }),
      requests: turns ? ring.requests : remember(ring.requests, number, ids),
    },
    confirm: true,
    notices: revokedByRequest(ring, { ...request, revoke: kids }),
  };
}

/** What brings a rotation about; a request is recorded with it (I9). */
interface Cause {
  readonly trigger: RotationTrigger;
  readonly request?: PendingRequest;
}

function rotated(situation: Situation, cause: Cause, told?: Notice): Transition {
  const { ring, policy, now, stamp } = situation;
  const time = { now, stamp };
  const { request } = cause;
  const from = currentKey(ring).kid;
  const draft = revoke(promote(ring, policy, time), request?.revoke ?? [], time);
  const message = `${short(nextKey(ring).kid)} signs now, ${fateOf(from, draft, stamp)}`;
  return {
    kind: 'Promote',
    keyring: recorded(situation, draft, cause),
    confirm: true,
    notices: [
      { type: 'Normal', reason: 'Rotated', message },
      ...(told === undefined ? [] : [told]),
      ...(request === undefined ? [] : revokedByRequest(ring, request)),
    ],
  };
}

function recorded(
  { ring, stamp }: Situation,
  draft: KeyringDraft,
  { trigger, request }: Cause,
): KeyringDraft {
  const from = currentKey(ring).kid;
  const typed = request === undefined ? {} : { request: request.asked.join(' ') };
  return {
    ...draft,
    requests:
      request === undefined ? ring.requests : remember(ring.requests, request.number, request.ids),
    lastRotation: { at: stamp, trigger, from, ...typed },
  };
}

function withRevoked(
  { ring, policy, now, stamp }: Situation,
  draft: KeyringDraft,
  request: PendingRequest,
): KeyringDraft {
  const time = { now, stamp };
  const kept = revoke(draft, request.revoke, time);
  return request.revoke.includes(nextKey(ring).kid) ? revokeNext(kept, ring, policy, time) : kept;
}

/** What becomes of the key that signed. */
function fateOf(kid: string, draft: KeyringDraft, stamp: number): string {
  const key = draft.keys.filter(isMade).find((one) => one.kid === kid);
  if (key?.revokeAt === undefined) return `${short(kid)} was revoked`;
  const left = formatDuration(key.revokeAt - stamp);
  return `${short(kid)} verifies until ${at(key.revokeAt)} (${left})`;
}

function revokedByRequest(ring: Keyring, { revoke, asked }: PendingRequest): Notice[] {
  const kids = revoke.filter((kid) => isIn(ring, kid));
  if (kids.length === 0) return [];
  const message =
    `${kids.join(', ')} left everything that is published, as asked by ${asked.join(' ')}: tokens ` +
    'signed with it are refused as soon as verifiers refetch';
  return [{ type: 'Warning', reason: 'KeyRevoked', message }];
}

/** A key may have gone by itself while its revocation waited. */
function isIn(ring: Keyring, kid: string): boolean {
  return ring.keys.some((key) => key.kid === kid);
}
