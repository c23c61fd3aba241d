import { MINUTE, SECRET_TYPE } from '../api/constants.ts';
import type { Instant } from '../keys/keyring.ts';
import type { ReadyFault } from '../rotation/situation.ts';
import { notOurs } from './keyrings.ts';
import type { SecretObject } from './objects.ts';

/**
 * Secrets that stand where a set's keys should be and are not of our type, so that no watch of
 * ours shows them. Found when a write finds the name taken; looked at again after a minute.
 */
export class ForeignSecrets {
  readonly #found = new Map<string, { readonly fault: ReadyFault; readonly until: Instant }>();
  readonly #clock: () => Instant;

  constructor(clock: () => Instant) {
    this.#clock = clock;
  }

  of(setUid: string): ReadyFault | undefined {
    const found = this.#found.get(setUid);
    if (found === undefined || this.#clock() < found.until) return found?.fault;
    this.#found.delete(setUid);
    return undefined;
  }

  /** @returns when to look again. */
  recheckAt(setUid: string): Instant | undefined {
    return this.#found.get(setUid)?.until;
  }

  add(setUid: string, secret: SecretObject): void {
    const why = `somebody else made it (type ${secret.type}, not ${SECRET_TYPE})`;
    const fault = notOurs(`${secret.metadata.namespace}/${secret.metadata.name}`, why);
    this.#found.set(setUid, { fault, until: this.#clock() + MINUTE });
  }
}
