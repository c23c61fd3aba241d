import { LONGEST_MAX_AGE } from '../../../src/api/caching.ts';
import { DAY, PENDING_ANNOTATION } from '../../../src/api/constants.ts';
import type { Instant, Keyring, RevokedKey } from '../../../src/keys/keyring.ts';
import {
  backupAsked,
  type PendingRequest,
  pendingWithoutKeys,
} from '../../../src/rotation/pending.ts';
import { type Plan, plan } from '../../../src/rotation/plan.ts';
import { isOlder } from '../../../src/rotation/put-back.ts';
import {
  currentKey,
  type Observed,
  type ObservedSet,
  type Policy,
  type Transition,
} from '../../../src/rotation/situation.ts';
import { keptRevoked } from '../../../src/rotation/transitions.ts';
import { fill, POLICY, START } from '../situations.ts';
import { ControllerClock } from './clock.ts';
import { ConfigMaps } from './config-maps.ts';
import { Issuers } from './issuers.ts';
import { Rules } from './rules.ts';
import { Verifiers } from './verifiers.ts';
import { hold } from './violation.ts';
import {
  checkDue,
  checkEvidence,
  checkIntake,
  checkReport,
  givenUp,
  isUnheralded,
} from './witness.ts';

export type Decide = typeof plan;

/** How the next write but so many goes wrong. Either way the controller is gone after it. */
export interface Fault {
  readonly after: number;
  /** `lost`: the API server has it, and nobody was told. */
  readonly kind: 'fails' | 'lost';
}

/** What apply stops with when a write goes wrong. */
class Crash extends Error {}

const MOST_STEPS = 30;
const MOST_STOPS = 600;
/** All previous keys have gone by then, and all waits are over. */
const LONG_ENOUGH = 10 * DAY;

/**
 * One set in a cluster: its controller, which may crash between any two writes, the replicas of
 * the issuer, the ConfigMaps and all verifiers. Every write is held against the rules.
 */
export class Universe {
  /** By the clock of the API server. */
  now: Instant = START;
  policy: Policy;
  set: ObservedSet | undefined;
  /** What the Secret of the set holds, as far as anybody can read it. */
  secret: Keyring | undefined;
  isDamaged = false;
  backup: Keyring | undefined;
  isControllerUp = true;
  fault: Fault | undefined;
  readonly verifiers = new Verifiers();
  readonly issuers = new Issuers(this.verifiers);
  readonly configMaps = new ConfigMaps(this.verifiers);
  readonly clock = new ControllerClock(START);
  /** Reasons of everything that was told, oldest first. */
  readonly told: string[] = [];
  readonly #decide: Decide;
  readonly #rules = new Rules(this.verifiers);
  #former: Keyring[] = [];
  /** What the last status names as revoked. */
  #reportedRevoked: readonly RevokedKey[] = [];
  /** What the running controller has read whole. */
  #known: Keyring | undefined;
  /** The same, where the Secret has been put back to an older state. */
  #newer: Keyring | undefined;
  /** What the Secret held before it was put back to an older state. */
  #hidden: Keyring | undefined;
  #uids = 0;
  #recheckAt: Instant = Number.POSITIVE_INFINITY;

  constructor(policy: Partial<Policy> = {}, decide: Decide = plan) {
    this.policy = { ...POLICY, ...policy };
    this.#decide = decide;
    this.make();
  }

  /** The keyring that replicas serve. */
  get newest(): Keyring | undefined {
    return this.secret ?? this.#former[0];
  }

  make(): void {
    this.#uids += 1;
    this.#reportedRevoked = [];
    this.set = {
      ...{ namespace: 'identity', name: 'login', namespaceUid: 'ns-1' },
      uid: `uid-${this.#uids}`,
      annotations: {},
      reportedKids: [],
    };
  }

  annotate(annotations: Readonly<Record<string, string | null>>): void {
    if (this.set === undefined) return;
    const merged = Object.entries({ ...this.set.annotations, ...annotations });
    const kept = merged.filter((entry): entry is [string, string] => entry[1] !== null);
    this.set = { ...this.set, annotations: Object.fromEntries(kept) };
  }

  /** The set is deleted; its Secret stays. */
  delete(): void {
    if (this.secret !== undefined && !this.isDamaged) this.#former.unshift(this.secret);
    this.set = undefined;
    this.secret = undefined;
    this.#known = undefined;
    this.#newer = undefined;
    this.#reportedRevoked = [];
  }

  /** Somebody deletes the Secret. */
  lose(): void {
    if (this.#known === undefined && this.secret !== undefined) this.#giveUpAll(this.secret);
    this.secret = undefined;
    this.isDamaged = false;
  }

  /** Somebody puts the Secret back to what was backed up; keys of after that are out of sight. */
  putBack(): void {
    const { backup, set } = this;
    if (backup === undefined || set?.uid !== backup.owner.uid) return;
    const newer = this.#newer ?? (this.isControllerUp ? this.#known : undefined);
    this.#hidden = this.#newer ?? this.secret ?? this.#known;
    this.secret = backup;
    this.isDamaged = false;
    if (newer === undefined || !isOlder(backup, newer)) {
      this.#forgetHidden();
      return;
    }
    this.#newer = newer;
    // What signs now, and was gone, is refused by whoever knows that.
    const left = new Set(newer.keys.map(({ kid }) => kid));
    this.verifiers.giveUp(backup.keys.map(({ kid }) => kid).filter((kid) => !left.has(kid)));
    for (const { kid } of newer.keys) this.verifiers.hide(kid, Number.POSITIVE_INFINITY);
  }

  /** Nobody writes back what the Secret held: from now on the older state is the keyring. */
  #forgetHidden(): void {
    for (const ring of [this.#hidden, this.secret]) if (ring !== undefined) this.#giveUpAll(ring);
    if (this.#hidden !== undefined && this.secret !== undefined) this.#rules.goBack(this.secret);
    this.#hidden = undefined;
    this.#newer = undefined;
  }

  /** Another process: it knows only what it reads. */
  restart(): void {
    this.clock.restart(this.now, this.policy.clockSkew);
    this.#forgetHidden();
    if (this.secret === undefined && this.#known !== undefined) this.#giveUpAll(this.#known);
    this.#known = this.isDamaged ? undefined : this.secret;
    this.isControllerUp = true;
    this.settle();
  }

  /** Turns the clock on, stopping wherever somebody wants to look again. */
  wait(milliseconds: number): void {
    const end = this.now + milliseconds;
    for (let stop = 0; stop < MOST_STOPS && this.now < end; stop += 1) {
      const lapse = this.issuers.nextLapse(this.policy.clockSkew, this.now);
      const look = this.isControllerUp ? this.#recheckAt : Number.POSITIVE_INFINITY;
      this.now = Math.min(end, lapse, Math.max(look, this.now + 1));
      this.issuers.follow(this.newest, this.isDamaged, this.now);
      this.settle();
      this.verify();
    }
  }

  /** Lets the controller work until there is nothing to do (I20), or a write goes wrong. */
  settle(): void {
    if (!this.isControllerUp) return;
    try {
      for (let step = 0; step < MOST_STEPS; step += 1) if (!this.#step()) return;
    } catch (error) {
      if (!(error instanceof Crash)) throw error;
      this.isControllerUp = false;
      return;
    }
    hold('I20', false, 'the plan never settles');
  }

  /** I1, for everything that was signed, by everybody who may verify it. */
  verify(): void {
    this.issuers.serve(this.now);
    this.verifiers.check(this.now, this.issuers.served(this.now));
  }

  /** Everybody looks at what is there, and acts on it. */
  look(): void {
    this.clock.notice(this.now, this.policy.clockSkew);
    this.issuers.follow(this.newest, this.isDamaged, this.now);
    this.settle();
    this.verify();
  }

  /** Faults stop; in the end nothing waits, and nothing is left to do (I9, I20). */
  recover(): void {
    const { automatic: _off, ...policy } = this.policy;
    this.policy = { ...policy, suspend: false };
    this.fault = undefined;
    this.clock.set(0);
    this.issuers.heal();
    this.configMaps.allow(true);
    this.restart();
    this.look();
    this.wait(LONG_ENOUGH);
    hold('I9', this.isDamaged || !this.isPending, 'a request waits for ever');
    const before = this.newest;
    this.look();
    hold('I20', this.newest === before, 'something is written again and again');
  }

  /** What replicas can load. */
  get readable(): Keyring | undefined {
    return this.isDamaged ? undefined : this.newest;
  }

  #plan(): Plan {
    return this.#decide(this.#observed(), this.policy, this.clock.read(this.now));
  }

  #observed(): Observed {
    const { set, secret, policy } = this;
    const ring = this.isDamaged ? undefined : secret;
    const lost = secret === undefined && set !== undefined ? this.#known : undefined;
    const skew = this.clock.skew(policy.clockSkew);
    const asked = set === undefined ? undefined : backupAsked(set);
    const lastNumber = ring === undefined ? this.#known?.requests.number : undefined;
    return {
      ...(set === undefined ? {} : { set }),
      ...(ring === undefined ? {} : { keyring: ring }),
      ...(this.isDamaged ? { keyringFault: DAMAGED } : {}),
      ...(lost === undefined ? {} : { lostKeyring: lost }),
      ...(this.#newer === undefined ? {} : { newer: this.#newer }),
      ...(lastNumber === undefined ? {} : { lastNumber }),
      revoked: ring === undefined ? this.#revoked : this.#reportedRevoked,
      // In the order in which a cache happens to have them: not in that of their making.
      former: this.#former.toReversed(),
      claim: { granted: true, issuer: 'https://login.example', source: 'spec' },
      publishers: ring === undefined ? [] : this.configMaps.publishers(ring),
      replicas: this.issuers.leases(this.newest, policy.clockSkew, this.now),
      ...(skew === undefined ? {} : { clockSkew: skew }),
      ...(asked === undefined ? {} : { backup: this.#read(asked) }),
    };
  }

  /** What is known to be revoked, though the keyring cannot be read. */
  get #revoked(): RevokedKey[] {
    return keptRevoked([...(this.#known?.revoked ?? []), ...this.#reportedRevoked]);
  }

  #read(secret: string): NonNullable<Observed['backup']> {
    return this.backup === undefined
      ? { secret, fault: `there is no Secret ${secret}` }
      : { secret, keyring: this.backup };
  }

  /** One plan and what follows from it. @returns whether it did anything. */
  #step(): boolean {
    const { intake, transition, discard, report, notices = [], recheckAt } = this.#plan();
    if (intake !== undefined) {
      checkIntake(intake, this.set, this.secret);
      this.#write(() => this.annotate(intake.annotations), intake.notices);
      return true;
    }
    if (transition !== undefined) {
      const ring = fill(transition.keyring);
      this.#write(() => this.#store(transition, ring), transition.notices);
      return true;
    }
    if (discard !== undefined) {
      this.#write(() => this.#discard(discard.keyring), []);
      return true;
    }
    const changes = this.readable !== undefined && this.configMaps.follow(this.readable, this.now);
    this.#report(report);
    this.told.push(...notices.map(({ reason }) => reason));
    const { now } = this.clock.read(this.now);
    this.#recheckAt = this.now + (recheckAt ?? Number.POSITIVE_INFINITY) - now;
    return changes;
  }

  #write(change: () => void, notices: readonly { readonly reason: string }[]): void {
    const { fault } = this;
    const isDue = fault?.after === 0;
    if (fault !== undefined) this.fault = isDue ? undefined : { ...fault, after: fault.after - 1 };
    if (isDue && fault?.kind === 'fails') throw new Crash();
    change();
    if (isDue) throw new Crash();
    this.told.push(...notices.map(({ reason }) => reason));
  }

  #store(transition: Transition, after: Keyring): void {
    const before = this.#beforeOf(after);
    const pending = this.#pending(after);
    const known = this.#revoked;
    this.verifiers.giveUp(givenUp(transition, before, after, pending));
    const isOwn = after.owner.uid === this.set?.uid;
    if (isOwn) {
      this.#showHidden(after);
      this.secret = after;
      this.#known = after;
      this.isDamaged = false;
    } else {
      this.#former = this.#former.map((old) => (old.owner.uid === after.owner.uid ? after : old));
    }
    this.verifiers.learn(after);
    const { kid } = currentKey(after);
    const isTurn = before === undefined || currentKey(before).kid !== kid;
    if (isTurn && isUnheralded(transition)) this.#rules.force(kid);
    this.#rules.check({
      ...{ transition, before, after, pending, revoked: known },
      policy: this.policy,
      isSkewed: this.clock.skew(this.policy.clockSkew) !== undefined,
      time: this.clock.read(this.now),
      truth: this.now,
    });
    this.issuers.follow(this.newest, this.isDamaged, this.now);
    const served = this.issuers.served(this.now);
    const asked = [...served, ...this.configMaps.contents(false)];
    checkEvidence(before, after, asked, this.configMaps.contents(true));
  }

  /** What the Secret held before is back: copies of the older state run out. */
  #showHidden({ keys }: Keyring): void {
    if (this.#newer === undefined) return;
    for (const { kid } of keys) this.verifiers.hide(kid, this.now + LONGEST_MAX_AGE);
    this.#newer = undefined;
    this.#hidden = undefined;
  }

  #beforeOf({ owner }: Keyring): Keyring | undefined {
    const latest = this.#newer ?? this.secret ?? this.#known;
    const own = this.set?.uid === owner.uid ? latest : undefined;
    return own ?? this.#former.find((ring) => ring.owner.uid === owner.uid) ?? this.#former[0];
  }

  #pending({ owner }: Keyring): PendingRequest | undefined {
    return this.set?.uid === owner.uid ? pendingWithoutKeys(this.set) : undefined;
  }

  #giveUpAll(ring: Keyring): void {
    this.verifiers.giveUp(ring.keys.map(({ kid }) => kid));
  }

  #discard(ring: Keyring): void {
    this.#former = this.#former.filter((one) => one !== ring);
    if (this.newest === undefined) this.configMaps.withdraw(this.now);
  }

  #report(report: Plan['report']): void {
    if (report === undefined || this.set === undefined) return;
    const kids = (report.keys ?? []).map(({ kid }) => kid);
    const reported = (name: string) => report.conditions.find(({ type }) => type === name);
    const ready = reported('Ready')?.reason;
    const ring = this.isDamaged ? undefined : this.secret;
    checkReport(report, ring ?? { keys: [], revoked: this.#revoked });
    checkDue(report, ring, this.policy, this.clock.read(this.now));
    const isRevoked = new Set(
      (report.keys ?? []).map(({ state, kid }) => state === 'revoked' && kid),
    );
    const sources = keptRevoked([...(ring?.revoked ?? []), ...this.#revoked]);
    this.#reportedRevoked = sources
      .filter(({ kid }) => isRevoked.has(kid))
      .map(({ revokedEverywhereAt: _seenAnew, ...key }) => key);
    this.set = {
      ...this.set,
      reportedKids: kids,
      reportedPending: reported('RotationPending')?.status === 'True',
      ...(ready === undefined ? {} : { reportedReady: ready }),
    };
  }

  /** Whether a request waits. */
  get isPending(): boolean {
    return this.set?.annotations[PENDING_ANNOTATION] !== undefined;
  }
}

const DAMAGED = { reason: 'KeyringDamaged', message: 'keyring.json: is not JSON' } as const;
