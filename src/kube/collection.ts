import { isForbidden } from './errors.ts';
import { Reflector, type ReflectorOptions } from './reflector.ts';
import type { Change, StoredObject } from './store.ts';

/** A local copy of objects of one kind: what a `Reflector` is to those who read it. */
export type Collection<T extends StoredObject> = Pick<
  Reflector<T>,
  'get' | 'list' | 'put' | 'remove' | 'subscribe' | 'run' | 'synced' | 'isSynced' | 'problem'
>;

interface NamespacedOptions<T extends StoredObject>
  extends Omit<ReflectorOptions<T>, 'path' | 'onProblem'> {
  readonly namespaces: readonly string[];
  /** The collection of one namespace, such as `/api/v1/namespaces/x/secrets`. */
  readonly pathIn: (namespace: string) => string;
  /** Called with a namespace that may not be read, or may be again. */
  readonly onReadable?: (namespace: string) => void;
}

/** One namespace of several. */
interface Part<T extends StoredObject> {
  readonly reflector: Reflector<T>;
  /** Resolves once it is read whole, or is known not to be readable; rejects when stopped before. */
  readonly settled: Promise<void>;
  isForbidden: boolean;
}

/**
 * Objects of some namespaces, each with a list and a watch of its own. A namespace that we may not
 * read keeps none of the others waiting: it is tried again, and what was read of it before stays.
 */
export class NamespacedCollection<T extends StoredObject> implements Collection<T> {
  readonly #parts: ReadonlyMap<string, Part<T>>;

  constructor({ namespaces, pathIn, onReadable, ...options }: NamespacedOptions<T>) {
    const make = (namespace: string): Part<T> =>
      partOf({ ...options, path: pathIn(namespace) }, () => onReadable?.(namespace));
    this.#parts = new Map(namespaces.map((each) => [each, make(each)]));
  }

  /** Whether each namespace is read whole, but for those that we may not read. */
  get isSynced(): boolean {
    return this.#unsettled.length === 0;
  }

  get synced(): Promise<void> {
    return Promise.all(this.#all.map(({ settled }) => settled)).then(() => undefined);
  }

  get problem(): unknown {
    return this.#unsettled.find(({ problem }) => problem !== undefined)?.problem;
  }

  /** The namespaces that we may not read: what is held of them may be old, or nothing. */
  get forbidden(): readonly string[] {
    return [...this.#parts].filter(([, { isForbidden: is }]) => is).map(([namespace]) => namespace);
  }

  get(namespace: string | undefined, name: string): T | undefined {
    return this.#in(namespace)?.get(namespace, name);
  }

  list(): T[] {
    return this.#all.flatMap(({ reflector }) => reflector.list());
  }

  put(object: T): void {
    this.#in(object.metadata?.namespace)?.put(object);
  }

  remove(object: T): void {
    this.#in(object.metadata?.namespace)?.remove(object);
  }

  subscribe(handler: (change: Change<T>) => void): () => void {
    const ends = this.#all.map(({ reflector }) => reflector.subscribe(handler));
    return () => {
      for (const end of ends) end();
    };
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#all.map(({ reflector }) => reflector.run(signal)));
  }

  get #all(): readonly Part<T>[] {
    return [...this.#parts.values()];
  }

  get #unsettled(): readonly Reflector<T>[] {
    const left = this.#all.filter((part) => !(part.reflector.isSynced || part.isForbidden));
    return left.map(({ reflector }) => reflector);
  }

  #in(namespace: string | undefined): Reflector<T> | undefined {
    return namespace === undefined ? undefined : this.#parts.get(namespace)?.reflector;
  }
}

function partOf<T extends StoredObject>(
  options: ReflectorOptions<T>,
  onReadable: () => void,
): Part<T> {
  const refused = Promise.withResolvers<void>();
  const onProblem = (problem?: unknown) => {
    // Only an answer ends it: one that cannot be reached either has told nothing new.
    const is = problem === undefined ? false : part.isForbidden || isForbidden(problem);
    if (is === part.isForbidden) return;
    part.isForbidden = is;
    refused.resolve();
    onReadable();
  };
  const reflector = new Reflector<T>({ ...options, onProblem });
  const settled = Promise.race([reflector.synced, refused.promise]);
  settled.catch(() => {}); // Whoever awaits it hears of it; nobody has to.
  const part: Part<T> = { reflector, settled, isForbidden: false };
  return part;
}
