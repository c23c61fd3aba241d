import {
  ALLOWED_ISSUERS_ANNOTATION,
  MANAGED_BY,
  SECRET_TYPE,
  SET_NAME_LABEL,
  setUidOf,
} from '../api/constants.ts';
import type { SigningKeySet } from '../api/signingkeyset.generated.ts';
import type { Kube } from '../kube/client.ts';
import { Reflector } from '../kube/reflector.ts';
import type { Log } from '../telemetry/log.ts';
import { Keyrings } from './keyrings.ts';
import { type ConfigMapObject, type NamespaceObject, paths, type SecretObject } from './objects.ts';

interface CachesOptions {
  readonly kube: Kube;
  /** The operator's own, where the Secrets are. */
  readonly namespace: string;
  readonly log: Log;
  /** Called with `<namespace>/<name>` of each set that a change concerns. */
  readonly onChange: (key: string) => void;
  /** Called with what is wrong with a Secret, once for each version of it. */
  readonly onFinding: ConstructorParameters<typeof Keyrings>[0];
}

/** Local copies of everything that the controller looks at, kept up to date. */
export class Caches {
  readonly sets: Reflector<SigningKeySet>;
  readonly secrets: Reflector<SecretObject>;
  readonly configMaps: Reflector<ConfigMapObject>;
  readonly namespaces: Reflector<NamespaceObject>;
  readonly keyrings: Keyrings;

  constructor({ kube, namespace, log, onChange, onFinding }: CachesOptions) {
    const common = { kube, log };
    this.keyrings = new Keyrings(onFinding);
    this.sets = new Reflector({ ...common, path: paths.sets });
    this.secrets = new Reflector({
      ...common,
      path: paths.secrets(namespace),
      query: { fieldSelector: `type=${SECRET_TYPE}` },
    });
    this.configMaps = new Reflector({
      ...common,
      path: paths.allConfigMaps,
      query: { labelSelector: `${MANAGED_BY.key}=${MANAGED_BY.value}` },
    });
    this.namespaces = new Reflector({ ...common, path: paths.namespaces });
    this.#subscribe(onChange);
  }

  get areSynced(): boolean {
    return this.#all.every(({ isSynced }) => isSynced);
  }

  /** Runs until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#all.map((reflector) => reflector.run(signal)));
  }

  async synced(): Promise<void> {
    await Promise.all(this.#all.map(({ synced }) => synced));
  }

  get #all(): readonly Pick<Reflector<never>, 'run' | 'synced' | 'isSynced'>[] {
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
