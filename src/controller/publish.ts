import { MANAGED_BY, SET_NAME_LABEL, SET_UID_LABEL } from '../api/constants.ts';
import type { Keyring } from '../keys/keyring.ts';
import { type Publication, renderPublication } from '../keys/publication.ts';
import type { Kube } from '../kube/client.ts';
import type { Collection } from '../kube/collection.ts';
import { ApiError, isAlreadyExists, isConflict, isNotFound } from '../kube/errors.ts';
import { nextKey, type Publisher } from '../rotation/situation.ts';
import { find } from './find.ts';
import { type ConfigMapObject, paths } from './objects.ts';
import { Published, uidOf } from './published.ts';
import type { Trust } from './trust.ts';
import type { Write } from './write.ts';

interface PublicationsOptions {
  readonly kube: Kube;
  readonly write: Write;
  readonly cache: Collection<ConfigMapObject>;
  readonly trust: Trust;
}

type Fault = NonNullable<Publisher['fault']>;

/** By which clients know the issuer's HTTPS; not there where they know it anyway. */
const CA_FILE = 'ca.crt';
const NOT_OURS = 'ConfigMapNotOurs';
const JWKS_FILES = ['jwks', 'jwks.json'];

/** The ConfigMaps that carry certificates to gateways (design section 3). */
export class Publications {
  readonly #options: PublicationsOptions;
  readonly #published: Published;
  /** Rendering costs more than comparing: once for each keyring. */
  readonly #rendered = new WeakMap<Keyring, Publication>();
  readonly #faults = new Map<string, Fault>();

  constructor(options: PublicationsOptions) {
    this.#options = options;
    this.#published = new Published(options.cache);
  }

  /**
   * What a ConfigMap was last seen to carry. One that is not as it should be counts as carrying no
   * key of the keyring, and every key that was revoked: until it is written, gateways may hold it.
   */
  look(ring: Keyring, name: string): Publisher {
    const seen = this.#seen(ring, name);
    return this.#lacksNext(ring, name) ? { ...seen, lacksNext: true } : seen;
  }

  /** What was made for this keyring and is asked for no more, until it is deleted. */
  leaving(ring: Keyring, names: readonly string[]): Publisher[] {
    return this.madeFor(ring)
      .filter(({ metadata }) => !names.includes(metadata.name))
      .map(({ metadata }) => ({ ...this.#seen(ring, metadata.name), isLeaving: true }));
  }

  #seen(ring: Keyring, name: string): Publisher {
    const fault = this.#faults.get(faultKey(ring, name));
    return {
      name: `ConfigMap ${name}`,
      kids: this.#carriedBy(ring, name, fault).map(({ kid }) => kid),
      ...(fault === undefined ? {} : { fault }),
    };
  }

  /** Whether one of ours is without the next key. A deleted one is not: gateways keep what they had. */
  #lacksNext(ring: Keyring, name: string): boolean {
    const held = this.#options.cache.get(ring.owner.namespace, name);
    if (held === undefined || !isOf(ring, held)) return false;
    const { data } = this.#render(ring, held);
    const own = Object.keys(data).filter((file) => file.startsWith('next.'));
    const isWhole = own.every((file) => held.data?.[file] === data[file]);
    return !isWhole || !JWKS_FILES.every((file) => held.data?.[file]?.includes(nextKey(ring).kid));
  }

  #carriedBy(ring: Keyring, name: string, fault: Fault | undefined): readonly { kid: string }[] {
    const held = this.#options.cache.get(ring.owner.namespace, name);
    if (held !== undefined && isOf(ring, held) && this.#isCurrent(ring, held)) return ring.keys;
    return fault?.reason === NOT_OURS ? [] : ring.revoked;
  }

  /**
   * Writes what is not as it should be, deletes what is asked for no more. One target that fails
   * keeps no other from being written.
   *
   * @returns whether anything was written, or found to be somebody else's.
   * @throws the first failure that another try may mend.
   */
  async publish(ring: Keyring, names: readonly string[]): Promise<boolean> {
    let changed = false;
    const failures: unknown[] = [];
    for (const name of names) {
      try {
        if (await this.#publishOne(ring, name)) changed = true;
      } catch (error) {
        failures.push(error);
      }
    }
    for (const left of this.madeFor(ring)) {
      const { name } = left.metadata;
      if (names.includes(name)) continue;
      const key = faultKey(ring, name);
      try {
        await this.#attempt(key, () => this.#delete(left), 'deleted');
        this.#faults.delete(key);
        changed = true;
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0 && !changed) throw failures[0];
    return changed;
  }

  /** Rewrites what a keyring without a set still publishes. @returns whether anything was written. */
  async refresh(ring: Keyring): Promise<boolean> {
    return this.publish(
      ring,
      this.madeFor(ring).map(({ metadata }) => metadata.name),
    );
  }

  /** The names of sets, there or gone, for which ConfigMaps were made. */
  owners(): { readonly namespace: string; readonly name: string }[] {
    return this.#published.owners();
  }

  /** The uids for which ConfigMaps were made, of sets of this name. */
  uidsOf(namespace: string, name: string): Set<string> {
    return this.#published.uidsOf(namespace, name);
  }

  /** Deletes what was made for exactly this uid. */
  async withdraw(namespace: string, setUid: string): Promise<void> {
    for (const made of this.#published.of(namespace, setUid)) await this.#delete(made);
    for (const key of this.#faults.keys()) {
      if (key.startsWith(`${setUid}/`)) this.#faults.delete(key);
    }
  }

  madeFor({ owner, formerUids }: Keyring): ConfigMapObject[] {
    const uids = [owner.uid, ...formerUids];
    return uids.flatMap((uid) => this.#published.of(owner.namespace, uid));
  }

  async #publishOne(ring: Keyring, name: string): Promise<boolean> {
    const { namespace } = ring.owner;
    const key = faultKey(ring, name);
    const held =
      this.#options.cache.get(namespace, name) ?? (await this.#liveUnlessNew(ring, name));
    if (held === undefined) {
      this.#faults.delete(key);
      return true;
    }
    if (!isOf(ring, held)) {
      const isNews = this.#faults.get(key)?.reason !== NOT_OURS;
      this.#faults.set(key, notOurs(held));
      return isNews;
    }
    this.#faults.delete(key);
    if (this.#isCurrent(ring, held)) return false;
    await this.#attempt(key, () => this.#replace(ring, held));
    return true;
  }

  /** Creates the ConfigMap; one that is there already, unseen by the watch, is read instead. */
  async #liveUnlessNew(ring: Keyring, name: string): Promise<ConfigMapObject | undefined> {
    const { namespace } = ring.owner;
    const { kube, write, cache } = this.#options;
    const path = paths.configMap(namespace, name);
    const object = this.#object(ring, { name, namespace }, undefined);
    const known = this.#faults.get(faultKey(ring, name))?.reason === NOT_OURS;
    return this.#attempt(faultKey(ring, name), async () => {
      if (known) {
        const found = await find<ConfigMapObject>(kube, path);
        if (found !== undefined) return found;
      }
      try {
        cache.put(await write<ConfigMapObject>('POST', paths.configMaps(namespace), object));
        return undefined;
      } catch (error) {
        if (!isAlreadyExists(error)) throw error;
      }
      return find(kube, path);
    });
  }

  async #replace(ring: Keyring, held: ConfigMapObject): Promise<void> {
    const { write, cache } = this.#options;
    const { name, namespace = '', resourceVersion = '', uid = '' } = held.metadata;
    if (held.immutable === true) {
      await this.#delete(held);
      const anew = this.#object(ring, { name, namespace }, held);
      cache.put(await write<ConfigMapObject>('POST', paths.configMaps(namespace), anew));
      return;
    }
    const object = this.#object(ring, { name, namespace, resourceVersion, uid }, held);
    cache.put(await write<ConfigMapObject>('PUT', paths.configMap(namespace, name), object));
  }

  async #delete(made: ConfigMapObject): Promise<void> {
    const { write, cache } = this.#options;
    const { name, namespace = '', uid } = made.metadata;
    try {
      await write('DELETE', paths.configMap(namespace, name), { preconditions: { uid } });
    } catch (error) {
      if (!isNotFound(error) && !isConflict(error)) throw error;
    }
    cache.remove(made);
  }

  /** Notes a failure where status shows it, and throws it on. */
  async #attempt<T>(
    key: string,
    attempt: () => Promise<T>,
    done: 'written' | 'deleted' = 'written',
  ): Promise<T> {
    try {
      return await attempt();
    } catch (error) {
      if (error instanceof ApiError && error.status !== 409) {
        const name = key.slice(key.indexOf('/') + 1);
        const message = `ConfigMap ${name} could not be ${done}: ${error.message}`;
        this.#faults.set(key, { reason: 'ConfigMapNotWritten', message });
      }
      throw error;
    }
  }

  #object(
    ring: Keyring,
    metadata: ConfigMapObject['metadata'],
    held: ConfigMapObject | undefined,
  ): ConfigMapObject {
    return {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { ...metadata, ...marksOf(ring) },
      ...this.#render(ring, held),
    };
  }

  #isCurrent(ring: Keyring, held: ConfigMapObject): boolean {
    const { data, binaryData } = this.#render(ring, held);
    const { labels, annotations } = marksOf(ring);
    // The kubelet does not look again at one that is immutable, so it cannot wait until it is to change.
    return (
      held.immutable !== true &&
      sameEntries(data, held.data) &&
      sameEntries(binaryData, held.binaryData) &&
      sameEntries({ ...held.metadata.labels, ...labels }, held.metadata.labels) &&
      sameEntries({ ...held.metadata.annotations, ...annotations }, held.metadata.annotations)
    );
  }

  #render(ring: Keyring, held: ConfigMapObject | undefined): Publication {
    const rendered = this.#rendered.get(ring) ?? renderPublication(ring);
    this.#rendered.set(ring, rendered);
    const bundle = this.#options.trust() ?? held?.data?.[CA_FILE] ?? '';
    if (bundle === '') return rendered;
    return { ...rendered, data: { ...rendered.data, [CA_FILE]: bundle } };
  }
}

/** What shows later that we made it for this very set (I19); twice, as labels are easily lost. */
function marksOf({ owner }: Keyring) {
  return {
    labels: {
      [MANAGED_BY.key]: MANAGED_BY.value,
      [SET_NAME_LABEL]: owner.name,
      [SET_UID_LABEL]: owner.uid,
    },
    annotations: { [SET_UID_LABEL]: owner.uid },
  };
}

function isOf(ring: Keyring, held: ConfigMapObject): boolean {
  const uid = uidOf(held);
  return uid !== undefined && [ring.owner.uid, ...ring.formerUids].includes(uid);
}

function notOurs({ metadata }: ConfigMapObject): Fault {
  return {
    reason: NOT_OURS,
    message:
      `ConfigMap ${metadata.name} was not made for this set and is left alone: delete or rename ` +
      'it, or choose another name in spec.publish.configMaps',
  };
}

function sameEntries(
  left: Readonly<Record<string, string>> = {},
  right: Readonly<Record<string, string>> = {},
): boolean {
  const names = Object.keys(left);
  return (
    names.length === Object.keys(right).length && names.every((name) => left[name] === right[name])
  );
}

/** Two sets may ask for one ConfigMap: what is wrong for one of them is not for the other. */
function faultKey({ owner }: Keyring, name: string): string {
  return `${owner.uid}/${name}`;
}
