import { generateKeyPairSync } from 'node:crypto';
import { HOUR, MINUTE } from '../../src/api/constants.ts';
import type { Keyring, SigningKey } from '../../src/keys/keyring.ts';
import { PrivateKey } from '../../src/keys/private-key.ts';
import type { ReportedCondition } from '../../src/rotation/conditions.ts';
import { type Plan, plan } from '../../src/rotation/plan.ts';
import { lastRefusal } from '../../src/rotation/refusal.ts';
import type {
  KeyringDraft,
  KeyToMake,
  Notice,
  Observed,
  ObservedSet,
  Policy,
  Publisher,
  Replica,
} from '../../src/rotation/situation.ts';
import type { Report } from '../../src/rotation/status.ts';
import { completed, isMade } from '../../src/rotation/transitions.ts';

export const START = Date.UTC(2026, 0, 1);

/** `rotation.every`. */
export function every(age: number): Pick<Policy, 'automatic'> {
  return { automatic: { trigger: 'Age', dueAfter: (since) => since + age } };
}

export const POLICY: Policy = {
  algorithm: 'RS256',
  modulusLength: 2048,
  propagationDelay: 90 * MINUTE,
  maxLifetime: 24 * HOUR,
  audiences: [],
  suspend: false,
  certificate: { lifetime: 87_600 * HOUR },
  clockSkew: 5 * MINUTE,
  maxStaleness: HOUR,
};

let made = 0;

/** One for all: a plan looks only at whether a key has one. */
const PRIVATE_HALF = new PrivateKey(generateKeyPairSync('ed25519').privateKey);

/** Keys without material of their own: a plan never looks at it. */
function makeKey({ make, ...place }: KeyToMake): SigningKey {
  made += 1;
  const kid = `${made}`.padStart(43, 'k');
  const modulus = 'A'.repeat(Math.ceil((make.modulusLength / 8) * (4 / 3)));
  const isRsa = /^[RP]S/.test(make.algorithm);
  const jwk = {
    kid,
    alg: make.algorithm,
    use: 'sig' as const,
    ...(isRsa ? { kty: 'RSA', n: modulus } : { kty: 'EC' }),
  };
  return { kid, algorithm: make.algorithm, jwk, privateKey: PRIVATE_HALF, ...place };
}

/** What apply does with a draft, without the cluster. */
export function fill(draft: KeyringDraft): Keyring {
  return completed(
    draft,
    draft.keys.map((key) => (isMade(key) ? key : makeKey(key))),
  );
}

/**
 * One set of a cluster without a cluster: carries out plans as apply does, with a clock to turn
 * and annotations to type.
 */
export class World {
  now = START;
  policy: Policy;
  set: ObservedSet | undefined;
  ring: Keyring | undefined;
  former: Keyring[] = [];
  claim: Observed['claim'] = { granted: true, issuer: 'https://login.example', source: 'spec' };
  /** ConfigMaps that lag behind carry only these kids; absent: they follow at once. */
  lagging: Publisher[] = [];
  /** Replicas of the issuer; none: ConfigMaps alone decide. */
  replicas: readonly Replica[] = [];
  /** Whatever else is seen, such as a clock that is wrong or a backup. */
  also: Partial<Observed> = {};
  /** How far the later reading of the clock is ahead of the earlier one, after a jump. */
  jumped = 0;
  /** Reasons of everything that was told, oldest first. */
  readonly told: string[] = [];
  /** The same, whole. */
  readonly notices: Notice[] = [];
  readonly #uids = (function* () {
    for (let uid = 1; ; uid += 1) yield `uid-${uid}`;
  })();

  constructor(policy: Partial<Policy> = {}) {
    this.policy = { ...POLICY, ...policy };
    this.set = this.#newSet({});
  }

  /** A world whose set has its first keys. */
  static start(policy: Partial<Policy> = {}): World {
    return new World(policy).settle();
  }

  annotate(annotations: Record<string, string | null>): this {
    if (this.set === undefined) throw new Error('there is no set to annotate');
    const merged = Object.entries({ ...this.set.annotations, ...annotations });
    const kept = merged.filter((entry): entry is [string, string] => entry[1] !== null);
    this.set = { ...this.set, annotations: Object.fromEntries(kept) };
    return this.settle();
  }

  spec(change: Partial<Policy>): this {
    this.policy = { ...this.policy, ...change };
    return this.settle();
  }

  /** Turns the clock on, stopping wherever a plan asked to be looked at again. */
  wait(milliseconds: number): this {
    const end = this.now + milliseconds;
    while (this.now < end) {
      const next = this.plan().recheckAt ?? Number.POSITIVE_INFINITY;
      this.now = Math.min(end, Math.max(next, this.now + 1));
      this.settle();
    }
    return this;
  }

  delete(): this {
    if (this.ring !== undefined) this.former.push(this.ring);
    this.ring = undefined;
    this.set = undefined;
    return this.settle();
  }

  recreate(annotations: Record<string, string> = {}): this {
    this.set = this.#newSet(annotations);
    return this.settle();
  }

  plan(): Plan {
    return plan(this.observed(), this.policy, { now: this.now, stamp: this.now + this.jumped });
  }

  observed(): Observed {
    const { set, ring, former, claim } = this;
    return {
      ...(set === undefined ? {} : { set }),
      ...(ring === undefined ? {} : { keyring: ring }),
      former,
      claim,
      publishers: this.lagging,
      replicas: this.replicas,
      ...this.also,
    };
  }

  /** Carries out plans until there is nothing to do. @throws Error when that never comes (I20). */
  settle(): this {
    for (let step = 0; step < 20; step += 1) {
      if (!this.step()) return this;
    }
    throw new Error('the plan never settles');
  }

  /** Carries out one plan. @returns whether it did anything. */
  step(): boolean {
    const { intake, transition, discard, report, notices = [] } = this.plan();
    if (intake !== undefined && this.set !== undefined) {
      const merged = Object.entries({ ...this.set.annotations, ...intake.annotations });
      const kept = merged.filter((entry): entry is [string, string] => entry[1] !== null);
      this.set = { ...this.set, annotations: Object.fromEntries(kept) };
      this.#hear(intake.notices);
      return true;
    }
    if (transition !== undefined) {
      this.#write(fill(transition.keyring));
      this.#hear(transition.notices);
      return true;
    }
    if (discard === undefined) {
      this.#hear(notices);
      if (report !== undefined) this.#report(report);
      return false;
    }
    this.former = this.former.filter((ring) => ring !== discard.keyring);
    return true;
  }

  #report({ conditions, issuer }: Report): void {
    if (this.set === undefined) return;
    const pending = conditions.find(({ type }) => type === 'RotationPending');
    this.set = {
      ...this.set,
      reportedPending: pending?.status === 'True',
      ...(issuer === undefined ? {} : { reportedIssuer: issuer }),
    };
  }

  #hear(notices: readonly Notice[]): void {
    this.told.push(...notices.map(({ reason }) => reason));
    this.notices.push(...notices);
  }

  get messages(): string[] {
    return this.notices.map(({ message }) => message);
  }

  /** The last thing that was told. */
  get heard(): string {
    return this.messages.at(-1) ?? '';
  }

  /** Why the last request was refused. */
  get refusal(): string | undefined {
    return this.set && lastRefusal(this.set);
  }

  /** The keyring. @throws Error when there is none. */
  get keys(): Keyring {
    if (this.ring === undefined) throw new Error('there is no keyring');
    return this.ring;
  }

  /** A condition as the plan reports it now. @throws Error when it does not. */
  condition(type: string): ReportedCondition {
    const found = this.plan().report?.conditions.find((candidate) => candidate.type === type);
    if (found === undefined) throw new Error(`no condition ${type}`);
    return found;
  }

  #write(ring: Keyring): void {
    if (ring.owner.uid === this.set?.uid) this.ring = ring;
    else this.former = this.former.map((held) => (held.owner.uid === ring.owner.uid ? ring : held));
  }

  #newSet(annotations: Record<string, string>): ObservedSet {
    const uid = this.#uids.next().value ?? '';
    return {
      namespace: 'identity',
      name: 'login',
      uid,
      namespaceUid: 'ns-1',
      annotations,
      reportedKids: [],
    };
  }
}
