import { type Backoff, backoffMs, sleep } from './backoff.ts';
import {
  type CallOptions,
  type Kube,
  METADATA_ONLY,
  type Query,
  type WatchEvent,
} from './client.ts';
import { ApiError, isGone } from './errors.ts';
import type { Log } from './log.ts';
import { type Change, type Identified, Store, type StoredObject } from './store.ts';

export interface ReflectorOptions<T extends StoredObject> {
  readonly kube: Kube;
  /** The collection, such as `/api/v1/namespaces/x/secrets`. */
  readonly path: string;
  /** Selectors, such as `{ fieldSelector: 'type=…' }`. */
  readonly query?: Query;
  /** Checks or converts what the server sent. Default: trust the server with the type. */
  readonly parse?: (object: unknown) => T;
  readonly log: Log;
  /** Called with why a list or watch failed, and with nothing once one works again. */
  readonly onProblem?: (problem?: unknown) => void;
  /** Unix ms; for `lastContactAt` alone. */
  readonly clock?: () => number;
  readonly random?: () => number;
  /** How long one watch lasts before it is opened anew; varied by up to a fifth. Default 300. */
  readonly watchSeconds?: number;
  /** A watch so long without any event or bookmark counts as dead. Default 100 s. */
  readonly idleTimeoutMs?: number;
  /** How many objects one answer of a list has at most. Default 500. */
  readonly pageSize?: number;
}

const PAGE = 500;
const BACKOFF: Backoff = { baseMs: 200, maxMs: 15_000, jitter: 0.5 };
/** A watch that ends sooner, with nothing in it, counts as a failure: no tight loop. */
const SHORT_WATCH_MS = 1_000;
const QUESTION_TIMEOUT_MS = 5_000;

interface Page {
  metadata: { resourceVersion: string; continue?: string };
  /** A list of nothing may have null. */
  items: StoredObject[] | null;
}

/**
 * A local copy of one collection, kept up to date: a list, then watches resumed from the last
 * resourceVersion; a new list only where history is gone. Nothing but its signal stops it.
 */
export class Reflector<T extends StoredObject> {
  readonly #options: ReflectorOptions<T>;
  readonly #store: Store<T>;
  readonly #synced = Promise.withResolvers<void>();
  #isSynced = false;
  #resumeFrom: string | undefined;
  #lastSeen: string | undefined;
  /** A list whose deletions are still to come by the watch. */
  #owed: { readonly listed: readonly Identified[]; readonly resourceVersion: string } | undefined;
  #lastContactAt: number | undefined;
  #failures = 0;
  #problem: unknown;

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#store = new Store<T>(options.log);
    this.#synced.promise.catch(() => {}); // Whoever awaits it hears of it; nobody has to.
  }

  /** Resolves after the first whole list; rejects when stopped before that. */
  get synced(): Promise<void> {
    return this.#synced.promise;
  }

  get isSynced(): boolean {
    return this.#isSynced;
  }

  /** Of the last list or event that was loaded. Compare as BigInt. */
  get lastSeenResourceVersion(): string | undefined {
    return this.#lastSeen;
  }

  /** When the server last said anything, a bookmark included. Unix ms. */
  get lastContactAt(): number | undefined {
    return this.#lastContactAt;
  }

  /** Why the last list or watch failed, until one works. */
  get problem(): unknown {
    return this.#problem;
  }

  get(namespace: string | undefined, name: string): T | undefined {
    return this.#store.get(namespace, name);
  }

  list(): T[] {
    return this.#store.list();
  }

  /** Read your writes: takes what a write answered, unless something newer is here already. */
  put(object: T): void {
    this.#store.put(object);
  }

  /** Read your deletes: call it once the object is gone for good (no finalizer holds it). */
  remove(object: T): void {
    this.#store.remove(object);
  }

  /** Calls for each change from now on, in order. @returns how to end that. */
  subscribe(handler: (change: Change<T>) => void): () => void {
    return this.#store.subscribe(handler);
  }

  /** Runs until the signal aborts; then resolves. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    let isWhole = false;
    while (!signal.aborted) {
      try {
        if (this.#resumeFrom === undefined) await this.#relist(signal);
        else if (!isWhole) await this.#rejoin(signal);
        isWhole = false;
        await this.#follow(signal);
        isWhole = true;
      } catch (error) {
        if (!signal.aborted) await this.#recover(error, signal);
      }
    }
    this.#synced.reject(signal.reason);
  }

  async #recover(error: unknown, signal: AbortSignal): Promise<void> {
    const { path, log, random } = this.#options;
    if (isGone(error)) this.#resumeFrom = undefined;
    this.#failures = isGone(error) ? 1 : this.#failures + 1;
    const waitMs = Math.round(backoffMs(BACKOFF, this.#failures, error, random));
    const level = messageOf(error) === messageOf(this.#problem) ? 'debug' : 'warn';
    this.#problem = error;
    log[level](
      { path, err: error, failures: this.#failures, waitMs },
      'list or watch failed; trying again',
    );
    this.#options.onProblem?.(error);
    await sleep(waitMs, signal);
  }

  async #relist(signal: AbortSignal): Promise<void> {
    const { path, log, pageSize = PAGE } = this.#options;
    const { listed, resourceVersion } = await this.#list(signal, pageSize, (raw) => ({
      ...identityOf(raw),
      object: this.#parse(raw),
    }));
    if (this.#isAnotherHistory(listed, resourceVersion)) {
      log.warn({ path, resourceVersion, held: this.#lastSeen }, 'the server’s history began anew');
      this.#store.restart(listed);
    } else {
      this.#store.retain(listed, resourceVersion);
      for (const entry of listed) this.#take(entry, entry.object);
    }
    this.#owed = undefined;
    this.#isSynced = true;
    this.#progress(resourceVersion);
    log.debug({ path, count: listed.length, resourceVersion }, 'listed');
    this.#synced.resolve();
  }

  /**
   * Before a watch that broke goes on: whether it can. After etcd was put back to a backup, a watch
   * from a version of before is silent, or tells of other versions than those that we missed.
   */
  async #rejoin(signal: AbortSignal): Promise<void> {
    const options = { accept: METADATA_ONLY, timeoutMs: QUESTION_TIMEOUT_MS };
    const { listed, resourceVersion } = await this.#list(signal, PAGE, identityOf, options);
    if (this.#isAnotherHistory(listed, resourceVersion)) return await this.#relist(signal);
    // What is not in the list is gone: the watch tells so, unless that was in another history.
    this.#owed = { listed, resourceVersion };
  }

  #isAnotherHistory(listed: readonly Identified[], resourceVersion: string): boolean {
    const seen = this.#lastSeen;
    if (seen === undefined) return false;
    const version = BigInt(resourceVersion);
    return version < BigInt(seen) || this.#store.contradicts(listed, version, BigInt(seen));
  }

  async #list<Entry>(
    signal: AbortSignal,
    limit: number,
    read: (raw: StoredObject) => Entry,
    options: CallOptions = {},
  ): Promise<{ readonly listed: readonly Entry[]; readonly resourceVersion: string }> {
    const listed: Entry[] = [];
    let page: Page | undefined;
    do {
      page = await this.#page(signal, { limit, continue: page?.metadata.continue }, options);
      for (const raw of page.items ?? []) listed.push(read(raw));
    } while (page.metadata.continue);
    return { listed, resourceVersion: page.metadata.resourceVersion };
  }

  async #page(signal: AbortSignal, more: Query, options: CallOptions): Promise<Page> {
    const { kube, path, query } = this.#options;
    const { body } = await kube.request('GET', path, {
      ...options,
      query: { ...query, ...more },
      signal,
    });
    if (isPage(body)) return body;
    throw new ApiError(500, 'NotAList', `GET ${path} did not answer with a list`);
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { kube, path, query, watchSeconds = 300, random = Math.random } = this.#options;
    const { idleTimeoutMs } = this.#options;
    const startedAt = performance.now();
    const events = kube.watch(path, {
      query: {
        ...query,
        resourceVersion: this.#resumeFrom,
        allowWatchBookmarks: true,
        timeoutSeconds: Math.round(watchSeconds * (0.8 + 0.4 * random())),
      },
      signal,
      ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }),
    });
    let count = 0;
    for await (const event of events) {
      count += 1;
      this.#apply(event);
    }
    if (count === 0 && performance.now() - startedAt < SHORT_WATCH_MS) {
      throw new ApiError(0, 'Unreachable', `the watch of ${path} ended as soon as it began`);
    }
    this.#contact();
  }

  #apply({ type, object }: WatchEvent): void {
    if (type === 'DELETED') this.#store.deleted(object, this.#parse(object));
    else if (type !== 'BOOKMARK') this.#take(object, this.#parse(object));
    this.#progress(versionOf(object));
  }

  #take(raw: StoredObject | Identified, object: T | undefined): void {
    if (object === undefined) this.#store.skip(raw);
    else this.#store.put(object);
  }

  #progress(resourceVersion: string): void {
    this.#resumeFrom = resourceVersion;
    this.#lastSeen = resourceVersion;
    if (this.#owed !== undefined && !isOlder(resourceVersion, this.#owed.resourceVersion)) {
      this.#store.retain(this.#owed.listed, this.#owed.resourceVersion);
      this.#owed = undefined;
    }
    this.#contact();
  }

  #contact(): void {
    this.#lastContactAt = (this.#options.clock ?? Date.now)();
    this.#failures = 0;
    const hadProblem = this.#problem !== undefined;
    this.#problem = undefined;
    if (hadProblem) this.#options.onProblem?.();
  }

  /** One object that does not parse must not hide the others, nor its own last good state. */
  #parse(raw: StoredObject): T | undefined {
    const { parse = (object: unknown) => object as T, path, log } = this.#options;
    try {
      return parse(raw);
    } catch (error) {
      const { namespace, name } = raw.metadata ?? {};
      log.error({ path, namespace, name, err: error }, 'an object is not what it should be');
      return undefined;
    }
  }
}

function isPage(body: unknown): body is Page {
  return (
    typeof body === 'object' &&
    body !== null &&
    'items' in body &&
    (body.items === null || Array.isArray(body.items))
  );
}

/** Whether one resourceVersion of a collection is from before another. */
function isOlder(version: string, than: string): boolean {
  return BigInt(version) < BigInt(than);
}

function identityOf({ metadata }: StoredObject): Identified {
  const { namespace, name, uid, resourceVersion } = metadata ?? {};
  return { metadata: { namespace, name, uid, resourceVersion } };
}

function versionOf({ metadata }: StoredObject): string {
  const version = metadata?.resourceVersion;
  if (version === undefined)
    throw new ApiError(500, 'NoVersion', 'an event has no resourceVersion');
  return version;
}

/** The same failure again is told once. */
function messageOf(error: unknown): string | undefined {
  return error instanceof Error ? error.message : undefined;
}
