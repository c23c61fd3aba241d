import { DAY, REFUSED_ANNOTATION } from '../api/constants.ts';
import { formatDuration } from '../api/duration.ts';
import type { ConditionType, ReasonOf } from '../api/reasons.ts';
import type { Condition, KeyStatus, SigningKeySetStatus } from '../api/signingkeyset.generated.ts';
import type { Instant, Keyring, RevokedKey, SigningKey } from '../keys/keyring.ts';
import { gate, missingPublishers } from './gate.ts';
import { effectiveGracePeriod } from './lifetimes.ts';
import type { PendingRequest } from './pending.ts';
import {
  currentKey,
  dueAt,
  nextKey,
  type Observed,
  type ObservedSet,
  type Policy,
  type ReadyFault,
} from './situation.ts';
import { at, from } from './transitions.ts';
import { explainWait } from './wait.ts';

/** A condition as it is now; when it last changed is known to whoever writes it. */
export type ReportedCondition = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>;

/** A status without what only its writer knows. Holds times, never ages, so it does not churn. */
export type Report = Omit<SigningKeySetStatus, 'conditions' | 'observedGeneration'> & {
  readonly conditions: readonly ReportedCondition[];
};

/** What a report is made from. */
interface Facts {
  readonly set: ObservedSet;
  readonly observed: Observed;
  readonly policy: Policy;
  readonly now: Instant;
  readonly ring?: Keyring;
  readonly request?: PendingRequest;
  readonly fault?: ReadyFault;
}

type WithKeys = Facts & { readonly ring: Keyring };

/** Not rotated for this long: `RotationOverdue`. */
export const NOTICE_AGE = 365 * DAY;
const MOST_BLOCKERS = 3;
const SHORTEST_KID = 8;

/** Says what is, why it waits, until when and what to type (design section 1). */
export function describe(facts: Facts): Report {
  const { ring, policy } = facts;
  if (ring === undefined) return { conditions: [ready(facts)] };
  const withKeys = { ...facts, ring };
  const { at: opens, blockedBy } = gate(ring, facts.observed, facts.now);
  return {
    conditions: [
      ready(facts),
      published(withKeys),
      rotationPending(withKeys),
      rotationOverdue(withKeys),
    ],
    keys: [...ring.keys.map(keyStatus), ...ring.revoked.map(revokedStatus)],
    current: shortKid(currentKey(ring).kid, ring),
    next: shortKid(nextKey(ring).kid, ring),
    ...(opens === undefined ? {} : { promotableAt: from(opens) }),
    ...(blockedBy.length === 0 ? {} : { blockedBy: blockedBy.slice(0, MOST_BLOCKERS) }),
    ...nextRotation(ring, policy),
    effectiveGracePeriod: formatDuration(effectiveGracePeriod(policy)),
    ...lastRotation(ring),
    issuer: ring.issuer,
    jwksURI: `${ring.issuer.replace(/\/$/, '')}/.well-known/jwks.json`,
  };
}

function ready({ ring, fault, observed }: Facts): ReportedCondition {
  const lost = observed.keyringFault ?? fault;
  if (lost !== undefined) return condition('Ready', 'False', lost.reason, lost.message);
  if (ring === undefined) {
    return condition('Ready', 'False', 'KeysNotCreated', 'The first keys are being made');
  }
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

function published({ ring, observed }: WithKeys): ReportedCondition {
  const faulty = observed.publishers.find(({ fault }) => fault !== undefined);
  if (faulty?.fault !== undefined) {
    return condition('Published', 'False', faulty.fault.reason, faulty.fault.message);
  }
  const missing = missingPublishers(ring, observed.publishers);
  if (missing.length > 0 || nextKey(ring).publishedAt === undefined) {
    const names = missing.map(({ name }) => name).join(', ') || 'the JWKS';
    return condition('Published', 'False', 'Publishing', `The next key is not yet in ${names}`);
  }
  return condition('Published', 'True', 'PublishedEverywhere', 'Current and next are published');
}

function rotationPending(facts: WithKeys): ReportedCondition {
  const { set, request } = facts;
  if (request?.rotate === true || (request !== undefined && facts.policy.suspend)) {
    const wait = explainWait(facts);
    return condition(
      'RotationPending',
      'True',
      wait?.reason ?? 'InProgress',
      `${request.asked.join(' ')}: ${wait?.message ?? 'being carried out'}. To cancel: kubectl ` +
        `annotate signingkeyset ${set.name} -n ${set.namespace} signet.dev/pending-`,
    );
  }
  const refused = set.annotations[REFUSED_ANNOTATION];
  if (refused !== undefined)
    return condition('RotationPending', 'False', 'RequestRefused', refused);
  const { scheduleFault } = facts.policy;
  if (scheduleFault !== undefined) {
    return condition('RotationPending', 'False', 'ScheduleInvalid', scheduleFault);
  }
  return condition('RotationPending', 'False', 'NoRequest', 'No rotation was asked for');
}

function rotationOverdue({ ring, set, now }: WithKeys): ReportedCondition {
  const since = currentKey(ring).promotedAt ?? now;
  if (now < since + NOTICE_AGE) {
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

function condition<Type extends ConditionType>(
  type: Type,
  status: Condition['status'],
  reason: ReasonOf<Type>,
  message: string,
): ReportedCondition {
  return { type, status, reason, message };
}

function nextRotation(ring: Keyring, policy: Policy): Pick<Report, 'nextRotationAt'> {
  const due = policy.suspend ? undefined : dueAt(ring, policy);
  return due === undefined ? {} : { nextRotationAt: from(due) };
}

function lastRotation({ lastRotation: last }: Keyring): Pick<Report, 'lastRotation'> {
  return last === undefined ? {} : { lastRotation: { ...last, at: at(last.at) } };
}

function keyStatus(key: SigningKey): KeyStatus {
  const { kid, state, algorithm, createdAt, fingerprint } = key;
  return {
    kid,
    state,
    algorithm,
    createdAt: at(createdAt),
    ...times(key, ['publishedAt', 'promotedAt', 'demotedAt', 'revokeAt', 'tokensUntil']),
    ...(fingerprint === undefined ? {} : { fingerprint }),
    ...times(key, ['notAfter']),
  };
}

function revokedStatus(key: RevokedKey): KeyStatus {
  const { kid, algorithm, createdAt, fingerprint } = key;
  return {
    kid,
    state: 'revoked',
    algorithm,
    createdAt: at(createdAt),
    ...times(key, ['publishedAt', 'promotedAt', 'demotedAt', 'revokedAt']),
    ...(fingerprint === undefined ? {} : { fingerprint }),
    ...times(key, ['notAfter']),
  };
}

function times<Name extends string>(
  source: { readonly [name in Name]?: Instant },
  names: readonly Name[],
): { [name in Name]?: string } {
  const found: { [name in Name]?: string } = {};
  for (const name of names) {
    const instant = source[name];
    if (instant !== undefined) found[name] = at(instant);
  }
  return found;
}

/** The first 8 characters, more until they name one key (design section 1). */
function shortKid(kid: string, ring: Keyring): string {
  const others = [...ring.keys, ...ring.revoked].filter((key) => key.kid !== kid);
  let length = SHORTEST_KID;
  while (others.some((key) => key.kid.startsWith(kid.slice(0, length)))) length += 1;
  return kid.slice(0, length);
}
