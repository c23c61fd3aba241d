import { SECOND } from '../../../src/api/constants.ts';
import type {
  Instant,
  Keyring,
  KeyState,
  RevokedKey,
  SigningKey,
} from '../../../src/keys/keyring.ts';
import type { PendingRequest } from '../../../src/rotation/pending.ts';
import type { Transition } from '../../../src/rotation/situation.ts';
import { currentKey, nextKey, type Policy, type Time } from '../../../src/rotation/situation.ts';
import { DRIFT } from './clock.ts';
import { name, type Verifiers } from './verifiers.ts';
import { hold } from './violation.ts';

/** What the drift of clocks can take from a wait, beyond what the rules allow for. */
const TOLERANCE = 2 * DRIFT;

/** One write of a Secret, and the moment of it. */
export interface Written {
  readonly transition: Transition;
  readonly before: Keyring | undefined;
  readonly after: Keyring;
  /** The request that waits. */
  readonly pending: PendingRequest | undefined;
  /** What was known to be revoked, by status and by the keyring as last read. */
  readonly revoked: readonly RevokedKey[];
  readonly policy: Policy;
  readonly isSkewed: boolean;
  readonly time: Time;
  /** By the clock of the API server. */
  readonly truth: Instant;
}

/** The only ways between states (I7); `gone` is everything that leaves the keyring. */
const WAYS: Readonly<Record<KeyState, readonly (KeyState | 'gone')[]>> = {
  next: ['next', 'current', 'gone'],
  current: ['current', 'previous', 'gone'],
  previous: ['previous', 'current', 'gone'],
};
const NOTICE_OF = { force: 'RotationForced', compromised: 'KeysCompromised' } as const;

/** Holds each write of a Secret against the rules, and remembers what was promised. */
export class Rules {
  readonly #verifiers: Verifiers;
  /** By kid: the longest P that was in force while it was the next key (I22). */
  readonly #promisedDelay = new Map<string, number>();
  /** By kid: when it was written down as published, by the true clock. */
  readonly #publishedAt = new Map<string, Instant>();
  readonly #seen = new Set<string>();
  readonly #forced = new Set<string>();
  #promotedAt: Instant = 0;

  constructor(verifiers: Verifiers) {
    this.#verifiers = verifiers;
  }

  /** This key signs before verifiers can have seen it: that is known and told. */
  force(kid: string): void {
    this.#forced.add(kid);
    this.#verifiers.bear(kid);
  }

  /** What was promised after this keyring was written is lost with it. */
  goBack(ring: Keyring): void {
    const { kid, propagationDelay, publishedAt } = nextKey(ring);
    this.#promisedDelay.set(kid, propagationDelay);
    if (publishedAt !== undefined) this.#publishedAt.set(kid, publishedAt);
    this.#promotedAt = currentKey(ring).promotedAt ?? 0;
  }

  check(written: Written): void {
    const { after, before, transition } = written;
    this.#checkShape(after);
    const isRestored = transition.kind === 'RestoreFromBackup';
    this.#checkKids(written, isRestored);
    if (before !== undefined && !isRestored) this.#checkChange(written, before);
    this.#remember(written);
  }

  /** A backup may bring back what was lost; nothing brings back what is known to be revoked. */
  #checkKids({ after, before, revoked, isSkewed }: Written, isRestored: boolean): void {
    const recorded = isRestored ? revoked : [...revoked, ...(before?.revoked ?? [])];
    const gone = new Set(recorded.map(({ kid }) => kid));
    for (const { kid } of after.keys) {
      const isNew = before?.keys.every((key) => key.kid !== kid) === true;
      if (isNew && !isRestored) hold('I8', !this.#seen.has(kid), `${name(kid)} comes back`);
      // Put back by somebody, it is taken out once the clock is right.
      const isKept = isSkewed && !isNew;
      hold('I8', isKept || !gone.has(kid), `${name(kid)} comes back, which was revoked`);
      this.#seen.add(kid);
    }
  }

  #checkShape({ keys }: Keyring): void {
    const of = (state: KeyState) => keys.filter((key) => key.state === state);
    hold('I2', of('current').length === 1, `${of('current').length} current keys`);
    hold('I21', of('next').length === 1, `${of('next').length} next keys`);
    hold('I18', of('previous').length <= 3, `${of('previous').length} previous keys`);
    const older = of('previous').slice(1);
    const private_ = older.find(({ privateKey }) => privateKey !== undefined);
    hold('I6', private_ === undefined, 'an older previous key has its private half');
    for (const { kid, tokensUntil = 0 } of of('previous')) {
      const last = this.#verifiers.isGivenUp(kid) ? 0 : this.#verifiers.lastExpiry(kid);
      hold('I15', last <= tokensUntil + TOLERANCE, `a token outlives tokensUntil of ${name(kid)}`);
    }
  }

  #checkChange(written: Written, old: Keyring): void {
    const { after, transition, isSkewed, policy, pending } = written;
    const isTurn = currentKey(after).kid !== currentKey(old).kid;
    this.#checkRecord(written, old, isTurn);
    const gone = old.keys.filter(({ kid }) => after.keys.every((key) => key.kid !== kid));
    const revoked = gone.filter(({ state }) => state !== 'next');
    const changes = isTurn || revoked.length > 0;
    const isOwn = transition.kind !== 'Resume';
    hold('I16', !(isSkewed && changes && isOwn), 'keys changed while the clocks differ');
    const isHeld = policy.suspend && after.retiredAt === undefined;
    hold('suspend', !(isHeld && changes), 'keys changed while suspended');
    for (const key of revoked) this.#checkLoss(key, written, isTurn);
    for (const key of after.keys) {
      const was = old.keys.find(({ kid }) => kid === key.kid);
      if (was !== undefined) this.#checkKey(was, key, written);
    }
    if (isTurn) this.#checkTurn(written, old);
    if (isTurn && pending !== undefined) {
      const left = after.keys.find(({ kid }) => pending.revoke.includes(kid));
      hold('I10', left === undefined, `${name(left?.kid ?? '')} was to go in the same write`);
    }
  }

  #checkRecord({ after, pending, transition }: Written, old: Keyring, isTurn: boolean): void {
    const step = after.requests.number - old.requests.number;
    hold('I9', step === 0 || step === 1, `the number of requests moves by ${step}`);
    if (transition.kind === 'Resume') return;
    hold('I9', step === 0 || after.requests.number === pending?.number, 'a request nobody made');
    const byRequest = isTurn && after.lastRotation?.request !== undefined;
    hold('I9', !byRequest || step === 1, 'a request was carried out and not recorded');
  }

  #checkLoss({ kid, tokensUntil = Infinity }: SigningKey, written: Written, isTurn: boolean): void {
    const { time, after } = written;
    hold('I7', isTurn || currentKey(after).kid !== kid, 'the current key was revoked');
    if (this.#verifiers.isGivenUp(kid)) return;
    hold('I5', tokensUntil <= time.now, `${name(kid)} leaves before its tokensUntil`);
  }

  #checkKey(was: SigningKey, key: SigningKey, { transition }: Written): void {
    hold('I7', WAYS[was.state].includes(key.state), `from ${was.state} to ${key.state}`);
    const isBack = was.state === 'previous' && key.state === 'current';
    hold('I7', !isBack || transition.kind === 'RollBack', 'a previous key signs again by itself');
    const shrinks = (left: number | undefined, right: number | undefined) =>
      (left ?? 0) < (right ?? 0);
    hold('I22', !shrinks(key.tokensUntil, was.tokensUntil), `tokensUntil of ${name(key.kid)}`);
    hold('I22', !shrinks(key.revokeAt, was.revokeAt), `revokeAt of ${name(key.kid)}`);
    hold('I22', !shrinks(key.propagationDelay, was.propagationDelay), `P of ${name(key.kid)}`);
  }

  /** Another key signs: it waited, or whoever asked for it not to wait is told so. */
  #checkTurn(written: Written, old: Keyring): void {
    const { after, transition, pending, time, truth, policy } = written;
    const key = currentKey(after);
    const { trigger } = after.lastRotation ?? {};
    const isByItself = trigger === 'Age' || trigger === 'Schedule';
    if (isByItself && policy.automatic !== undefined) {
      const age = (policy.automatic.dueAfter(0) ?? 0) - TOLERANCE;
      hold('I16', truth - this.#promotedAt >= age, 'rotated by itself again too early');
    }
    const haste = isByItself ? undefined : pending?.haste;
    if (haste !== undefined) {
      const reasons = transition.notices.map(({ reason }) => reason);
      hold('I17', reasons.includes(NOTICE_OF[haste]), `${haste} without its Event`);
      const named = trigger === 'Force' || trigger === 'Compromised';
      hold('I17', named, `${haste} is not seen in lastRotation`);
      this.force(key.kid);
      return;
    }
    const was = old.keys.find(({ kid }) => kid === key.kid);
    if (was?.state !== 'next' || key.inFirstJwks) return;
    const promised = this.#promisedDelay.get(key.kid) ?? 0;
    const { publishedAt = Infinity } = key;
    hold('I3', time.now >= publishedAt + promised, `${name(key.kid)} signs too early`);
    const waited = truth - (this.#publishedAt.get(key.kid) ?? Infinity) + TOLERANCE;
    hold('I3', waited >= promised, `${name(key.kid)} signs too early by the true clock`);
    const shown = Math.floor((key.promotedAt ?? 0) / SECOND) * SECOND;
    hold('I3', shown >= publishedAt + promised, 'status shows that the gate was not kept');
  }

  #remember({ after, before, transition, truth }: Written): void {
    const next = nextKey(after);
    const isRestored = transition.kind === 'RestoreFromBackup';
    // What was promised after the backup was made is lost with it.
    const known = isRestored ? next.propagationDelay : (this.#promisedDelay.get(next.kid) ?? 0);
    const promised = Math.max(known, after.propagationDelay);
    if (after.retiredAt === undefined) this.#promisedDelay.set(next.kid, promised);
    for (const { kid, publishedAt, propagationDelay } of after.keys) {
      if (publishedAt === undefined) this.#publishedAt.delete(kid);
      else if (!this.#publishedAt.has(kid)) this.#publishedAt.set(kid, truth);
      if (!this.#forced.has(kid)) continue;
      const since = this.#publishedAt.get(kid) ?? Infinity;
      this.#verifiers.excuse(kid, since + propagationDelay + TOLERANCE);
    }
    const { kid, promotedAt = 0 } = currentKey(after);
    // The age of a key counts on where it comes from a backup.
    if (isRestored) this.#promotedAt = promotedAt;
    else if (before === undefined || currentKey(before).kid !== kid) this.#promotedAt = truth;
  }
}
