import { PENDING_ANNOTATION } from '../api/constants.ts';
import { type Bereft, restoreRefusal } from './backup.ts';
import { judge, named, rollbackRefusal } from './judge.ts';
import { formatPending, type PendingRequest, pendingWithoutKeys, readPending } from './pending.ts';
import { noteRefusal } from './refusal.ts';
import { isHeld, type Notice, type ObservedSet, type Situation } from './situation.ts';
import { noteTaken, takenIds } from './taken-ids.ts';
import { readTyped, restoreTyped, type Typed } from './verbs.ts';

/** A write of the set's own annotations: a value, or null to remove one. */
export interface Intake {
  readonly annotations: Readonly<Record<string, string | null>>;
  /** The request as it waits from now on, when something was added to it. */
  readonly taken?: PendingRequest;
  readonly notices: readonly Notice[];
}

/**
 * Consumes request annotations: one write takes them away and leaves one pending request, which
 * joins the one that waits. What cannot be met is refused here, with what to type instead.
 *
 * @returns undefined when there is nothing to consume.
 */
export function takeRequests(situation: Situation): Intake | undefined {
  const { set, ring } = situation;
  const pending = readPending(set, ring);
  const waiting = pending.kind === 'waiting' ? pending.request : undefined;
  const known = [...ring.requests.ids, ...(waiting?.ids ?? []), ...takenIds(set)];
  const typed = readTyped(set, ring, known);
  if (typed.length > 0) {
    const made = take(typed, waiting, situation);
    return pending.kind === 'foreign' ? { ...made, notices: [...made.notices, IGNORED] } : made;
  }
  if (pending.kind === 'waiting') return giveUp(pending.request, situation);
  return pending.kind === 'none' ? undefined : clearPending(pending.kind);
}

/**
 * The same for a set whose keyring is not there or cannot be read: only a restore can be taken, in
 * the place of whatever waits. Its number is above that, for the keyring that it brings (I9).
 */
export function takeRestore(bereft: Bereft): Intake | undefined {
  const { set } = bereft;
  const waiting = pendingWithoutKeys(set);
  const typed = restoreTyped(set);
  if (typed === undefined) {
    return waiting?.restore === undefined ? undefined : giveUp(waiting, bereft);
  }
  const refusal =
    'refusal' in typed.asked ? typed.asked.refusal : named(typed.text, restoreRefusal(bereft));
  const accepted = refusal === undefined ? [typed] : [];
  const number = Math.max(waiting?.number ?? 0, bereft.observed.lastNumber ?? 0) + 1;
  const taken = refusal === undefined ? join(set.uid, number, undefined, accepted) : undefined;
  const made = intake(
    set,
    [typed],
    taken ?? waiting,
    taken,
    refusal === undefined ? [] : [refusal],
  );
  return tellingWhatGivesWay(made, waiting);
}

function take(
  typed: readonly Typed[],
  waiting: PendingRequest | undefined,
  situation: Situation,
): Intake {
  const { set, ring } = situation;
  const { accepted, refusals } = judge(typed, waiting, situation);
  const number = waiting?.number ?? ring.requests.number + 1;
  const taken = accepted.length === 0 ? undefined : join(set.uid, number, waiting, accepted);
  const made = intake(set, typed, taken ?? waiting, taken, refusals);
  return tellingWhatGivesWay(made, waiting);
}

function intake(
  set: ObservedSet,
  typed: readonly Typed[],
  pending: PendingRequest | undefined,
  taken: PendingRequest | undefined,
  refusals: readonly string[],
): Intake {
  return {
    annotations: {
      ...consumed(set, typed),
      [PENDING_ANNOTATION]: pending === undefined ? null : formatPending(pending),
      ...noteRefusal(set, refusals[0]),
    },
    ...(taken === undefined ? {} : { taken }),
    notices: refusals.map(refusalNotice),
  };
}

/** Every request goes, but for `rotate=id:<text>`, of which is noted that it was taken or refused. */
function consumed(set: ObservedSet, typed: readonly Typed[]) {
  const gone = typed.filter(({ asked }) => !('id' in asked));
  const ids = typed.map(({ asked }) => ('id' in asked ? asked.id : undefined));
  return {
    ...Object.fromEntries(gone.map(({ annotation }) => [annotation, null])),
    ...noteTaken(
      set,
      ids.filter((id) => id !== undefined),
    ),
  };
}

/** A request that could be met when it was taken, and cannot any more. */
function giveUp(waiting: PendingRequest, facts: Bereft): Intake | undefined {
  if (isHeld(facts)) return undefined;
  const { ring } = facts;
  const impossible =
    waiting.rollback === true && ring !== undefined
      ? rollbackRefusal({ ...facts, ring }, waiting.revoke)
      : waiting.restore !== undefined
        ? restoreRefusal(facts)
        : undefined;
  if (impossible === undefined) return undefined;
  const refusal = named(waiting.asked.join(' '), impossible) ?? '';
  return intake(facts.set, [], undefined, undefined, [refusal]);
}

/** What waits, with what is added; a rollback takes the place of a rotation, a restore of all. */
function join(
  uid: string,
  number: number,
  waiting: PendingRequest | undefined,
  accepted: readonly Typed[],
): PendingRequest {
  const asked = accepted.map((item) => item.asked);
  const ids = asked.flatMap((one) => ('id' in one && one.id !== undefined ? [one.id] : []));
  const revoke = asked.flatMap((one) => ('revoke' in one ? one.revoke : []));
  const rotations = asked.flatMap((one) => ('rotate' in one ? [one.rotate] : []));
  const rollback = waiting?.rollback ?? asked.some((one) => 'rollback' in one);
  const restore = asked.find((one) => 'restore' in one)?.restore ?? waiting?.restore;
  const rotate = !rollback && (waiting?.rotate === true || rotations.length > 0);
  const haste = (['compromised', 'force'] as const).find(
    (one) => waiting?.haste === one || rotations.includes(one),
  );
  const replaces =
    (rollback && waiting?.rollback !== true) || asked.some((one) => 'restore' in one);
  const kept = (waiting?.asked ?? []).filter((text) => !replaces || text.startsWith('revoke='));
  return {
    ...{ uid, number, rotate },
    ...(rotate && haste !== undefined ? { haste } : {}),
    ...(rollback ? { rollback } : {}),
    ...(restore === undefined ? {} : { restore }),
    ids: unique([...(waiting?.ids ?? []), ...ids]),
    revoke: unique([...(waiting?.revoke ?? []), ...revoke]),
    asked: unique([...kept, ...accepted.map(({ text }) => text)]),
  };
}

function unique(texts: readonly string[]): string[] {
  return [...new Set(texts)];
}

function refusalNotice(message: string): Notice {
  return { type: 'Warning', reason: 'RequestRefused', message };
}

/** What waited and does not any more is told: a request ends carried out, or with a word (I9). */
function tellingWhatGivesWay(made: Intake, waiting: PendingRequest | undefined): Intake {
  const { taken, notices } = made;
  if (taken === undefined) return made;
  const gone = (waiting?.asked ?? []).filter((text) => !taken.asked.includes(text));
  if (gone.length === 0) return made;
  const message = `${gone.join(' ')} waited, and gives way to ${taken.asked.join(' ')}`;
  return {
    ...made,
    notices: [...notices, { type: 'Normal', reason: 'RotationCancelled', message }],
  };
}

function clearPending(kind: 'done' | 'foreign'): Intake {
  return {
    annotations: { [PENDING_ANNOTATION]: null },
    notices: kind === 'foreign' ? [IGNORED] : [],
  };
}

const IGNORED: Notice = {
  type: 'Warning',
  reason: 'RequestIgnored',
  message:
    `${PENDING_ANNOTATION} was not written for this set and its keys as they are (a copy keeps the ` +
    'annotations of its original), so it was removed: type rotate=now if this set is to rotate',
};
