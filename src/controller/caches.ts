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

  constructor(options: CachesOptions) {
    const { kube, namespace, watchNamespaces = [], log, onChange, onFinding } = options;
    const common = { kube, log };
    const ours = { labelSelector: `${MANAGED_BY.key}=${MANAGED_BY.value}` };
    const some = { ...common, namespaces: watchNamespaces };
    const all = watchNamespaces.length === 0;
    this.#watched = watchNamespaces;
    this.keyrings = new Keyrings(onFinding);
    this.sets = all
      ? new Reflector({ ...common, path: paths.sets })
      : new NamespacedCollection({ ...some, pathIn: paths.setsIn });
    this.secrets = new Reflector({
      ...common,
      path: paths.secrets(namespace),
      query: { fieldSelector: `type=${SECRET_TYPE}` },
    });
    this.configMaps = all
      ? new Reflector({ ...common, path: paths.allConfigMaps, query: ours })
      : new NamespacedCollection({ ...some, pathIn: paths.configMaps, query: ours });
    this.namespaces = new Reflector({ ...common, path: paths.namespaces });
    this.#subscribe(onChange);
  }

  /** By what a person calls them. */
  get named(): Readonly<Record<string, Progress>> {
    const { sets, secrets: Secrets, configMaps: ConfigMaps, namespaces: Namespaces } = this;
    return { sets, Secrets, ConfigMaps, Namespaces };
  }

  /** Whether the sets of this namespace are ours to see to. */
  watches(namespace: string): boolean {
    return this.#watched.length === 0 || this.#watched.includes(namespace);
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
      const previous = change.type === 'upsert' ? change.previous : undefined;
      if (allowedIssuers(previous) === allowedIssuers(change.object)) return;
      for (const { metadata } of this.#setsIn(change.object.metadata.name)) {
        onChange(`${metadata.namespace}/${metadata.name}`);
      }
    });
  }

  #setsIn(namespace: string | undefined): SigningKeySet[] {
    return this.sets.list().filter(({ metadata }) => metadata.namespace === namespace);
  }

  /** A Secret that went together with its set is not to be written back. */
  #afterDeletion({ metadata }: SecretObject): void {
    const uid = setUidOf(metadata.name);
    if (uid === undefined || this.sets.list().some((set) => set.metadata.uid === uid)) return;
    this.keyrings.giveUp(uid);
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
