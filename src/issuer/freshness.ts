import { DAY, SECOND } from '../api/constants.ts';
import { backoffMs, sleep } from '../kube/backoff.ts';
import { type Kube, METADATA_ONLY } from '../kube/client.ts';
import { isUnanswered } from '../kube/errors.ts';
import { skewBetween } from '../kube/skew.ts';
import type { StoredObject } from '../kube/store.ts';
import type { Log } from '../telemetry/log.ts';
import type { Holding, Stamp } from './keyrings.ts';
import { lapsed, unavailable } from './locate.ts';

/** What the reflector of key Secrets knows. */
interface LocalCopy {
  readonly lastSeenResourceVersion: string | undefined;
  list(): readonly StoredObject[];
}

interface Listing {
  readonly resourceVersion: string;
  readonly items: readonly StoredObject[];
}

export interface FreshnessOptions {
  readonly kube: Pick<Kube, 'request'>;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly copy: LocalCopy;
  /** R: how long a replica signs on what it last confirmed, in milliseconds. */
  readonly maxStaleness: number;
  /** S: how far our clock and the API server's may be apart, in milliseconds. */
  readonly clockSkew: number;
  readonly clock: () => number;
  readonly log: Log;
  /** Why the controller may count without this replica; true while it does not. */
  readonly counts: () => true | string;
  /** Told of when each confirmation is. */
  readonly onConfirmed: (at: Stamp) => void;
  /** Told that the copy is not of what is listed: its watch is dead, though it looks quiet. */
  readonly onBehind: () => void;
  /** Told how far our clock and the API server's are apart, in milliseconds. */
  readonly onSkew: (ms: number) => void;
}

/** How long, in milliseconds, a replica publishes what it could not confirm any more. */
const PUBLISH_UNCONFIRMED = DAY;
/** Nobody may be ready until one is confirmed, so an API server that comes back is asked soon. */
const RETRY = { baseMs: 200, maxMs: 5 * SECOND, jitter: 0.5 };
const LONGEST_LIST = 10 * SECOND;
/** An event may be on its way when the list is made; after so many tries it is not. */
const BEHIND_FOR_GOOD = 3;

/**
 * Whether this replica may sign (I14): what it holds was confirmed, within R, by a list that the
 * API server answered consistently. A quiet watch confirms nothing, because a dead one is as quiet.
 */
export class Freshness {
  readonly #options: FreshnessOptions;
  #confirmed: Stamp | undefined;
  #skew = 0;
  /** When it was asked last, the API server gave no answer at all, or listed what is not held. */
  #isAlone = false;
  #toldToSign = false;
  #hurry = new AbortController();
  /** The confirmation since which a jump of the clock was seen, and another one asked for. */
  #doubted: Stamp | undefined;

  constructor(options: FreshnessOptions) {
    this.#options = options;
  }

  /** When what is held was last confirmed; undefined before the first time. */
  get confirmed(): Stamp | undefined {
    return this.#confirmed;
  }

  /** Since what is held was confirmed, in milliseconds; the larger of wall and monotonic time. */
  age(confirmed = this.#confirmed): number {
    if (confirmed === undefined) return Number.POSITIVE_INFINITY;
    const { wall, monotonic } = confirmed;
    return Math.max(this.#options.clock() - wall, performance.now() - monotonic);
  }

  /**
   * Whether this goes on publishing, by monotonic time alone: what is published may be stale, so a
   * wrong clock takes it away from nobody.
   */
  publishes(): boolean {
    if (this.#confirmed === undefined) return false;
    return performance.now() - this.#confirmed.monotonic < PUBLISH_UNCONFIRMED;
  }

  /** Why nothing may be signed now, in words; true when it may. Asked for each request. */
  check(): true | string {
    const { clock, maxStaleness, clockSkew, counts } = this.#options;
    if (this.#confirmed === undefined) return 'the key Secrets were not confirmed yet';
    const byWall = clock() - this.#confirmed.wall;
    const elapsed = performance.now() - this.#confirmed.monotonic;
    const jump = Math.abs(byWall - elapsed);
    if (jump > clockSkew) {
      this.#doubt(this.#confirmed);
      return `the clock jumped by ${Math.round(jump / SECOND)} s, and is to be compared again`;
    }
    const age = Math.max(byWall, elapsed);
    if (age >= maxStaleness) {
      return `the key Secrets were last confirmed ${Math.round(age / SECOND)} s ago`;
    }
    if (this.#skew > clockSkew) {
      return `the clock differs from the API server's by ${Math.round(this.#skew / SECOND)} s`;
    }
    return counts();
  }

  /**
   * Whether this replica may be sent requests; else why not. One that is cut off, or behind, and signs
   * no more makes room for those that are not. Where the API server will not answer, or has another
   * time than ours, the cause may be that of all replicas: none would be left to publish. That ends
   * where it publishes no more either.
   */
  serves(): true | string {
    return (!this.#isAlone && this.publishes()) || this.check();
  }

  /** A jump of the clock asks for another confirmation, once. */
  #doubt(confirmed: Stamp): void {
    if (this.#doubted === confirmed) return;
    this.#doubted = confirmed;
    this.again();
  }

  /**
   * Whether this may sign, as far as it depends on how old it is (I14): the last good copy of a
   * damaged Secret counts from when it was last confirmed itself.
   * @throws Refusal `replica_lapsed`, `keyring_unavailable`.
   */
  require({ kept }: Pick<Holding, 'kept'>): void {
    if (this.check() !== true) {
      throw lapsed();
    }
    if (kept === undefined) return;
    const { confirmed } = kept;
    const isOld = confirmed === undefined || this.age(confirmed) >= this.#options.maxStaleness;
    if (isOld) throw unavailable();
  }

  /** Confirms once more as soon as it can. */
  again(): void {
    this.#hurry.abort();
  }

  /** Confirms every R/4 until the signal aborts; a failure is tried again sooner. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { maxStaleness, log } = this.#options;
    let failures = 0;
    let behind = 0;
    while (!signal.aborted) {
      this.#hurry = new AbortController();
      let confirmed = false;
      try {
        confirmed = await this.#confirm(signal);
        this.#isAlone = !confirmed;
        behind = confirmed ? 0 : behind + 1;
      } catch (error) {
        this.#isAlone = isUnanswered(error);
        if (!signal.aborted) log.warn({ err: error }, 'Could not confirm the key Secrets.');
      }
      this.#tell();
      if (behind >= BEHIND_FOR_GOOD) {
        behind = 0;
        this.#options.onBehind();
      }
      failures = confirmed ? 0 : failures + 1;
      const pause = maxStaleness / 4;
      await sleep(
        confirmed ? pause : Math.min(pause, backoffMs(RETRY, failures)),
        AbortSignal.any([signal, this.#hurry.signal]),
      );
    }
  }

  /** Once for each change: a probe that says ready does not tell that nothing is signed. */
  #tell(): void {
    const may = this.check();
    if ((may === true) === this.#toldToSign) return;
    this.#toldToSign = may === true;
    const { log } = this.#options;
    if (may === true) log.info({}, 'May sign.');
    else log.error({ reason: may }, 'Signs nothing, and goes on publishing.');
  }

  async #confirm(signal: AbortSignal): Promise<boolean> {
    const { kube, path, query, copy, clock, log, maxStaleness } = this.#options;
    const [wall, monotonic] = [clock(), performance.now()];
    const seenBefore = BigInt(copy.lastSeenResourceVersion ?? 0);
    // Without a resourceVersion the answer is consistent: not older than the question.
    const { body, date } = await kube.request('GET', path, {
      query,
      accept: METADATA_ONLY,
      signal,
      apart: true,
      timeoutMs: Math.min(LONGEST_LIST, maxStaleness / 4),
    });
    this.#skew = date === undefined ? 0 : skewBetween(date, wall, clock());
    this.#options.onSkew(this.#skew);
    const listing = asListing(body);
    if (BigInt(listing.resourceVersion) < seenBefore) {
      // A consistent list is not older than what was seen before it: history began anew, as when
      // etcd was restored. Nothing that is held says anything about it.
      this.#options.onBehind();
      return false;
    }
    if (!holds(copy, listing)) {
      log.debug({ resourceVersion: listing.resourceVersion }, 'The watch is behind the list.');
      return false;
    }
    this.#confirmed = { wall, monotonic };
    this.#options.onConfirmed(this.#confirmed);
    return true;
  }
}

/** Whether the copy has everything that the list shows, or something newer. */
function holds(copy: LocalCopy, { resourceVersion, items }: Listing): boolean {
  const listedAt = BigInt(resourceVersion);
  if (copy.lastSeenResourceVersion === undefined) return false;
  const held = versions(copy.list());
  const listed = versions(items);
  return (
    [...listed].every(([name, version]) => isAsListed(held.get(name), version, listedAt)) &&
    [...held].every(([name, version]) => listed.has(name) || version > listedAt)
  );
}

/** What is held is as it was listed, or newer than the list; else it is of another history. */
function isAsListed(held: bigint | undefined, version: bigint, listedAt: bigint): boolean {
  return held === version || (held !== undefined && held > listedAt);
}

function versions(objects: readonly StoredObject[]): Map<string, bigint> {
  return new Map(
    objects.map(({ metadata }) => [metadata?.name ?? '', BigInt(metadata?.resourceVersion ?? 0)]),
  );
}

function asListing(body: unknown): Listing {
  const { kind, metadata, items } = body as {
    kind?: string;
    metadata?: { resourceVersion?: string };
    items?: StoredObject[] | null;
  };
  if (kind !== 'PartialObjectMetadataList' || metadata?.resourceVersion === undefined) {
    throw new TypeError('the API server did not answer with a list of metadata');
  }
  // A list of nothing has null for items.
  return { resourceVersion: metadata.resourceVersion, items: items ?? [] };
}
