import { MINUTE, REFUSED_ANNOTATION } from '../api/constants.ts';
import { formatDuration } from '../api/duration.ts';
import type { ConditionType, ReasonOf } from '../api/reasons.ts';
import type { Condition } from '../api/signingkeyset.generated.ts';
import type { Keyring } from '../keys/keyring.ts';
import type { Bereft } from './backup.ts';
import { hadKeys } from './beginnings.ts';
import { forcedUntil } from './force.ts';
import { lackingNext } from './gate.ts';
import { overdueSince } from './overdue.ts';
import type { PendingRequest } from './pending.ts';
import { currentKey, nextKey, type ReadyFault } from './situation.ts';
import { at, from, short } from './text.ts';
import { explainWait } from './wait.ts';

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
  const why = fault?.message ?? (skew === undefined ? undefined : skewed);
  if (hadKeys(set)) {
    const held = why === undefined ? '' : `; no new ones are made yet: ${why}`;
    return condition('Ready', 'False', 'KeysMissing', `The Secret with the keys is gone${held}`);
  }
  if (fault !== undefined) return condition('Ready', 'False', fault.reason, fault.message);
  const message = why === undefined ? 'The first keys are being made' : `No keys yet: ${why}`;
  return condition('Ready', 'False', 'KeysNotCreated', message);
}

/** Whether verifiers can know the key that signs and the one that will. */
export function published({ ring, observed, now }: WithKeys): ReportedCondition {
  const faulty = observed.publishers.find(({ fault }) => fault !== undefined);
  if (faulty?.fault !== undefined) {
    return condition('Published', 'False', faulty.fault.reason, faulty.fault.message);
  }
  const forced = forcedUntil(ring, now);
  if (forced !== undefined) {
    const end = Number.isFinite(forced) ? `until ${from(forced)}` : 'for now';
    const message =
      `${short(currentKey(ring).kid)} signs before all verifiers can have seen it, as asked by ` +
      `${ring.lastRotation?.request}: those that have not refetched the JWKS refuse its tokens, ${end}`;
    return condition('Published', 'False', 'ForcedEarly', message);
  }
  const lacking = lackingNext(ring, observed);
  if (lacking.length > 0 || nextKey(ring).publishedAt === undefined) {
    const names = lacking.map(({ name, fault }) => (fault ? `${name} (${fault})` : name));
    const whom = names.join(', ') || 'a moment';
    return condition('Published', 'False', 'Publishing', `The next key waits for ${whom}`);
  }
  return condition('Published', 'True', 'PublishedEverywhere', 'Current and next are published');
}

/** Whether a request waits, why, until when, and how to cancel it. */
export function rotationPending({ request, ...facts }: WithKeys): ReportedCondition {
  const { set, policy, ring } = facts;
  if (request !== undefined) {
    const wait = explainWait(facts, request);
    return condition(
      'RotationPending',
      'True',
      wait?.reason ?? 'InProgress',
      `${request.asked.join(' ')}: ${wait?.message ?? 'being carried out'}. To cancel: kubectl ` +
        `annotate signingkeyset ${set.name} -n ${set.namespace} signet.dev/pending-`,
    );
  }
  return (
    refused(facts) ??
    (policy.scheduleFault === undefined
      ? undefined
      : condition('RotationPending', 'False', 'ScheduleInvalid', policy.scheduleFault)) ??
    forced(ring) ??
    condition('RotationPending', 'False', 'NoRequest', 'No rotation was asked for')
  );
}

/** The same for a set without keys, of which only a restore can be asked. */
export function restorePending({ request, ...facts }: Facts): ReportedCondition | undefined {
  if (request?.restore === undefined) return refused(facts);
  const message = `${request.asked.join(' ')}: the Secret ${request.restore} is being read`;
  return condition('RotationPending', 'True', 'InProgress', message);
}

function refused({ set }: Facts): ReportedCondition | undefined {
  const refusal = set.annotations[REFUSED_ANNOTATION];
  if (refusal === undefined) return undefined;
  return condition('RotationPending', 'False', 'RequestRefused', refusal);
}

/** Stays until another key signs, so that nobody overlooks it (I17). */
function forced({ lastRotation: last }: Keyring): ReportedCondition | undefined {
  if (last?.trigger !== 'Force' && last?.trigger !== 'Compromised') return undefined;
  const message = `The last rotation, at ${at(last.at)}, did not wait for verifiers: ${last.request}`;
  return condition('RotationPending', 'False', 'Forced', message);
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
    `The same key signs since ${at(since)}: type kubectl annotate signingkeyset ${set.name} ` +
      `-n ${set.namespace} rotate=now`,
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

function condition<Type extends ConditionType>(
  type: Type,
  status: Condition['status'],
  reason: ReasonOf<Type>,
  message: string,
): ReportedCondition {
  return { type, status, reason, message };
}
