import { SECOND } from '../api/constants.ts';
import { claimLoaded, replicaLeaseName, type Unloadable, writeReplica } from '../api/replica.ts';
import { backoffMs, sleep } from '../kube/backoff.ts';
import type { Kube } from '../kube/client.ts';
import { isAlreadyExists, isConflict, isNotFound, isRefusal } from '../kube/errors.ts';
import { type Lease, leasesPath, microTime } from '../kube/lease.ts';
import type { Log } from '../telemetry/log.ts';
import type { Stamp } from './keyrings.ts';

/** Who this replica is. */
export interface ReplicaIdentity {
  /** Of its pod; outside of a cluster any name that no other replica has. */
  readonly name: string;
  /** Of its pod: with the pod goes the Lease. Absent outside of a cluster. */
  readonly uid?: string;
}

interface ReplicaLeaseOptions {
  readonly kube: Pick<Kube, 'request'>;
  readonly namespace: string;
  readonly replica: ReplicaIdentity;
  /** R, in milliseconds. */
  readonly maxStaleness: number;
  /** The version as of which Secrets were loaded; undefined before the first list. */
  readonly seen: () => string | undefined;
  readonly unloadable: () => readonly Unloadable[];
  /** Whether there is any set to publish. */
  readonly hasSets: () => boolean;
  readonly log: Log;
  readonly onWrite: (result: 'written' | 'failed') => void;
  /** Told once that the controller can know of this replica: what is held is to be confirmed anew. */
  readonly onFirstWrite: () => void;
}

/** Many Secrets may change at once: one write tells of all. */
const SPACING = SECOND;
/** One that somebody deletes or edits is put right after so long: until then it is not counted. */
const LOOK_EVERY = 10 * SECOND;
const RETRY = { baseMs: 500, maxMs: 15 * SECOND, jitter: 0.5 };
const TIMEOUT = 5 * SECOND;
/** The pod is about to go; what stays ends by itself. */
const RELEASE_TIMEOUT = 2 * SECOND;
/** A cluster that takes no writes changes no keys either: better served than waited for, until R. */
const UNANNOUNCED_AT_MOST = 30 * SECOND;
const TRIES = 3;

/**
 * The Lease by which the controller knows what this replica has loaded (design section 2). One that
 * was written counts for R + S with the controller, so after a failure to write it this replica
 * signs on for R.
 */
export class ReplicaLease {
  readonly #options: ReplicaLeaseOptions;
  readonly #collection: string;
  readonly #path: string;
  #confirmed: Stamp | undefined;
  #firstConfirmedAt: number | undefined;
  #firstWrittenAt: number | undefined;
  #lease: Lease | undefined;
  #told: string | undefined;
  #writtenAt = Number.NEGATIVE_INFINITY;
  /** When the write that succeeded last was begun. */
  #countsFrom: number | undefined;
  /** The API server answered, and will not have it: waiting mends nothing. */
  #isRefused = false;
  #news = new AbortController();
  #stopped: AbortSignal | undefined;

  constructor(options: ReplicaLeaseOptions) {
    this.#options = options;
    this.#collection = leasesPath(options.namespace);
    this.#path = `${this.#collection}/${replicaLeaseName(options.replica.name)}`;
  }

  /** What is loaded was confirmed. @param at as of when. */
  confirmed(at: Stamp): void {
    this.#confirmed = at;
    this.#firstConfirmedAt ??= at.monotonic;
    this.#news.abort();
  }

  /** Something was loaded, or could not be. */
  changed(): void {
    this.#news.abort();
  }

  /**
   * Whether this replica may be sent requests: either the controller waits for it, and it has
   * confirmed what the controller did before it could know of it; or no Lease can be written. Where
   * it is refused that is a mistake, which an installation is to show; but sets that are there
   * already are to be published. Else why not.
   */
  announced(): true | string {
    const { monotonic: confirmedAt = 0 } = this.#confirmed ?? {};
    if (this.#firstWrittenAt !== undefined && confirmedAt > this.#firstWrittenAt) return true;
    const now = performance.now();
    const waited = now - (this.#firstConfirmedAt ?? now);
    const isNeeded = !this.#isRefused || this.#options.hasSets();
    const patience = Math.min(UNANNOUNCED_AT_MOST, this.#options.maxStaleness);
    const isExcused = waited >= patience && isNeeded;
    return isExcused || 'the Lease of this replica is not written yet';
  }

  /**
   * Whether the controller still waits for this replica, so that it may sign; else why not. Before
   * the first write, R counts from the first confirmation.
   */
  counts(): true | string {
    const since = this.#countsFrom ?? this.#firstConfirmedAt;
    const age = since === undefined ? 0 : performance.now() - since;
    if (age < this.#options.maxStaleness) return true;
    return `the Lease of this replica could not be written for ${Math.round(age / SECOND)} s`;
  }

  /** Keeps the Lease until the signal aborts, then deletes it. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { log, onWrite, maxStaleness } = this.#options;
    const retry = { ...RETRY, maxMs: Math.min(RETRY.maxMs, maxStaleness / 4) };
    this.#stopped = signal;
    let failures = 0;
    while (!signal.aborted) {
      try {
        await this.#keep(signal);
        failures = 0;
        this.#isRefused = false;
        await this.#nextTurn(signal);
      } catch (error) {
        if (signal.aborted) break;
        failures += 1;
        this.#isRefused = isRefusal(error);
        onWrite('failed');
        log.warn({ err: error, failures }, 'The Lease of this replica could not be written.');
        await sleep(backoffMs(retry, failures, error), signal);
      }
    }
    await this.#release();
  }

  /** Waits for something to tell, or until it is time to look whether the Lease is still there. */
  async #nextTurn(signal: AbortSignal): Promise<void> {
    const quarter = this.#options.maxStaleness / 4;
    await sleep(
      Math.min(LOOK_EVERY, Math.max(SPACING, quarter)),
      AbortSignal.any([signal, this.#news.signal]),
    );
    const spacing = Math.min(SPACING, quarter) - (performance.now() - this.#writtenAt);
    if (spacing > 0) await sleep(spacing, signal);
  }

  async #keep(signal: AbortSignal): Promise<void> {
    this.#news = new AbortController();
    const content = this.#content();
    if (content === undefined || signal.aborted) return;
    const text = JSON.stringify(content);
    if (text === this.#told && (await this.#isUntouched())) return;
    const begunAt = performance.now();
    await this.#write(content);
    this.#countsFrom = begunAt;
    this.#told = text;
    this.#writtenAt = performance.now();
    this.#options.onWrite('written');
    if (this.#firstWrittenAt !== undefined) return;
    this.#firstWrittenAt = this.#writtenAt;
    this.#options.onFirstWrite();
  }

  #content(): Lease | undefined {
    const { replica, maxStaleness, seen, unloadable } = this.#options;
    const version = seen();
    if (version === undefined || this.#confirmed === undefined) return undefined;
    const { name, uid } = replica;
    const { metadata, spec } = writeReplica({
      pod: name,
      maxStaleness,
      ...claimLoaded(BigInt(version), unloadable()),
    });
    const owner = { apiVersion: 'v1', kind: 'Pod', name, uid };
    return {
      metadata: { ...metadata, ...(uid === undefined ? {} : { ownerReferences: [owner] }) },
      spec: { ...spec, renewTime: microTime(this.#confirmed.wall) },
    };
  }

  async #isUntouched(): Promise<boolean> {
    const known = this.#lease?.metadata?.resourceVersion;
    this.#lease = await this.#read();
    return known !== undefined && this.#lease?.metadata?.resourceVersion === known;
  }

  /** Over whatever stands there under the name of this pod: a process before this one wrote it. */
  async #write(content: Lease): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      try {
        this.#lease = await this.#put(content);
        return;
      } catch (error) {
        const raced = isAlreadyExists(error) || isConflict(error) || isNotFound(error);
        if (!raced || tries >= TRIES) throw error;
        this.#lease = await this.#read();
      }
    }
  }

  #put({ metadata, spec }: Lease): Promise<Lease> {
    const { uid, resourceVersion } = this.#lease?.metadata ?? {};
    const name = replicaLeaseName(this.#options.replica.name);
    const body = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name, ...metadata, uid, resourceVersion },
      spec,
    };
    return this.#lease === undefined
      ? this.#call('POST', this.#collection, body)
      : this.#call('PUT', this.#path, body);
  }

  async #read(): Promise<Lease | undefined> {
    try {
      return await this.#call('GET', this.#path);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** From now on nobody waits for this replica. */
  async #release(): Promise<void> {
    const { kube, log } = this.#options;
    const uid = this.#lease?.metadata?.uid;
    if (uid === undefined) return;
    const body = { preconditions: { uid } };
    try {
      await kube.request('DELETE', this.#path, { body, timeoutMs: RELEASE_TIMEOUT });
    } catch (error) {
      if (isNotFound(error) || isConflict(error)) return;
      log.warn({ err: error }, 'The Lease of this replica stays; it lapses by itself.');
    }
  }

  async #call(method: string, path: string, body?: object): Promise<Lease> {
    const { kube } = this.#options;
    const signal = this.#stopped;
    const patience = {
      apart: true,
      timeoutMs: TIMEOUT,
      ...(signal === undefined ? {} : { signal }),
    };
    const answer = await kube.request(method, path, { body, ...patience });
    return answer.body as Lease;
  }
}
