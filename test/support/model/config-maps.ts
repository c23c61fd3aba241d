import type { Instant, Keyring } from '../../../src/keys/keyring.ts';
import { nextKey, type Publisher } from '../../../src/rotation/situation.ts';
import { MOUNT_DELAY, type Verifiers } from './verifiers.ts';

interface ConfigMap {
  readonly name: string;
  content: Keyring | undefined;
  /** The API server refuses to have it written, or deleted. */
  isRefused: boolean;
  /** It is asked for no more, and could not be deleted. */
  isLeaving: boolean;
  /** Somebody has written older content into it. */
  isOverwritten: boolean;
}

/** What `spec.publish.configMaps` names, with gateways that mount it. */
export class ConfigMaps {
  readonly #verifiers: Verifiers;
  #maps: ConfigMap[] = [];
  #made = 0;

  constructor(verifiers: Verifiers) {
    this.#verifiers = verifiers;
  }

  add(): void {
    this.#made += 1;
    this.#maps.push({
      ...{ name: `ConfigMap ${this.#made}`, content: undefined },
      ...{ isRefused: false, isLeaving: false, isOverwritten: false },
    });
  }

  /** The last one is taken off the list, and deleted when that is allowed: nobody reads it any more. */
  remove(now: Instant): void {
    const map = this.#maps.findLast(({ isLeaving }) => !isLeaving);
    if (map === undefined) return;
    map.isLeaving = true;
    this.#verifiers.mount(map.name, undefined, now);
  }

  /** Somebody writes older content into the first: what it lacks is refused, until it is mended. */
  overwrite(older: Keyring, newest: Keyring, now: Instant): void {
    const [map] = this.#maps;
    if (map?.content === undefined || map.isLeaving) return;
    Object.assign(map, { content: older, isOverwritten: true });
    this.#verifiers.mount(map.name, older, now);
    this.#hide(newest, Number.POSITIVE_INFINITY);
  }

  /** The next key is not among those: it must not sign before gateways have it again. */
  #hide({ keys }: Keyring, until: Instant): void {
    for (const { kid, state } of keys) if (state !== 'next') this.#verifiers.hide(kid, until);
  }

  /** Whether they can be written. */
  allow(isAllowed: boolean): void {
    for (const map of this.#maps) map.isRefused = !isAllowed;
  }

  /** What stands in those that are asked for, or in those that are not any more. */
  contents(isLeaving: boolean): Keyring[] {
    return this.#maps
      .filter((map) => map.isLeaving === isLeaving)
      .flatMap(({ content }) => (content === undefined ? [] : [content]));
  }

  publishers(ring: Keyring): Publisher[] {
    const { kid: next } = nextKey(ring);
    return this.#maps.map(({ name, content, isLeaving }) => {
      const kids = (content?.keys ?? []).map(({ kid }) => kid);
      const lacksNext = content !== undefined && !isLeaving && !kids.includes(next);
      return {
        ...{ name, kids },
        ...(lacksNext ? { lacksNext } : {}),
        ...(isLeaving ? { isLeaving } : {}),
      };
    });
  }

  /** Writes what has changed. @returns whether anything had. */
  follow(ring: Keyring, now: Instant): boolean {
    const left = this.#maps.filter(({ isLeaving, isRefused }) => !isLeaving || isRefused);
    let changes = left.length < this.#maps.length;
    this.#maps = left;
    for (const map of this.#maps) {
      if (map.isLeaving || map.isRefused || sameKeys(map.content, ring)) continue;
      if (map.isOverwritten) this.#hide(ring, now + MOUNT_DELAY);
      Object.assign(map, { content: ring, isOverwritten: false });
      this.#verifiers.mount(map.name, ring, now);
      changes = true;
    }
    return changes;
  }

  /** The set and its keys are gone. */
  withdraw(now: Instant): void {
    for (const map of this.#maps) {
      map.content = undefined;
      this.#verifiers.mount(map.name, undefined, now);
    }
  }
}

function sameKeys(left: Keyring | undefined, right: Keyring): boolean {
  return (
    left !== undefined &&
    left.keys.length === right.keys.length &&
    left.keys.every(({ kid, state }, index) => {
      const other = right.keys[index];
      return kid === other?.kid && state === other.state;
    })
  );
}
