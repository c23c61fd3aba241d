import type { EventReason, ReasonOf } from '../api/reasons.ts';
import type { Algorithm } from '../keys/algorithms.ts';
import type {
  Instant,
  Keyring,
  LastRotation,
  RevokedKey,
  RotationTrigger,
  SigningKey,
} from '../keys/keyring.ts';
import { wholeSecond } from './text.ts';

/** What `spec` and the operator's flags ask for; all durations in milliseconds. */
export interface Policy {
  readonly algorithm: Algorithm;
  readonly modulusLength: number;
  /** P: how long a key has been published before it may sign. */
  readonly propagationDelay: number;
  /** G: how long a previous key keeps verifying; absent: the shortest safe one. */
  readonly gracePeriod?: number;
  /** L: the longest token lifetime. */
  readonly maxLifetime: number;
  readonly audiences: readonly string[];
  /** Rotation by itself; absent: by hand only. */
  readonly automatic?: AutomaticRotation;
  /** Why `rotation.schedule` names no times, and what to type instead. */
  readonly scheduleFault?: string;
  readonly suspend: boolean;
  readonly certificate: { readonly subject?: string; readonly lifetime: number };
  /** S: the operator's flag. */
  readonly clockSkew: number;
  /** R: how long an issuer may sign on what it last confirmed; the operator's flag. */
  readonly maxStaleness: number;
}

/** `rotation.every` or `rotation.schedule`. */
export interface AutomaticRotation {
  readonly trigger: Extract<RotationTrigger, 'Schedule' | 'Age'>;
  /**
   * When a key is due that signs since then: one time, however many have passed, so that a jump
   * of the clock or a downtime makes one rotation (I16). Undefined: never.
   */
  readonly dueAfter: (since: Instant) => Instant | undefined;
}

/** What of a set matters to a plan. */
export interface ObservedSet {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly namespaceUid: string;
  readonly annotations: Readonly<Record<string, string>>;
  /** Whether somebody deleted it, and a finalizer of somebody's holds it. */
  readonly isBeingDeleted?: boolean;
  /** Kids that the last status named: what tells lost keys from a new set. */
  readonly reportedKids: readonly string[];
  /** The reason of `Ready` in the last status; under some, a set has keys that it does not name. */
  readonly reportedReady?: string;
  /** The issuer in the last status: what tokens carry of a set whose Secret cannot be read. */
  readonly reportedIssuer?: string;
  /** Whether the last status said that something waits, so that it is told once. */
  readonly reportedPending?: boolean;
}

/** Why a set cannot sign. */
export interface ReadyFault {
  readonly reason: ReasonOf<'Ready'>;
  readonly message: string;
}

/** The issuer that a set asks for: whether it may have it is decided before (design section 1). */
export type IssuerClaim =
  | { readonly granted: true; readonly issuer: string; readonly source: Keyring['issuerSource'] }
  | ({ readonly granted: false } & ReadyFault);

/** Something that carries public keys to verifiers: what it was last seen to carry. */
export interface Publisher {
  /** As people know it, such as `ConfigMap login-keys`. */
  readonly name: string;
  /** Those that it carries whole, and revoked ones that it may still carry. */
  readonly kids: readonly string[];
  /** Why it cannot carry any, when it cannot. */
  readonly fault?: { readonly reason: ReasonOf<'Published'>; readonly message: string };
  /** It is asked for no more, and could not be deleted yet: it is not waited for with a new key. */
  readonly isLeaving?: true;
  /** Somebody changed it so that it lacks the next key: whoever mounted it then does, for a while. */
  readonly lacksNext?: true;
}

/** A replica of the issuer that has not lapsed, as its Lease tells (design section 2). */
export interface Replica {
  /** As people know it: `issuer <pod>`; stands in `blockedBy`. */
  readonly name: string;
  /** Whether it serves the keyring as observed here, or a newer one. */
  readonly hasLoaded: boolean;
  /** Why it cannot load it, where it says so. */
  readonly fault?: string;
  /** R of its own, in milliseconds; absent: that of the policy. */
  readonly maxStaleness?: number;
}

/** What `signet.dev/restore=<secret>` names: read live. */
export interface Backup {
  readonly secret: string;
  /** When it can be used. */
  readonly keyring?: Keyring;
  /** Why it cannot be used, and what to type instead. */
  readonly fault?: string;
}

/**
 * Two readings of one clock, Unix milliseconds. They differ only after a jump, so that a jump never
 * shortens a wait (I16). Both start anew when the wall clock agrees with the API server's after it had
 * not: else a process that began with a wrong one would wait too long for as long as it runs.
 */
export interface Time {
  /** The earlier of wall clock and start + monotonic elapsed: what deadlines are compared with. */
  readonly now: Instant;
  /** The later of the two: what is written as the time of something, and deadlines count from. */
  readonly stamp: Instant;
}

/** Everything a plan is made from; gathered once (`observe`), never changed. */
export interface Observed {
  /** Absent: the set was deleted. */
  readonly set?: ObservedSet;
  /** The keyring of this very set. */
  readonly keyring?: Keyring;
  /** Why the keyring that exists cannot be used. */
  readonly keyringFault?: ReadyFault;
  /** The number of the last request that a keyring recorded which cannot be read any more (I9). */
  readonly lastNumber?: number;
  /**
   * The keys that the last status names as revoked, newest first; where the keyring itself cannot be
   * read, also those of what was last read of it. None of them comes back (I8). Absent: none is known.
   */
  readonly revoked?: readonly RevokedKey[];
  /** What was read of the keyring before somebody put its Secret back to an older state. */
  readonly newer?: Keyring;
  /** The keyring as last seen before its Secret was deleted. */
  readonly lostKeyring?: Keyring;
  /** Keyrings of sets of this name that are gone. */
  readonly former: readonly Keyring[];
  readonly claim: IssuerClaim;
  readonly publishers: readonly Publisher[];
  /** Replicas of the issuer that have not lapsed. Empty: none runs, ConfigMaps alone decide. */
  readonly replicas: readonly Replica[];
  /**
   * By how much, in milliseconds, the wall clock and the API server's `Date` differ; present only
   * while that is more than S. Whoever observes it plans anew when it changes.
   */
  readonly clockSkew?: number;
  /** Present while a request names one (`signet.dev/restore`). */
  readonly backup?: Backup;
}

/** Everything a rule may look at, once the set has a keyring. */
export interface Situation extends Time {
  readonly set: ObservedSet;
  readonly ring: Keyring;
  readonly observed: Observed;
  readonly policy: Policy;
}

/** A key that apply has to generate; its kid is known only then. */
export interface KeyToMake {
  readonly make: {
    readonly algorithm: Algorithm;
    readonly modulusLength: number;
    readonly subject?: string;
    readonly lifetime: number;
  };
  readonly state: 'current' | 'next';
  readonly createdAt: Instant;
  readonly publishedAt?: Instant;
  readonly promotedAt?: Instant;
  readonly propagationDelay: number;
  readonly inFirstJwks: boolean;
}

/** A keyring in which some keys are still to be made, and so may be the one that signs. */
export type KeyringDraft = Omit<Keyring, 'keys' | 'lastRotation'> & {
  readonly keys: readonly (SigningKey | KeyToMake)[];
  readonly lastRotation?: Omit<LastRotation, 'to'>;
};

/** Something to tell: a constant reason and a sentence. */
export interface Notice {
  readonly type: 'Normal' | 'Warning';
  readonly reason: EventReason;
  readonly message: string;
}

/** One change of a keyring: written in one guarded update (I10), told once that is done. */
export interface Transition {
  readonly kind:
    | 'Create'
    | 'Restore'
    /** The keyring of the backup, where the set has none; its keys besides ours, where it has. */
    | 'RestoreFromBackup'
    | 'Resume'
    | 'Adopt'
    | 'Revoke'
    | 'ReplaceNext'
    | 'Promote'
    | 'RollBack'
    /** What was seen at every publisher is written down: a key published, or a revoked one gone. */
    | 'Publish'
    /** The next key was taken out of a ConfigMap: it is published anew. */
    | 'Unpublish'
    | 'Retire';
  readonly keyring: KeyringDraft;
  /** Whether the set is read live before the write, because the transition rests on it. */
  readonly confirm: boolean;
  readonly notices: readonly Notice[];
}

type Held = Pick<Situation, 'set' | 'observed' | 'policy'>;

/** Whether nothing is promoted or revoked for now: by `suspend`, a wrong clock or a deletion. */
export function isHeld({ policy, ...held }: Held): boolean {
  return policy.suspend || !mayChange(held);
}

/** Whether a keyring may be changed: not by a wrong clock, nor while its set is being deleted. */
export function mayChange({ set, observed }: Pick<Held, 'set' | 'observed'>): boolean {
  return observed.clockSkew === undefined && set.isBeingDeleted !== true;
}

/** When the current key is due to be replaced by itself, a whole second; absent: never. */
export function dueAt(ring: Keyring, { automatic }: Policy): Instant | undefined {
  const since = currentKey(ring).promotedAt;
  const due = since === undefined ? undefined : automatic?.dueAfter(since);
  return due === undefined ? undefined : wholeSecond(due);
}

/** The one key of a keyring that signs. @throws Error when there is none: a codec lets none such in. */
export function currentKey(ring: Keyring): SigningKey {
  return keyIn(ring, 'current');
}

/** The one key that will sign. */
export function nextKey(ring: Keyring): SigningKey {
  return keyIn(ring, 'next');
}

/** Newest first. */
export function previousKeys(ring: Keyring): readonly SigningKey[] {
  return ring.keys.filter((key) => key.state === 'previous');
}

function keyIn(ring: Keyring, state: SigningKey['state']): SigningKey {
  const key = ring.keys.find((candidate) => candidate.state === state);
  if (key === undefined) throw new Error(`the keyring of ${ring.owner.uid} has no ${state} key`);
  return key;
}
