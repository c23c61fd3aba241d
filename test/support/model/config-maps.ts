import type { Instant, Keyring } from '../../../src/keys/keyring.ts';
import type { Publisher } from '../../../src/rotation/situation.ts';
import type { Verifiers } from './verifiers.ts';

interface ConfigMap {
  readonly name: string;
  content: Keyring | undefined;
  /** The API server refuses to have it written. */
  isRefused: boolean;
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
    this.#maps.push({ name: `ConfigMap ${this.#made}`, content: undefined, isRefused: false });
  }

  /** The last one is taken off the list, and deleted. */
  remove(now: Instant): void {
    const map = this.#maps.pop();
    if (map !== undefined) this.#verifiers.mount(map.name, undefined, now);
  }

  /** Whether they can be written. */
  allow(isAllowed: boolean): void {
    for (const map of this.#maps) map.isRefused = !isAllowed;
  }

  contents(): Keyring[] {
    return this.#maps.flatMap(({ content }) => (content === undefined ? [] : [content]));
  }

  publishers(): Publisher[] {
    return this.#maps.map(({ name, content }) => ({
      name,
      kids: (content?.keys ?? []).map(({ kid }) => kid),
    }));
  }

  /** Writes what has changed. @returns whether anything had. */
  follow(ring: Keyring, now: Instant): boolean {
    let changes = false;
    for (const map of this.#maps) {
      if (map.isRefused || sameKeys(map.content, ring)) continue;
      map.content = ring;
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
