import { isDeepStrictEqual } from 'node:util';
import type { ReasonOf } from '../api/reasons.ts';
import type {
  Condition,
  SigningKeySet,
  SigningKeySetStatus,
} from '../api/signingkeyset.generated.ts';
import type { Instant } from '../keys/keyring.ts';
import type { Collection } from '../kube/collection.ts';
import type { ReportedCondition } from '../rotation/conditions.ts';
import type { Report } from '../rotation/status.ts';
import { at } from '../rotation/text.ts';
import { paths } from './objects.ts';
import type { Write } from './write.ts';

interface ReportOptions {
  readonly write: Write;
  readonly cache: Collection<SigningKeySet>;
}

/**
 * Writes the status of a set, once, and only when it says something new.
 *
 * @returns whether it was written.
 */
export function report(
  set: SigningKeySet,
  said: Report,
  now: Instant,
  options: ReportOptions,
): Promise<boolean> {
  return writeStatus(set, statusOf(set, said, now), options);
}

/**
 * Says beside what a status says that a pass failed, and why; the next report takes it back. A set
 * that never had keys is not Ready for that reason.
 */
export async function reportFailure(
  set: SigningKeySet,
  error: unknown,
  now: Instant,
  options: ReportOptions,
): Promise<void> {
  const { conditions: before = [], keys = [] } = set.status ?? {};
  const why = error instanceof Error ? error.message : 'something that is no error was thrown';
  const ready = before.find(({ type }) => type === 'Ready')?.reason;
  const isNew = keys.length === 0 && (ready === undefined || BEFORE_KEYS.has(ready));
  const said = [...(isNew ? [notReadyFor(why)] : []), notDone(why)];
  const others = before.filter((condition) => said.every(({ type }) => type !== condition.type));
  const conditions = [...said.map((each) => withTransition(each, before, now)), ...others];
  await writeStatus(set, { ...set.status, conditions }, options);
}

function notReadyFor(why: string): ReportedCondition {
  const message = `No keys yet: ${why}`;
  return { type: 'Ready', status: 'False', reason: 'KeysNotCreated', message };
}

function notDone(why: string): ReportedCondition {
  const message = `What is to be done fails, and is tried again: ${why}`;
  return { type: 'RotationPending', status: 'True', reason: FAILED, message };
}

const FAILED: ReasonOf<'RotationPending'> = 'ReconcileFailed';
/** Under others, a set without keys in its status had some, and that must not be forgotten. */
const BEFORE_KEYS: ReadonlySet<string> = new Set<ReasonOf<'Ready'>>([
  'KeysNotCreated',
  'IssuerNotAllowed',
  'IssuerConflict',
]);

async function writeStatus(
  set: SigningKeySet,
  status: SigningKeySetStatus,
  { write, cache }: ReportOptions,
): Promise<boolean> {
  if (isDeepStrictEqual(status, set.status)) return false;
  const { namespace, name, uid, resourceVersion } = set.metadata;
  const body = {
    apiVersion: set.apiVersion,
    kind: set.kind,
    metadata: { namespace, name, uid, resourceVersion },
    spec: set.spec ?? {},
    status,
  };
  cache.put(await write<SigningKeySet>('PUT', `${paths.set(namespace, name)}/status`, body));
  return true;
}

/** Adds what only the writer knows: when a condition changed, which generation was looked at. */
function statusOf(set: SigningKeySet, said: Report, now: Instant): SigningKeySetStatus {
  const { conditions, ...rest } = said;
  const before = set.status?.conditions ?? [];
  return {
    ...rest,
    observedGeneration: set.metadata.generation,
    conditions: conditions.map((condition) => withTransition(condition, before, now)),
  };
}

function withTransition(
  condition: ReportedCondition,
  before: readonly Condition[],
  now: Instant,
): Condition {
  const same = before.find(
    ({ type, status }) => type === condition.type && status === condition.status,
  );
  return { ...condition, lastTransitionTime: same?.lastTransitionTime ?? at(now) };
}
