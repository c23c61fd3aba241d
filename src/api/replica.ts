import { MANAGED_BY, SECOND } from './constants.ts';
import { formatDuration, parseDuration } from './duration.ts';

/** Label on the Leases that the replicas of the issuer keep. */
export const REPLICA_ROLE = { key: 'signet.dev/role', value: 'issuer-replica' } as const;
/** An admission policy holds the issuer's account to Leases whose names begin so. */
const LEASE_PREFIX = 'signet-issuer-';
const WATERMARK = 'signet.dev/watermark';
const UNLOADABLE = 'signet.dev/unloadable';
const MAX_STALENESS = 'signet.dev/max-staleness';
/** An annotation is to stay short: what does not fit lowers the watermark. */
const MOST_UNLOADABLE = 20;

/** What a replica of the issuer says of itself on its Lease (design section 2). */
export interface ReplicaReport {
  /** The name of the replica's pod. */
  readonly pod: string;
  /** The resourceVersion of the last Secret list or event that it has loaded. */
  readonly watermark: bigint;
  /** The uids of sets whose Secret it could not load, though it is not newer than the watermark. */
  readonly unloadable: readonly string[];
  /** Its own R, in milliseconds: so long after `confirmedAt` it signs no more. */
  readonly maxStaleness: number;
  /** As of when what it serves was last confirmed; Unix milliseconds, by its own clock. */
  readonly confirmedAt: number;
}

/** A Secret that a replica could not load. */
export interface Unloadable {
  readonly uid: string;
  readonly version: bigint;
}

/** What of a Lease carries a report. */
export interface ReplicaLease {
  readonly metadata?: {
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec?: {
    readonly holderIdentity?: string;
    readonly leaseDurationSeconds?: number;
    readonly renewTime?: string | Date;
  };
}

/** The name of the Lease of the replica in this pod. */
export function replicaLeaseName(pod: string): string {
  return `${LEASE_PREFIX}${pod}`;
}

/**
 * What a replica may claim to have loaded. Only 20 uids fit: where more cannot be loaded, the
 * watermark stays below those that are not named, so that none of them counts as loaded.
 */
export function claimLoaded(
  seen: bigint,
  failed: readonly Unloadable[],
): Pick<ReplicaReport, 'watermark' | 'unloadable'> {
  const oldestFirst = failed.toSorted((a, b) => (a.version < b.version ? -1 : 1));
  const unnamed = oldestFirst[MOST_UNLOADABLE];
  const unloadable = oldestFirst.slice(0, MOST_UNLOADABLE).map(({ uid }) => uid);
  const below = unnamed === undefined ? seen : unnamed.version - 1n;
  return { unloadable, watermark: below < seen ? below : seen };
}

/** Labels, annotations and spec of the Lease that says this; the renewTime is `confirmedAt`. */
export function writeReplica(report: Omit<ReplicaReport, 'confirmedAt'>): Required<ReplicaLease> {
  const { pod, watermark, unloadable, maxStaleness } = report;
  return {
    metadata: {
      labels: { [MANAGED_BY.key]: MANAGED_BY.value, [REPLICA_ROLE.key]: REPLICA_ROLE.value },
      annotations: {
        [WATERMARK]: watermark.toString(),
        [UNLOADABLE]: unloadable.join(','),
        [MAX_STALENESS]: formatDuration(maxStaleness),
      },
    },
    spec: {
      holderIdentity: pod,
      leaseDurationSeconds: Math.max(1, Math.ceil(maxStaleness / SECOND)),
    },
  };
}

/** @returns undefined for a Lease that no replica of ours can have written. */
export function readReplica({ metadata, spec }: ReplicaLease): ReplicaReport | undefined {
  const { annotations = {} } = metadata ?? {};
  const { holderIdentity: pod, renewTime } = spec ?? {};
  const watermark = annotations[WATERMARK];
  const confirmedAt = new Date(renewTime ?? Number.NaN).getTime();
  const maxStaleness = durationOr(annotations[MAX_STALENESS]);
  if (pod === undefined || watermark === undefined || !/^\d{1,20}$/.test(watermark))
    return undefined;
  if (Number.isNaN(confirmedAt) || maxStaleness === undefined) return undefined;
  const unloadable = (annotations[UNLOADABLE] ?? '').split(',').filter((uid) => uid !== '');
  return { pod, watermark: BigInt(watermark), unloadable, maxStaleness, confirmedAt };
}

function durationOr(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  try {
    return parseDuration(text);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
