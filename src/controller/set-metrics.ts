import { SECOND } from '../api/constants.ts';
import { CONDITION_REASONS } from '../api/reasons.ts';
import type { SigningKeySet } from '../api/signingkeyset.generated.ts';
import { collected, type Registry } from '../telemetry/metrics.ts';

type Sets = () => readonly SigningKeySet[];

/**
 * What the statuses of all sets say together, counted when somebody asks. No label names a set: which
 * one it is, `kubectl get sks -A` tells.
 */
export function defineSetMetrics(registry: Registry, sets: Sets): void {
  const metrics = [
    collected(
      'signet_set_conditions',
      'Sets by the type and status of each of their conditions.',
      ['type', 'status'],
      () => countConditions(sets()),
    ),
    collected(
      'signet_oldest_waiting_request_timestamp_seconds',
      'Since when the request, or rotation that is due, that has waited for longest, of all sets, waits.',
      [],
      () => earliest(sets().map(waitingSince)),
    ),
    collected(
      'signet_earliest_certificate_expiry_timestamp_seconds',
      'When the first certificate of a current key ends, of all sets.',
      [],
      () => earliest(sets().map(certificateEnd)),
    ),
  ];
  for (const define of metrics) define(registry);
}

/** Every type and status is there, so that a query finds 0 rather than nothing. */
function countConditions(sets: readonly SigningKeySet[]) {
  const found = sets.flatMap(({ status }) => status?.conditions ?? []);
  return Object.keys(CONDITION_REASONS).flatMap((type) =>
    ['True', 'False', 'Unknown'].map((status) => ({
      labels: { type, status },
      value: found.filter((each) => each.type === type && each.status === status).length,
    })),
  );
}

function waitingSince({ status }: SigningKeySet): string | undefined {
  const waiting = ({ type, status: standing }: { type: string; status: string }) =>
    type === 'RotationPending' && standing === 'True';
  return status?.conditions?.find(waiting)?.lastTransitionTime;
}

function certificateEnd({ status }: SigningKeySet): string | undefined {
  return status?.keys?.find(({ state }) => state === 'current')?.notAfter;
}

/** A time that is not known is no sample, rather than 1970. */
function earliest(times: readonly (string | undefined)[]) {
  const known = times.filter((time) => time !== undefined).map(Date.parse);
  return known.length === 0 ? [] : [{ labels: {}, value: Math.min(...known) / SECOND }];
}
