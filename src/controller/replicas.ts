import { MANAGED_BY } from '../api/constants.ts';
import { REPLICA_ROLE, type ReplicaReport, readReplica } from '../api/replica.ts';
import type { Instant } from '../keys/keyring.ts';
import type { Kube } from '../kube/client.ts';
import { type Lease, leasesPath } from '../kube/lease.ts';
import { Reflector } from '../kube/reflector.ts';
import type { Replica } from '../rotation/situation.ts';
import type { Log } from '../telemetry/log.ts';

/** The Secret of a set, as the controller holds it. */
export interface HeldSecret {
  /** Of the set. */
  readonly uid: string;
  /** Its resourceVersion. */
  readonly version: bigint;
}

/** The replicas that matter to one set. */
export interface Evidence {
  readonly replicas: readonly Replica[];
  /** When the first of those that lag behind would lapse; absent: none does. */
  readonly lapsesAt?: Instant;
}

interface ReplicasOptions {
  readonly kube: Kube;
  /** The operator's own. */
  readonly namespace: string;
  /** S, in milliseconds. */
  readonly clockSkew: number;
  readonly log: Log;
  /** Unix milliseconds, never ahead because of a jump. */
  readonly now: () => Instant;
  /** Milliseconds since whenever. */
  readonly monotonic?: () => number;
  /** Called with a set for which a replica now says something else. */
  readonly onEvidence: (key: string) => void;
  /** Called when the longest R of all replicas is another one. */
  readonly onStaleness: () => void;
}

/** A Lease as it was last seen. */
interface Told {
  readonly report: ReplicaReport;
  /** Monotonic. */
  readonly seenAt: number;
  /** What was there when we began may have been written long before. */
  readonly hasChanged: boolean;
}

/** A set that a replica lags behind for, and what was seen of that. */
interface Waiting {
  readonly held: HeldSecret;
  readonly seen: string;
}

const QUERY = {
  labelSelector: `${MANAGED_BY.key}=${MANAGED_BY.value},${REPLICA_ROLE.key}=${REPLICA_ROLE.value}`,
};

/**
 * What the replicas of the issuer have loaded, by their Leases (design section 2). One counts until
 * R + S after we saw its Lease change, by our own monotonic clock: what its clock says decides
 * nothing. Only of a Lease that was there when we began does the time written in it count, where
 * that is earlier.
 */
export class Replicas {
  readonly leases: Reflector<Lease>;
  readonly #options: Required<ReplicasOptions>;
  readonly #told = new Map<string, Told>();
  readonly #waiting = new Map<string, Waiting>();

  constructor(options: ReplicasOptions) {
    const { kube, namespace, log } = options;
    this.#options = { monotonic: () => performance.now(), ...options };
    this.leases = new Reflector({ kube, log, path: leasesPath(namespace), query: QUERY });
    this.leases.subscribe((change) => {
      const before = this.#longestStaleness();
      const name = change.object.metadata?.name ?? '';
      const report = change.type === 'delete' ? undefined : readReplica(change.object);
      if (report === undefined) this.#told.delete(name);
      else {
        const seenAt = this.#options.monotonic();
        this.#told.set(name, { report, seenAt, hasChanged: this.leases.isSynced });
      }
      this.#tellWaiting();
      if (this.#longestStaleness() !== before) this.#options.onStaleness();
    });
  }

  /** How the replicas stand to a set now. Whoever asks is told when one that lags behind moves. */
  of(key: string, held: HeldSecret | undefined): Evidence {
    this.#waiting.delete(key);
    if (held === undefined) return { replicas: this.#replicas(undefined) };
    const replicas = this.#replicas(held);
    if (replicas.every(({ hasLoaded }) => hasLoaded)) return { replicas };
    this.#waiting.set(key, { held, seen: fingerprint(replicas) });
    const ends = this.#live()
      .filter(({ report }) => !hasLoaded(report, held))
      .map((told) => this.#lapsesAt(told));
    return { replicas, lapsesAt: Math.min(...ends) };
  }

  /**
   * Reads the Leases live: a watch may be late, and one of a replica that has just started is what
   * must not be missed when a key is taken for published.
   * @throws ApiError
   */
  async refresh(): Promise<void> {
    const { kube, namespace } = this.#options;
    const { body } = await kube.request('GET', leasesPath(namespace), { query: QUERY });
    for (const lease of (body as { items: Lease[] }).items) this.leases.put(lease);
  }

  #replicas(held: HeldSecret | undefined): Replica[] {
    return this.#live().map(({ report }) => {
      const { pod, maxStaleness, unloadable } = report;
      const cannot = held !== undefined && unloadable.includes(held.uid);
      return {
        name: `issuer ${pod}`,
        hasLoaded: held === undefined || hasLoaded(report, held),
        maxStaleness,
        ...(cannot && { fault: 'it cannot read the Secret, and its log says why' }),
      };
    });
  }

  #live(): Told[] {
    const now = this.#options.now();
    return [...this.#told.values()]
      .filter((told) => now < this.#lapsesAt(told))
      .sort((a, b) => a.report.pod.localeCompare(b.report.pod));
  }

  #lapsesAt({ report, seenAt, hasChanged }: Told): Instant {
    const { now, monotonic, clockSkew } = this.#options;
    const life = report.maxStaleness + clockSkew;
    const bySeen = now() + seenAt + life - monotonic();
    return hasChanged ? bySeen : Math.min(bySeen, report.confirmedAt + life);
  }

  #tellWaiting(): void {
    for (const [key, { held, seen }] of this.#waiting) {
      if (fingerprint(this.#replicas(held)) === seen) continue;
      this.#waiting.delete(key);
      this.#options.onEvidence(key);
    }
  }

  #longestStaleness(): number {
    return Math.max(0, ...[...this.#told.values()].map(({ report }) => report.maxStaleness));
  }
}

function hasLoaded(
  { watermark, unloadable }: ReplicaReport,
  { uid, version }: HeldSecret,
): boolean {
  return watermark >= version && !unloadable.includes(uid);
}

function fingerprint(replicas: readonly Replica[]): string {
  return JSON.stringify(replicas.map(({ name, hasLoaded: has, fault }) => [name, has, fault]));
}
