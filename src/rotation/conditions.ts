import { MINUTE, PENDING_ANNOTATION } from '../api/constants.ts';
import { formatDuration } from '../api/duration.ts';
import type { ConditionType, ReasonOf } from '../api/reasons.ts';
import type { Condition } from '../api/signingkeyset.generated.ts';
import type { Keyring } from '../keys/keyring.ts';
import type { Bereft } from './backup.ts';
import { hadKeys } from './beginnings.ts';
import { forcedUntil } from './force.ts';
import { lackingNext } from './gate.ts';
import { rollbackRefusal } from './judge.ts';
import { overdueSince } from './overdue.ts';
import type { PendingRequest } from './pending.ts';
import { lastRefusal } from './refusal.ts';
import { currentKey, nextKey, type ReadyFault } from './situation.ts';
import { annotateCommand, at, from, short } from './text.ts';
import { explainDue, explainHold, explainWait } from './wait.ts';

/** The kubelet mounts a changed ConfigMap anew within so long. */
const MOUNT_DELAY = 2 * MINUTE;

/** A condition as it is now; when it last changed is known to whoever writes it. */
export type ReportedCondition = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>;

/** What the conditions are made from. */
export interface Facts extends Bereft {
  readonly request?: PendingRequest;
  readonly fault?: ReadyFault;
}

export type WithKeys = Facts & { readonly ring: Keyring };

/** Whether the set can sign. */
export function ready(facts: Facts): ReportedCondition {
  const { ring, fault, observed } = facts;
  if (ring === undefined) return notReady(facts);
  if (fault !== undefined) return condition('Ready', 'False', fault.reason, fault.message);
  const { kid, algorithm } = currentKey(ring);
  const { claim } = observed;
  if (claim.granted && claim.issuer !== ring.issuer) {
    const message =
      `${kid} signs with ${algorithm} for ${ring.issuer}, the issuer of the first keys; the ` +
      `operator would now give ${claim.issuer}: make a new set to have that`;
    return condition('Ready', 'True', 'IssuerDrift', message);
  }
  return condition('Ready', 'True', 'Signing', `${kid} signs with ${algorithm}`);
}

/** A set without keys. That it had some is said in any case: the next pass is to know it, too. */
function notReady({ set, fault, observed }: Facts): ReportedCondition {
  const { keyringFault, clockSkew: skew } = observed;
  if (keyringFault !== undefined) {
    return condition('Ready', 'False', keyringFault.reason, keyringFault.message);
  }
  const skewed = 'the clocks of controller and API server do not agree (ClockSkew)';
  const leaves = set.isBeingDeleted === true ? 'the set is being deleted' : undefined;
  const why = fault?.message ?? leaves ?? (skew === undefined ? undefined : skewed);
  if (hadKeys(set)) {
    const held = why === undefined ? '' : `; no new ones are made yet: ${why}`;
    return condition('Ready', 'False', 'KeysMissing', `The Secret with the keys is gone${held}`);
  }
  if (fault !== undefined) return condition('Ready', 'False', fault.reason, fault.message);
  const message = why === undefined ? 'The first keys are being made' : `No keys yet: ${why}`;
  return condition('Ready', 'False', 'KeysNotCreated', message);
}

/** One thing to be said in a condition. */
interface Remark<Type extends ConditionType> {
  readonly reason: ReasonOf<Type>;
  readonly message: string;
}

/** Whether verifiers can know the key that signs and the one that will. */
export function published(facts: WithKeys): ReportedCondition {
  const fault = facts.observed.publishers.find((publisher) => publisher.fault)?.fault;
  const remarks = [fault, forcedEarly(facts), fault ? undefined : publishing(facts)];
  const message = ['Current and next are published', ...shortDelay(facts)].join('. ');
  return saying('Published', remarks, { reason: 'PublishedEverywhere', message });
}

/** What P is too short for, though it is kept: nobody refuses it, as a test or a demo may want it so. */
function shortDelay({ ring, observed, policy }: WithKeys): string[] {
  const { propagationDelay: delay } = ring;
  const hints = [
    observed.publishers.length > 0 && delay < MOUNT_DELAY
      ? `a kubelet takes up to ${formatDuration(MOUNT_DELAY)} to mount a ConfigMap anew`
      : undefined,
    delay < 2 * policy.clockSkew
      ? `a restart on another clock can take ${formatDuration(2 * policy.clockSkew)} (twice --clock-skew) off it`
      : undefined,
  ].filter((hint) => hint !== undefined);
  if (hints.length === 0) return [];
  return [
    `spec.rotation.propagationDelay of ${formatDuration(delay)} is short: ${hints.join(', and ')}`,
  ];
}

function forcedEarly(facts: WithKeys): Remark<'Published'> | undefined {
  const { ring, set, now } = facts;
  const forced = forcedUntil(ring, now);
  const { request = '', trigger } = ring.lastRotation ?? {};
  if (forced === undefined) return undefined;
  const end = Number.isFinite(forced) ? `until ${from(forced)}` : 'for now';
  const canUndo = trigger === 'Force' && rollbackRefusal(facts, []) === undefined;
  const undo = canUndo ? `. To undo: ${annotateCommand(set, 'rollback=now')}` : '';
  const message =
    `${short(currentKey(ring).kid)} signs before all verifiers can have seen it, as asked by ` +
    `${request}: those that have not refetched the JWKS refuse its tokens, ${end}${undo}`;
  return { reason: 'ForcedEarly', message };
}

function publishing({ ring, observed }: WithKeys): Remark<'Published'> | undefined {
  const lacking = lackingNext(ring, observed);
  if (lacking.length === 0 && nextKey(ring).publishedAt !== undefined) return undefined;
  const names = lacking.map(({ name, fault }) => (fault ? `${name} (${fault})` : name));
  const whom = names.join(', ') || 'a moment';
  return { reason: 'Publishing', message: `The next key waits for ${whom}` };
}

/** Whether a rotation waits, asked for or due by itself: why, until when, and how to cancel it. */
export function rotationPending(facts: WithKeys): ReportedCondition {
  const { request, policy, ring } = facts;
  const fault = policy.scheduleFault;
  const schedule = fault === undefined ? undefined : remark('ScheduleInvalid', fault);
  const wait = request === undefined ? explainDue(facts) : requestWaits(facts, request);
  const refusal = refused(facts);
  if (wait === undefined) {
    const none = remark('NoRequest', 'No rotation was asked for');
    return saying('RotationPending', [refusal, schedule, held(facts), forced(ring)], none);
  }
  const told = [wait, refusal && { ...refusal, message: `Refused: ${refusal.message}` }];
  return { ...saying('RotationPending', [...told, schedule, forced(ring)], wait), status: 'True' };
}

function requestWaits(facts: WithKeys, request: PendingRequest): Remark<'RotationPending'> {
  const wait = explainWait(facts, request);
  const message =
    `${request.asked.join(' ')}: ${wait?.message ?? 'being carried out'}. To cancel: ` +
    annotateCommand(facts.set, `${PENDING_ANNOTATION}-`);
  return remark(wait?.reason ?? 'InProgress', message);
}

/** The same for a set without keys, of which only a restore can be asked. */
export function restorePending({ request, ...facts }: Facts): ReportedCondition | undefined {
  const { set } = facts;
  if (request?.restore === undefined) {
    const refusal = refused(facts);
    return refusal && condition('RotationPending', 'False', refusal.reason, refusal.message);
  }
  const hold = explainHold(facts);
  const message =
    `${request.asked.join(' ')}: ${hold?.message ?? `the Secret ${request.restore} is being read`}. ` +
    `To cancel: ${annotateCommand(set, `${PENDING_ANNOTATION}-`)}`;
  return condition('RotationPending', 'True', hold?.reason ?? 'InProgress', message);
}

function refused({ set }: Facts): Remark<'RotationPending'> | undefined {
  const refusal = lastRefusal(set);
  return refusal === undefined ? undefined : remark('RequestRefused', refusal);
}

/** A hold shows before anybody asks for something, lest a leak be the moment to find out. */
function held(facts: WithKeys): Remark<'RotationPending'> | undefined {
  if (!facts.policy.suspend && facts.set.isBeingDeleted !== true) return undefined;
  const hold = explainHold(facts);
  const message = `Every rotation, revocation and restore is ${hold?.message}`;
  return hold && remark(hold.reason, message);
}

/** Stays until another key signs, so that nobody overlooks it (I17). */
function forced({ lastRotation: last }: Keyring): Remark<'RotationPending'> | undefined {
  if (last?.trigger !== 'Force' && last?.trigger !== 'Compromised') return undefined;
  const message = `The last rotation, at ${at(last.at)}, did not wait for verifiers: ${last.request}`;
  return remark('Forced', message);
}

/** Whether the same key signs for more than a year. */
export function rotationOverdue({ ring, set, now }: WithKeys): ReportedCondition {
  const since = currentKey(ring).promotedAt ?? now;
  if (now < overdueSince(ring, now)) {
    return condition('RotationOverdue', 'False', 'RotatedInTime', `Signs since ${at(since)}`);
  }
  return condition(
    'RotationOverdue',
    'True',
    'NotRotatedFor365Days',
    `The same key signs since ${at(since)}: type ${annotateCommand(set, 'rotate=now')}`,
  );
}

/** Whether the controller's clock is too far from the API server's for any of its waits (I16). */
export function clockSkew({ observed, policy }: Facts): ReportedCondition {
  const allowed = formatDuration(policy.clockSkew);
  if (observed.clockSkew === undefined) {
    const message = `The clocks of controller and API server agree within ${allowed}`;
    return condition('ClockSkew', 'False', 'ClocksAgree', message);
  }
  // In whole minutes, so that the status is not written again for every second.
  const apart = formatDuration(Math.floor(observed.clockSkew / MINUTE) * MINUTE);
  return condition(
    'ClockSkew',
    'True',
    'ClocksDiffer',
    `The clocks of controller and API server are ${apart} apart or more, and ${allowed} is allowed: ` +
      "nothing is promoted or revoked until they agree; see to the node's time service (NTP)",
  );
}

function remark(reason: ReasonOf<'RotationPending'>, message: string): Remark<'RotationPending'> {
  return { reason, message };
}

/** Not so, for these reasons: the first stands for all, and none hides what another says (I17). */
function saying<Type extends ConditionType>(
  type: Type,
  remarks: readonly (Remark<Type> | undefined)[],
  good: Remark<Type>,
): ReportedCondition {
  const said = remarks.filter((one) => one !== undefined);
  const [first] = said;
  if (first === undefined) {
    const status = type === 'RotationPending' ? 'False' : 'True';
    return condition(type, status, good.reason, good.message);
  }
  return condition(type, 'False', first.reason, said.map(({ message }) => message).join('. '));
}

function condition<Type extends ConditionType>(
  type: Type,
  status: Condition['status'],
  reason: ReasonOf<Type>,
  message: string,
): ReportedCondition {
  return { type, status, reason, message };
}
