import type { SigningKey } from '../keys/keyring.ts';
import { restoreRefusal } from './backup.ts';
import { propagatedAt, roomAt } from './gate.ts';
import type { PendingRequest } from './pending.ts';
import { currentKey, nextKey, previousKeys, type Situation } from './situation.ts';
import { from, short } from './text.ts';
import { dueKids } from './transitions.ts';
import type { Asked, Typed } from './verbs.ts';

/** Requests seen together, each either taken or refused with what to type instead. */
export interface Judgement {
  readonly accepted: readonly Typed[];
  readonly refusals: readonly string[];
}

/** What is looked at to judge one request: the cluster, and what it comes together with. */
interface Case extends Situation {
  readonly waiting: PendingRequest | undefined;
  /** Seen together with it; for a revocation, only what of that was taken. */
  readonly others: readonly Typed[];
  /** The kids that will be revoked along with it. */
  readonly leaving: readonly string[];
}

type Kind = 'rotate' | 'rollback' | 'restore' | 'revoke';
type Refuse<K extends Kind> = (asked: Extract<Asked, Record<K, unknown>>, facts: Case) => Refusal;
type Refusal = string | undefined;

/** Judges requests seen together: first which key is to sign, then what is to go (design section 1). */
export function judge(
  typed: readonly Typed[],
  waiting: PendingRequest | undefined,
  situation: Situation,
): Judgement {
  const isRevocation = ({ asked }: Typed) => 'revoke' in asked;
  const leaving = [
    ...(waiting?.revoke ?? []),
    ...typed.flatMap(({ asked }) => ('revoke' in asked ? asked.revoke : [])),
  ];
  const first = sort(
    typed.filter((item) => !isRevocation(item)),
    { ...situation, waiting, leaving, others: typed },
  );
  const then = sort(typed.filter(isRevocation), {
    ...situation,
    ...{ waiting, leaving, others: first.accepted },
  });
  return {
    accepted: [...first.accepted, ...then.accepted],
    refusals: [...first.refusals, ...then.refusals],
  };
}

function sort(typed: readonly Typed[], facts: Case): Judgement {
  const accepted: Typed[] = [];
  const refusals: string[] = [];
  for (const item of typed) {
    const refusal = refusalOf(item, facts);
    if (refusal === undefined) accepted.push(item);
    else refusals.push(refusal);
  }
  return { accepted, refusals };
}

function refusalOf({ text, asked }: Typed, facts: Case): Refusal {
  if ('refusal' in asked) return asked.refusal;
  return named(text, amongOthers(asked, facts) ?? onItsOwn(asked, facts));
}

/** Says which request a refusal is about, where it does not say so itself. */
export function named(text: string, refusal: Refusal): Refusal {
  return refusal === undefined || refusal.startsWith(text) ? refusal : `${text}: ${refusal}`;
}

function onItsOwn(asked: Exclude<Asked, { refusal: string }>, facts: Case): Refusal {
  if ('rotate' in asked) return refuseRotate(asked, facts);
  if ('rollback' in asked) return rollbackRefusal(facts, facts.leaving);
  return 'restore' in asked ? restoreRefusal(facts) : refuseRevoke(asked, facts);
}

/** A restore stands alone, and one request cannot turn the set both ways. */
function amongOthers(asked: Asked, { waiting, others }: Case): Refusal {
  const has = (kind: Kind) => others.some((other) => kind in other.asked);
  if ('restore' in asked) {
    const isAlone = waiting === undefined || waiting.restore !== undefined;
    if (isAlone && !(['rotate', 'rollback', 'revoke'] as const).some(has)) return undefined;
    return 'a restore stands alone: type it again when the other request is done or cancelled';
  }
  if (waiting?.restore !== undefined) {
    return `${waiting.asked.join(' ')} waits, and nothing joins it: type this again when it is done`;
  }
  const turnsBothWays =
    ('rotate' in asked && (has('rollback') || waiting?.rollback === true)) ||
    ('rollback' in asked && has('rotate'));
  return turnsBothWays
    ? 'a rotation and a rollback contradict each other: type one of rotate=now and rollback=now'
    : undefined;
}

const refuseRotate: Refuse<'rotate'> = ({ rotate }, { ring, leaving }) => {
  if (rotate === 'force' && leaving.includes(nextKey(ring).kid)) return NEXT_IS_TO_SIGN;
  const room = roomAt(ring, leaving);
  if (rotate !== 'force' || room === undefined) return undefined;
  return (
    `three previous keys still verify until ${from(room)} at least, and a fourth is not made: ` +
    'type rotate=force revoke=previous to give up their tokens, or rotate=now to wait'
  );
};

/**
 * @param leaving the kids that are revoked along with it.
 * @returns why the newest previous key cannot sign again; undefined when it can.
 */
export function rollbackRefusal(situation: Situation, leaving: readonly string[]): Refusal {
  const { ring } = situation;
  const [newest] = previousKeys(ring);
  if (newest === undefined)
    return 'there is no previous key that could sign again: type rotate=now';
  const { kid } = newest;
  if (leaving.includes(kid))
    return `${short(kid)} is to sign again and to be revoked: type only one`;
  if (newest.privateKey === undefined) {
    return (
      `${short(kid)} only verifies, its private half is gone (only the key that signed last keeps ` +
      'it): type rotate=now instead'
    );
  }
  // A wrong clock cannot tell; the request waits for a right one.
  return situation.observed.clockSkew === undefined ? refusalByTime(newest, situation) : undefined;
}

function refusalByTime(newest: SigningKey, { ring, now }: Situation): Refusal {
  const kid = short(newest.kid);
  if (dueKids(ring, { now }).includes(newest.kid)) {
    return `${kid} has verified until its end and is being revoked: type rotate=now instead`;
  }
  const known = propagatedAt(newest);
  if (known !== undefined && known <= now) return undefined;
  const until = known === undefined ? '' : ` before ${from(known)}`;
  return (
    `${kid} signed by force, and verifiers may not know it${until}: type rollback=now again after ` +
    'that, or rotate=now'
  );
}

const NEXT_IS_TO_SIGN =
  'revokes the key that the rotation is to sign with: revoke it alone, which makes another next ' +
  'key, and rotate after that';

const refuseRevoke: Refuse<'revoke'> = ({ revoke }, { ring, waiting, others }) => {
  const rotation = others.map(({ asked }) => ('rotate' in asked ? asked.rotate : undefined));
  const rotates = waiting?.rotate === true || rotation.some(Boolean);
  const rollsBack = waiting?.rollback === true || others.some(({ asked }) => 'rollback' in asked);
  const isCompromised = waiting?.haste === 'compromised' || rotation.includes('compromised');
  const { kid } = currentKey(ring);
  if (revoke.includes(kid) && !(rotates || rollsBack)) {
    return (
      'it names the key that signs: rotate first, or in the same command ' +
      `(rotate=now revoke=${kid}), so that another key signs; after a leak type rotate=compromised`
    );
  }
  const newest = previousKeys(ring)[0]?.kid;
  if (rollsBack && newest !== undefined && revoke.includes(newest)) {
    return `${short(newest)} is to sign again and to be revoked: type only one`;
  }
  const namesNext = revoke.includes(nextKey(ring).kid);
  return namesNext && rotates && !isCompromised ? NEXT_IS_TO_SIGN : undefined;
};
