import { isDeepStrictEqual } from 'node:util';
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
export async function report(
  set: SigningKeySet,
  said: Report,
  now: Instant,
  { write, cache }: ReportOptions,
): Promise<boolean> {
  const status = statusOf(set, said, now);
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
