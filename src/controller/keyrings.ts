import { SET_NAME_LABEL, SET_NAMESPACE_LABEL, setUidOf } from '../api/constants.ts';
import { decodeSecretData } from '../keys/codec.ts';
import { KeyringDamagedError } from '../keys/damage.ts';
import type { Keyring, KeyringOwner } from '../keys/keyring.ts';
import type { Change } from '../kube/store.ts';
import { isOlder } from '../rotation/put-back.ts';
import type { Notice, ReadyFault } from '../rotation/situation.ts';
import { IssuerHolders } from './issuer-holders.ts';
import type { LostKeyring } from './lost-keyring.ts';
import type { SecretObject } from './objects.ts';

/** A Secret of ours as it was last seen, and what could be read from it. */
export interface HeldKeyring {
  readonly secret: SecretObject;
  /** Absent when the Secret is damaged. */
  readonly keyring?: Keyring;
  readonly fault?: ReadyFault;
  /** Whether what is damaged is no newer format, so that nothing is lost where it is written over. */
  readonly isOurFormat?: boolean;
}

type SetName = Pick<KeyringOwner, 'namespace' | 'name'>;
type OnFinding = (about: SetName & Pick<KeyringOwner, 'uid'>, finding: Notice) => void;

/**
 * The keyrings by the uid of their set, read once for each version of a Secret. One whose Secret
 * somebody deleted is kept until it is written back or given up.
 */
export class Keyrings {
  readonly #held = new Map<string, HeldKeyring>();
  readonly #lastGood = new Map<string, Keyring>();
  /** What was read before a Secret was put back to the older state that it holds. */
  readonly #newer = new Map<string, Keyring>();
  /**
   * Who has an issuer: also those whose Secret is damaged just now, or waits to be written back, as
   * they were last read.
   */
  readonly holders = new IssuerHolders();
  readonly #byName = new Map<string, Set<string>>();
  /** The uids of those whose Secret was found missing by a list. */
  readonly #vanished = new Set<string>();
  readonly #onFinding: OnFinding;

  constructor(onFinding: OnFinding) {
    this.#onFinding = onFinding;
  }

  of(setUid: string): HeldKeyring | undefined {
    return this.#held.get(setUid);
  }

  /**
   * Every usable keyring of sets of this name, whatever their uid. Of one that is damaged, what was
   * last read whole: where its set is gone, that is retired in its place.
   */
  named(namespace: string, name: string): Keyring[] {
    const uids = this.#byName.get(`${namespace}/${name}`) ?? new Set<string>();
    return [...uids].map((uid) => this.#usable(uid)).filter((ring) => ring !== undefined);
  }

  all(): Keyring[] {
    return [...this.#held.keys()]
      .map((uid) => this.#usable(uid))
      .filter((ring) => ring !== undefined);
  }

  #usable(setUid: string): Keyring | undefined {
    const held = this.#held.get(setUid);
    return held?.keyring ?? (held?.isOurFormat === true ? this.lastGood(setUid) : undefined);
  }

  /** What a Secret held that somebody else deleted; nothing, for a set that was retired. */
  lost(setUid: string): LostKeyring | undefined {
    const keyring = this.#held.has(setUid) ? undefined : this.lastGood(setUid);
    if (keyring === undefined || keyring.retiredAt !== undefined) return undefined;
    return { keyring, isLast: !this.#vanished.has(setUid) };
  }

  /** As it was last read whole, whatever has become of its Secret since. */
  lastGood(setUid: string): Keyring | undefined {
    return this.#newer.get(setUid) ?? this.#lastGood.get(setUid);
  }

  /** What was read of a keyring before somebody put its Secret back to an older state. */
  newer(setUid: string): Keyring | undefined {
    return this.#held.get(setUid)?.keyring && this.#newer.get(setUid);
  }

  /** How many Secrets cannot be used as they are. */
  get damaged(): number {
    return [...this.#held.values()].filter(({ fault }) => fault !== undefined).length;
  }

  /** We deleted the Secret, or the set is gone: it is not to be written back. */
  giveUp(setUid: string): void {
    if (this.#held.has(setUid)) return;
    this.#lastGood.delete(setUid);
    this.#newer.delete(setUid);
    this.holders.delete(setUid);
    this.#vanished.delete(setUid);
  }

  /** Takes in a change of the Secrets. @returns the set concerned, `<namespace>/<name>`. */
  take(change: Change<SecretObject>): string | undefined {
    const { object } = change;
    const uid = setUidOf(object.metadata.name);
    if (uid === undefined) return undefined;
    if (change.type === 'upsert') return this.#load(uid, object);
    const owner = this.#ownerOf(uid, object);
    this.#held.delete(uid);
    if (!change.isLast) this.#vanished.add(uid);
    if (owner !== undefined) this.#byName.get(keyOf(owner))?.delete(uid);
    return owner && keyOf(owner);
  }

  #load(uid: string, object: SecretObject): string | undefined {
    const held = read(object, uid);
    this.#noteOlder(uid, held);
    this.#held.set(uid, held);
    this.#vanished.delete(uid);
    if (held.keyring !== undefined) {
      this.#lastGood.set(uid, held.keyring);
      this.holders.set(uid, held.keyring);
    }
    const owner = this.#ownerOf(uid, object);
    if (owner === undefined) return undefined;
    const uids = this.#byName.get(keyOf(owner)) ?? new Set();
    this.#byName.set(keyOf(owner), uids.add(uid));
    if (held.fault !== undefined) this.#onFinding({ ...owner, uid }, damageFound(held.fault));
    return keyOf(owner);
  }

  /** Whoever goes on from an older state has taken it for the keyring, and so do we. */
  #noteOlder(uid: string, { keyring, secret }: HeldKeyring): void {
    const before = this.#lastGood.get(uid);
    if (keyring === undefined || before === undefined) return;
    if (isOlder(keyring, before)) this.#newer.set(uid, before);
    else if (!sameContent(secret, this.#held.get(uid)?.secret)) this.#newer.delete(uid);
  }

  #ownerOf(uid: string, { metadata }: SecretObject): SetName | undefined {
    const ring = this.#held.get(uid)?.keyring ?? this.#lastGood.get(uid);
    const namespace = ring?.owner.namespace ?? metadata.labels?.[SET_NAMESPACE_LABEL];
    const name = ring?.owner.name ?? metadata.labels?.[SET_NAME_LABEL];
    return namespace === undefined || name === undefined ? undefined : { namespace, name };
  }
}

function keyOf({ namespace, name }: SetName): string {
  return `${namespace}/${name}`;
}

/** What somebody should hear of who looks after this set. */
function damageFound({ message }: ReadyFault): Notice {
  return { type: 'Warning', reason: 'KeyringDamaged', message };
}

function sameContent(left: SecretObject, right: SecretObject | undefined): boolean {
  return JSON.stringify(left.data) === JSON.stringify(right?.data);
}

/** The keyring in a Secret. @throws KeyringDamagedError */
export function decodeSecret({ data = {} }: SecretObject): Keyring {
  return decodeSecretData(data);
}

function read(secret: SecretObject, uid: string): HeldKeyring {
  let keyring: Keyring;
  try {
    keyring = decodeSecret(secret);
  } catch (error) {
    if (!(error instanceof KeyringDamagedError)) throw error;
    return { secret, fault: damaged(secret, error), isOurFormat: error.code !== 'FormatUnknown' };
  }
  if (keyring.owner.uid === uid) return { secret, keyring };
  return { secret, fault: notOurs(secret.metadata.name, 'it holds the keys of another set') };
}

function damaged({ metadata }: SecretObject, { message }: KeyringDamagedError): ReadyFault {
  return {
    reason: 'KeyringDamaged',
    message:
      `Secret ${metadata.namespace}/${metadata.name}: ${message}. Nothing is changed until it is ` +
      'repaired. Issuers that run sign with the last good copy until R (--max-staleness, 1h unless ' +
      'set) after they last confirmed it, then answer 503 keyring_unavailable; the JWKS stays',
  };
}

/** A Secret of the name that a set's keys need, which is not theirs (I19). */
export function notOurs(name: string, why: string): ReadyFault {
  return {
    reason: 'SecretNotOurs',
    message: `Secret ${name} is not used: ${why}. Delete or rename it, and new keys are made`,
  };
}
