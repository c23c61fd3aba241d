import type { Log } from './log.ts';
import { RecentMap } from './recent-map.ts';

/** What every Kubernetes object has, whoever made its type. */
export interface StoredObject {
  readonly metadata?: Identity;
}

interface Identity {
  readonly namespace?: string;
  readonly name?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
}

export type Change<T> =
  | { readonly type: 'upsert'; readonly object: T; readonly previous?: T }
  | {
      readonly type: 'delete';
      readonly object: T;
      /** Whether it is as it was in the end; else it was only found missing, and may have changed. */
      readonly isLast: boolean;
    };

/** Which version of which object. */
export interface Identified {
  readonly metadata: { readonly [name in keyof Identity]: Identity[name] | undefined };
}

/** An entry of a list; without `object` where that could not be parsed. */
interface Listed<T> extends Identified {
  readonly object: T | undefined;
}

/** So many deletions are remembered: more than answers can be on their way at once. */
const REMEMBERED_DELETIONS = 4_096;
/** Of what we deleted ourselves, until the server tells the version of that. */
const ANY_VERSION = 2n ** 64n;

/**
 * Objects by namespace and name. What is newer wins, whichever way it came: a write's own answer, a
 * list or a watch may overtake each other. resourceVersions of one collection compare as integers.
 */
export class Store<T extends StoredObject> {
  readonly #log: Log;
  readonly #objects = new Map<string, T>();
  /**
   * By uid, the version as of which an object is gone: an older event, an older list, or the late
   * answer of a write from before the deletion may still show it. It may come back by a newer
   * version, where a selector left it out for a while.
   */
  readonly #gone = new RecentMap<string, bigint>(REMEMBERED_DELETIONS);
  /** By key, the versions that could not be parsed: seen, though not held. */
  readonly #skipped = new Map<string, bigint>();
  readonly #handlers = new Set<(change: Change<T>) => void>();

  constructor(log: Log) {
    this.#log = log;
  }

  get(namespace: string | undefined, name: string): T | undefined {
    return this.#objects.get(`${namespace ?? ''}/${name}`);
  }

  list(): T[] {
    return [...this.#objects.values()];
  }

  subscribe(handler: (change: Change<T>) => void): () => void {
    this.#handlers.add(handler);
    return () => this.#handlers.delete(handler);
  }

  put(object: T): void {
    const key = keyOf(object);
    const previous = this.#objects.get(key);
    if (versionOf(object) <= (this.#gone.get(uidOf(object)) ?? -1n)) return;
    if (previous !== undefined && versionOf(object) <= versionOf(previous)) return;
    this.#objects.set(key, object);
    this.#notify({ type: 'upsert', object, ...(previous === undefined ? {} : { previous }) });
  }

  /** A version that cannot be parsed: the last good one stays. */
  skip(entry: Identified | StoredObject): void {
    this.#skipped.set(keyOf(entry), versionOf(entry));
  }

  /** We deleted it: its uid never comes back, even if an older event says so. */
  remove(object: T): void {
    const held = this.#objects.get(keyOf(object));
    if (held === undefined || uidOf(held) !== uidOf(object)) return;
    this.#gone.set(uidOf(object), ANY_VERSION);
    this.#objects.delete(keyOf(object));
    this.#notify({ type: 'delete', object: held, isLast: true });
  }

  /** The server says that it is deleted. @param last its last state, where that could be read. */
  deleted(object: StoredObject, last?: T): void {
    const held = this.#objects.get(keyOf(object));
    this.#skipped.delete(keyOf(object));
    this.#gone.set(uidOf(object), versionOf(object));
    if (held === undefined || versionOf(held) > versionOf(object)) return;
    this.#objects.delete(keyOf(object));
    this.#notify({ type: 'delete', object: last ?? held, isLast: last !== undefined });
  }

  /** A whole list as of a version: what is not in it, and not newer than it, is gone. */
  retain(listed: readonly Identified[], version: string): void {
    const keys = new Set(listed.map(keyOf));
    for (const key of this.#skipped.keys()) if (!keys.has(key)) this.#skipped.delete(key);
    for (const [key, held] of this.#objects) {
      if (keys.has(key) || versionOf(held) > BigInt(version)) continue;
      this.#gone.set(uidOf(held), BigInt(version));
      this.#objects.delete(key);
      this.#notify({ type: 'delete', object: held, isLast: false });
    }
  }

  /**
   * Whether what is held cannot come from the history of a server that lists this as of `version`:
   * it would show our version of an object, or a newer one, and nothing of up to `seen` is news.
   */
  contradicts(listed: readonly Identified[], version: bigint, seen: bigint): boolean {
    return listed.some((entry) => {
      const theirs = versionOf(entry);
      const held = this.#objects.get(keyOf(entry));
      const last = this.#skipped.get(keyOf(entry)) ?? -1n;
      const ours = held !== undefined && versionOf(held) > last ? versionOf(held) : last;
      return (theirs < ours && ours <= version) || (ours < theirs && theirs <= seen);
    });
  }

  /**
   * A whole list from a server whose versions began anew, as when etcd was restored: it takes the
   * place of everything, as what is held can no longer be compared with it.
   */
  restart(listed: readonly Listed<T>[]): void {
    this.#gone.clear();
    const keys = new Set(listed.map(keyOf));
    for (const [key, held] of this.#objects) {
      if (keys.has(key)) continue;
      this.#objects.delete(key);
      this.#notify({ type: 'delete', object: held, isLast: false });
    }
    this.#skipped.clear();
    for (const entry of listed) {
      const { object } = entry;
      if (object === undefined) {
        this.skip(entry);
        continue;
      }
      const previous = this.#objects.get(keyOf(object));
      this.#objects.set(keyOf(object), object);
      this.#notify({ type: 'upsert', object, ...(previous === undefined ? {} : { previous }) });
    }
  }

  #notify(change: Change<T>): void {
    for (const handler of this.#handlers) {
      try {
        handler(change);
      } catch (error) {
        this.#log.error({ err: error, object: keyOf(change.object) }, 'a subscriber threw');
      }
    }
  }
}

function keyOf({ metadata }: StoredObject | Identified): string {
  return `${metadata?.namespace ?? ''}/${metadata?.name ?? ''}`;
}

function uidOf({ metadata }: StoredObject): string {
  return metadata?.uid ?? '';
}

function versionOf({ metadata }: StoredObject | Identified): bigint {
  return BigInt(metadata?.resourceVersion ?? 0);
}
