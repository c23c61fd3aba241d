import {
  GROUP,
  PENDING_ANNOTATION,
  REFUSED_ANNOTATION,
  TAKEN_ID_ANNOTATION,
} from '../api/constants.ts';
import type { Keyring } from '../keys/keyring.ts';
import { formatPending, type PendingRequest, readPending } from './pending.ts';
import { currentKey, type Notice, nextKey, type ObservedSet, previousKeys } from './situation.ts';

/** A write of the set's own annotations: a value, or null to remove one. */
export interface Intake {
  readonly annotations: Readonly<Record<string, string | null>>;
  /** The request as it waits from now on, when something was added to it. */
  readonly taken?: PendingRequest;
  readonly notices: readonly Notice[];
}

/** What one annotation asks for. A `refusal` says what to type instead. */
type Asked =
  | { readonly rotate: true; readonly id?: string }
  | { readonly revoke: readonly string[] }
  | { readonly refusal: string };

interface Typed {
  readonly annotation: string;
  /** As people type it: `rotate=now`. */
  readonly text: string;
  readonly asked: Asked;
}

/** The verbs of the request table (design section 1); each also works under `signet.dev/`. */
const VERBS: Readonly<Record<string, (value: string, ring: Keyring) => Asked>> = {
  rotate: askRotate,
  revoke: askRevoke,
};
const SHORTEST_KID_PREFIX = 8;
const LONGEST_ID = 128;

/**
 * Consumes request annotations: one write takes them away and leaves one pending request, which
 * joins the one that waits. What cannot be met is refused here, with what to type instead.
 *
 * @returns undefined when there is nothing to consume.
 */
export function takeRequests(set: ObservedSet, ring: Keyring): Intake | undefined {
  const pending = readPending(set, ring);
  const waiting = pending.kind === 'waiting' ? pending.request : undefined;
  const typed = readTyped(set, ring, waiting);
  if (typed.length === 0) {
    const isLeftOver = pending.kind === 'done' || pending.kind === 'foreign';
    return isLeftOver ? clearPending(pending.kind) : undefined;
  }
  const { accepted, refused } = judge(typed, ring, waiting);
  const taken = accepted.length === 0 ? undefined : join(set, ring, waiting, accepted);
  const pendingNow = taken ?? waiting;
  return {
    annotations: {
      ...consumed(typed, accepted),
      [PENDING_ANNOTATION]: pendingNow === undefined ? null : formatPending(pendingNow),
      [REFUSED_ANNOTATION]: refused[0]?.refusal ?? null,
    },
    ...(taken === undefined ? {} : { taken }),
    notices: refused.map(({ refusal }) => refusalNotice(refusal)),
  };
}

/** Every request goes, but for `rotate=id:<text>`, of which is noted that it was taken. */
function consumed(typed: readonly Typed[], accepted: readonly Typed[]) {
  const gone = typed.filter(({ asked }) => !('id' in asked));
  const id = accepted.map(({ asked }) => ('id' in asked ? asked.id : undefined)).find(Boolean);
  return {
    ...Object.fromEntries(gone.map(({ annotation }) => [annotation, null])),
    ...(id === undefined ? {} : { [TAKEN_ID_ANNOTATION]: id }),
  };
}

/** The texts of `rotate=id:<text>` on a set: recorded, not executed, when it is first seen. */
export function idsPresent(set: ObservedSet): string[] {
  return requestAnnotations(set)
    .filter(({ verb }) => verb === 'rotate')
    .map(({ value }) => idOf(value))
    .filter((id) => id !== undefined);
}

function requestAnnotations(set: ObservedSet) {
  return Object.keys(VERBS).flatMap((verb) =>
    [verb, `${GROUP}/${verb}`].flatMap((annotation) => {
      const value = set.annotations[annotation];
      return value === undefined ? [] : [{ verb, annotation, value }];
    }),
  );
}

function readTyped(set: ObservedSet, ring: Keyring, waiting?: PendingRequest): Typed[] {
  const known = [
    ...ring.requests.ids,
    ...(waiting?.ids ?? []),
    set.annotations[TAKEN_ID_ANNOTATION],
  ];
  return requestAnnotations(set).flatMap(({ verb, annotation, value }) => {
    const id = verb === 'rotate' ? idOf(value) : undefined;
    if (id !== undefined && known.includes(id)) return [];
    const ask = VERBS[verb];
    return ask === undefined
      ? []
      : [{ annotation, text: `${verb}=${value}`, asked: ask(value, ring) }];
  });
}

function idOf(value: string): string | undefined {
  const id = value.startsWith('id:') ? value.slice('id:'.length) : '';
  return id.length > 0 && id.length <= LONGEST_ID ? id : undefined;
}

function askRotate(value: string): Asked {
  if (value === 'now') return { rotate: true };
  const id = idOf(value);
  if (id !== undefined) return { rotate: true, id };
  return {
    refusal:
      `rotate=${shown(value)} is not a request: type rotate=now, ` +
      `or rotate=id:<text> (1 to ${LONGEST_ID} characters) for once per text`,
  };
}

function askRevoke(value: string, ring: Keyring): Asked {
  if (value === 'previous') {
    const kids = previousKeys(ring).map(({ kid }) => kid);
    if (kids.length > 0) return { revoke: kids };
    return { refusal: 'revoke=previous: there is no previous key to revoke' };
  }
  const found = ring.keys.filter(
    ({ kid }) => kid === value || (value.length >= SHORTEST_KID_PREFIX && kid.startsWith(value)),
  );
  const [key] = found;
  if (key !== undefined && found.length === 1) return { revoke: [key.kid] };
  const candidates = ring.keys
    .filter(({ state }) => state !== 'current')
    .map(({ kid, state }) => `${kid} (${state})`);
  return {
    refusal:
      `revoke=${shown(value)} names no key of this set: type revoke=previous, ` +
      `or revoke=<kid> with one of ${candidates.join(', ')}`,
  };
}

/** What each annotation asks for, seen together with the others and with what waits. */
function judge(typed: readonly Typed[], ring: Keyring, waiting: PendingRequest | undefined) {
  const rotates = waiting?.rotate === true || typed.some(({ asked }) => 'rotate' in asked);
  const accepted: Typed[] = [];
  const refused: { refusal: string }[] = [];
  for (const item of typed) {
    const refusal = refusalOf(item, ring, rotates);
    if (refusal === undefined) accepted.push(item);
    else refused.push({ refusal });
  }
  return { accepted, refused };
}

function refusalOf({ asked, text }: Typed, ring: Keyring, rotates: boolean): string | undefined {
  if ('refusal' in asked) return asked.refusal;
  if (!('revoke' in asked)) return undefined;
  if (asked.revoke.includes(currentKey(ring).kid) && !rotates) {
    return (
      `${text} names the key that signs: rotate first, or in the same command ` +
      `(rotate=now ${text}), so that another key signs`
    );
  }
  if (asked.revoke.includes(nextKey(ring).kid) && rotates) {
    return (
      `${text} names the key that the rotation is to sign with: revoke it alone, which makes ` +
      'another next key, and rotate after that'
    );
  }
  return undefined;
}

function join(
  set: ObservedSet,
  ring: Keyring,
  waiting: PendingRequest | undefined,
  accepted: readonly Typed[],
): PendingRequest {
  const ids = accepted.flatMap(({ asked }) => ('id' in asked && asked.id ? [asked.id] : []));
  const revoke = accepted.flatMap(({ asked }) => ('revoke' in asked ? asked.revoke : []));
  return {
    uid: set.uid,
    number: waiting?.number ?? ring.requests.number + 1,
    rotate: waiting?.rotate === true || accepted.some(({ asked }) => 'rotate' in asked),
    ids: unique([...(waiting?.ids ?? []), ...ids]),
    revoke: unique([...(waiting?.revoke ?? []), ...revoke]),
    asked: unique([...(waiting?.asked ?? []), ...accepted.map(({ text }) => text)]),
  };
}

function unique(texts: readonly string[]): string[] {
  return [...new Set(texts)];
}

function refusalNotice(message: string): Notice {
  return { type: 'Warning', reason: 'RequestRefused', message };
}

function clearPending(kind: 'done' | 'foreign'): Intake {
  const foreign: Notice = {
    type: 'Warning',
    reason: 'RequestIgnored',
    message:
      `${PENDING_ANNOTATION} was not written for this set (a copy keeps the annotations of its ` +
      'original), so it was removed: type rotate=now if this set is to rotate',
  };
  return {
    annotations: { [PENDING_ANNOTATION]: null },
    notices: kind === 'foreign' ? [foreign] : [],
  };
}

/** What was typed, cut to a length that fits into a condition. */
function shown(value: string): string {
  return value.length > LONGEST_ID ? `${value.slice(0, LONGEST_ID)}…` : value;
}
