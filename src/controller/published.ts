import { SET_NAME_LABEL, SET_UID_LABEL } from '../api/constants.ts';
import type { Reflector } from '../kube/reflector.ts';
import type { ConfigMapObject } from './objects.ts';

interface Entry {
  readonly object: ConfigMapObject;
  /** `<namespace>/<name of the set>`, where the label tells it. */
  readonly set: string | undefined;
  /** `<namespace>/<uid of the set>` */
  readonly uid: string | undefined;
}

/** Our ConfigMaps by the set that they were made for: each pass asks, so nobody looks at all. */
export class Published {
  readonly #entries = new Map<string, Entry>();
  readonly #bySet = new Map<string, Set<Entry>>();
  readonly #byUid = new Map<string, Set<Entry>>();

  constructor(cache: Pick<Reflector<ConfigMapObject>, 'subscribe'>) {
    cache.subscribe(({ type, object }) => {
      this.#remove(keyOf(object));
      if (type === 'upsert') this.#add(object);
    });
  }

  /** Those made for exactly this uid. */
  of(namespace: string, setUid: string): ConfigMapObject[] {
    return [...(this.#byUid.get(`${namespace}/${setUid}`) ?? [])].map(({ object }) => object);
  }

  /** The names of sets, there or gone, for which ConfigMaps were made. */
  owners(): { readonly namespace: string; readonly name: string }[] {
    return [...this.#bySet.keys()].map((key) => {
      const [namespace = '', name = ''] = key.split('/');
      return { namespace, name };
    });
  }

  /** The uids for which ConfigMaps were made, of sets of this name. */
  uidsOf(namespace: string, name: string): Set<string> {
    const made = [...(this.#bySet.get(`${namespace}/${name}`) ?? [])];
    return new Set(made.map(({ object }) => uidOf(object)).filter((uid) => uid !== undefined));
  }

  #add(object: ConfigMapObject): void {
    const { namespace, labels } = object.metadata;
    const [name, uid] = [labels?.[SET_NAME_LABEL], uidOf(object)];
    const entry: Entry = {
      object,
      set: name === undefined ? undefined : `${namespace}/${name}`,
      uid: uid === undefined ? undefined : `${namespace}/${uid}`,
    };
    this.#entries.set(keyOf(object), entry);
    link(this.#bySet, entry.set, entry);
    link(this.#byUid, entry.uid, entry);
  }

  #remove(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    unlink(this.#bySet, entry.set, entry);
    unlink(this.#byUid, entry.uid, entry);
  }
}

/** For which set a ConfigMap says that it was made; twice, as labels are easily lost. */
export function uidOf({ metadata }: ConfigMapObject): string | undefined {
  return metadata.annotations?.[SET_UID_LABEL] ?? metadata.labels?.[SET_UID_LABEL];
}

function keyOf({ metadata }: ConfigMapObject): string {
  return `${metadata.namespace}/${metadata.name}`;
}

function link(index: Map<string, Set<Entry>>, key: string | undefined, entry: Entry): void {
  if (key === undefined) return;
  index.set(key, (index.get(key) ?? new Set()).add(entry));
}

function unlink(index: Map<string, Set<Entry>>, key: string | undefined, entry: Entry): void {
  if (key === undefined) return;
  const there = index.get(key);
  there?.delete(entry);
  if (there?.size === 0) index.delete(key);
}
