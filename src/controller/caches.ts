import {
  ALLOWED_ISSUERS_ANNOTATION,
  MANAGED_BY,
  SECRET_TYPE,
  SET_NAME_LABEL,
  setUidOf,
} from '../api/constants.ts';
import type { SigningKeySet } from '../api/signingkeyset.generated.ts';
import type { Kube } from '../kube/client.ts';
import { type Collection, NamespacedCollection } from '../kube/collection.ts';
import { Reflector } from '../kube/reflector.ts';
import type { Log } from '../telemetry/log.ts';
import { Keyrings } from './keyrings.ts';
import { type ConfigMapObject, type NamespaceObject, paths, type SecretObject } from './objects.ts';
import type { Progress } from './unread.ts';

interface CachesOptions {
  readonly kube: Kube;
  /** The operator's own, where the Secrets are. */
  readonly namespace: string;
  /** Whose sets are seen to; none: those of all. */
  readonly watchNamespaces?: readonly string[];
  readonly log: Log;
  /** Called with `<namespace>/<name>` of each set that a change concerns. */
  readonly onChange: (key: string) => void;
  /** Called with a namespace that we may not read any more, or may again. */
  readonly onReadable: (namespace: string) => void;
  /** Called with what is wrong with a Secret, once for each version of it. */
  readonly onFinding: ConstructorParameters<typeof Keyrings>[0];
}

/** Local copies of everything that the controller looks at, kept up to date. */
export class Caches {
  readonly sets: Collection<SigningKeySet>;
  readonly secrets: Reflector<SecretObject>;
  readonly configMaps: Collection<ConfigMapObject>;
  readonly namespaces: Reflector<NamespaceObject>;
  readonly keyrings: Keyrings;
  readonly #watched: readonly string[];
  /** Where each namespace is read by itself. */
  readonly #namespaced: readonly Pick<NamespacedCollection<never>, 'forbidden'>[];

  constructor(options: CachesOptions) {
    const { kube, namespace, watchNamespaces = [], log, onChange, onReadable, onFinding } = options;
    const common = { kube, log };
    const ours = { labelSelector: `${MANAGED_BY.key}=${MANAGED_BY.value}` };
    const some = { ...common, namespaces: watchNamespaces, onReadable };
    this.#watched = watchNamespaces;
    this.keyrings = new Keyrings(onFinding);
    this.secrets = new Reflector({
      ...common,
      path: paths.secrets(namespace),
      query: { fieldSelector: `type=${SECRET_TYPE}` },
    });
    if (watchNamespaces.length === 0) {
      this.sets = new Reflector({ ...common, path: paths.sets });
      this.configMaps = new Reflector({ ...common, path: paths.allConfigMaps, query: ours });
      this.#namespaced = [];
    } else {
      const [setsIn, mapsIn] = [
        { pathIn: paths.setsIn },
        { pathIn: paths.configMaps, query: ours },
      ];
      const sets = new NamespacedCollection<SigningKeySet>({ ...some, ...setsIn });
      const configMaps = new NamespacedCollection<ConfigMapObject>({ ...some, ...mapsIn });
      this.sets = sets;
      this.configMaps = configMaps;
      this.#namespaced = [sets, configMaps];
    }
    this.namespaces = new Reflector({ ...common, path: paths.namespaces });
    this.#subscribe(onChange);
  }

  /** By what a person calls them. */
  get named(): Readonly<Record<string, Progress>> {
    const { sets, secrets: Secrets, configMaps: ConfigMaps, namespaces: Namespaces } = this;
    return { sets, Secrets, ConfigMaps, Namespaces };
  }

  /**
   * Whether the sets of this namespace are ours to see to, and we may look. Where not, what is held
   * says nothing: a set that is missing there is not deleted. In a namespace that is gone there is
   * nothing, which a live read confirms.
   */
  sees(namespace: string): boolean {
    if (this.#watched.length === 0) return true;
    return this.#watched.includes(namespace) && !this.#isHidden(namespace);
  }

  #isHidden(namespace: string): boolean {
    const isThere = this.namespaces.get(undefined, namespace) !== undefined;
    return isThere && this.unreadable.includes(namespace);
  }

  /** The watched namespaces that we may not read. */
  get unreadable(): readonly string[] {
    const forbidden = this.#namespaced.flatMap((each) => each.forbidden);
    return this.#watched.filter((name) => forbidden.includes(name));
  }

  /** Runs until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#all.map((reflector) => reflector.run(signal)));
  }

  async synced(): Promise<void> {
    await Promise.all(this.#all.map(({ synced }) => synced));
  }

  get #all(): readonly Pick<Collection<never>, 'run' | 'synced' | 'isSynced'>[] {
    return [this.sets, this.secrets, this.configMaps, this.namespaces];
  }

  #subscribe(onChange: (key: string) => void): void {
    this.sets.subscribe(({ type, object }) => {
      const { namespace, name, uid } = object.metadata;
      if (type === 'delete') this.keyrings.giveUp(uid);
      onChange(`${namespace}/${name}`);
    });
    this.secrets.subscribe((change) => {
      const key = this.keyrings.take(change);
      if (change.type === 'delete') this.#afterDeletion(change.object);
      if (key !== undefined) onChange(key);
      if (change.type === 'delete') this.#retryIssuers(onChange);
    });
    this.configMaps.subscribe(({ object }) => {
      const { namespace, labels } = object.metadata;
      const madeFor = labels?.[SET_NAME_LABEL];
      if (madeFor !== undefined) onChange(`${namespace}/${madeFor}`);
      for (const set of this.#setsIn(namespace)) {
        const targets = set.spec?.publish?.configMaps ?? [];
        if (targets.some(({ name }) => name === object.metadata.name)) {
          onChange(`${set.metadata.namespace}/${set.metadata.name}`);
        }
      }
    });
    this.namespaces.subscribe((change) => {
      const { name } = change.object.metadata;
      if (change.type === 'delete' && this.unreadable.includes(name)) this.#forget(name);
      const previous = change.type === 'upsert' ? change.previous : undefined;
      if (allowedIssuers(previous) === allowedIssuers(change.object)) return;
      for (const { metadata } of this.#setsIn(name)) {
        onChange(`${metadata.namespace}/${metadata.name}`);
      }
    });
  }

  /** All of a namespace that went while we might not look. */
  #forget(namespace: string): void {
    for (const set of this.#setsIn(namespace)) this.sets.remove(set);
    const isThere = ({ metadata }: ConfigMapObject) => metadata.namespace === namespace;
    for (const map of this.configMaps.list().filter(isThere)) this.configMaps.remove(map);
  }

  #setsIn(namespace: string | undefined): SigningKeySet[] {
    return this.sets.list().filter(({ metadata }) => metadata.namespace === namespace);
  }

  /** A Secret that went together with its set is not to be written back. */
  #afterDeletion({ metadata }: SecretObject): void {
    const uid = setUidOf(metadata.name);
    if (uid === undefined || this.sets.list().some((set) => set.metadata.uid === uid)) return;
    const namespace = this.keyrings.lastGood(uid)?.owner.namespace;
    if (namespace === undefined || !this.#isHidden(namespace)) this.keyrings.giveUp(uid);
  }

  /** An issuer may have become free: those who were refused it are looked at again. */
  #retryIssuers(onChange: (key: string) => void): void {
    for (const { metadata } of this.sets.list()) {
      if (this.keyrings.of(metadata.uid) === undefined) {
        onChange(`${metadata.namespace}/${metadata.name}`);
      }
    }
  }
}

/** The URL prefixes that a Namespace allows its sets, as text. */
export function allowedIssuers(namespace: NamespaceObject | undefined): string | undefined {
  return namespace?.metadata.annotations?.[ALLOWED_ISSUERS_ANNOTATION];
}
