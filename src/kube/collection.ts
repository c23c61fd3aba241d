import { Reflector, type ReflectorOptions } from './reflector.ts';
import type { Change, StoredObject } from './store.ts';

/** A local copy of objects of one kind: what a `Reflector` is to those who read it. */
export type Collection<T extends StoredObject> = Pick<
  Reflector<T>,
  'get' | 'list' | 'put' | 'remove' | 'subscribe' | 'run' | 'synced' | 'isSynced' | 'problem'
>;

interface NamespacedOptions<T extends StoredObject> extends Omit<ReflectorOptions<T>, 'path'> {
  readonly namespaces: readonly string[];
  /** The collection of one namespace, such as `/api/v1/namespaces/x/secrets`. */
  readonly pathIn: (namespace: string) => string;
}

/** Objects of some namespaces, each with a list and a watch of its own. */
export class NamespacedCollection<T extends StoredObject> implements Collection<T> {
  readonly #parts: ReadonlyMap<string, Reflector<T>>;

  constructor({ namespaces, pathIn, ...options }: NamespacedOptions<T>) {
    this.#parts = new Map(
      namespaces.map((each) => [each, new Reflector<T>({ ...options, path: pathIn(each) })]),
    );
  }

  get isSynced(): boolean {
    return this.#all.every(({ isSynced }) => isSynced);
  }

  get synced(): Promise<void> {
    return Promise.all(this.#all.map(({ synced }) => synced)).then(() => undefined);
  }

  get problem(): unknown {
    return this.#all.find(({ problem }) => problem !== undefined)?.problem;
  }

  get(namespace: string | undefined, name: string): T | undefined {
    return this.#in(namespace)?.get(namespace, name);
  }

  list(): T[] {
    return this.#all.flatMap((part) => part.list());
  }

  put(object: T): void {
    this.#in(object.metadata?.namespace)?.put(object);
  }

  remove(object: T): void {
    this.#in(object.metadata?.namespace)?.remove(object);
  }

  subscribe(handler: (change: Change<T>) => void): () => void {
    const ends = this.#all.map((part) => part.subscribe(handler));
    return () => {
      for (const end of ends) end();
    };
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#all.map((part) => part.run(signal)));
  }

  get #all(): readonly Reflector<T>[] {
    return [...this.#parts.values()];
  }

  #in(namespace: string | undefined): Reflector<T> | undefined {
    return namespace === undefined ? undefined : this.#parts.get(namespace);
  }
}
