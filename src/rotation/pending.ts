import { GROUP, PENDING_ANNOTATION } from '../api/constants.ts';
import type { Keyring } from '../keys/keyring.ts';
import type { ObservedSet } from './situation.ts';

/** How a rotation is to come about, where not through the gate. */
const HASTE = ['force', 'compromised'] as const;
export type Haste = (typeof HASTE)[number];

/** Asks for a keyring from a backup; only under our own prefix, as other tools restore too. */
export const RESTORE_ANNOTATION = `${GROUP}/restore`;

/**
 * A request that was taken and waits: the value of `signet.dev/pending` (JSON). The uid keeps a
 * copied set from carrying it out, the number makes it count once (I9). What may be absent was
 * added later: a controller that does not know it carries out the rest.
 */
export interface PendingRequest {
  readonly uid: string;
  readonly number: number;
  /** Whether it asks for a promotion. */
  readonly rotate: boolean;
  /** Of a promotion; absent: it waits for the gate. */
  readonly haste?: Haste;
  /** Whether it asks for the newest previous key to sign again; never together with `rotate`. */
  readonly rollback?: true;
  /** The Secret to restore from; never together with anything else. */
  readonly restore?: string;
  /** The texts of `rotate=id:<text>` that it answers. */
  readonly ids: readonly string[];
  /** Whole kids, resolved when the request was taken. */
  readonly revoke: readonly string[];
  /** What was typed, for people. */
  readonly asked: readonly string[];
}

/** What `signet.dev/pending` means for this set and this keyring. */
export type PendingState =
  | { readonly kind: 'none' }
  | { readonly kind: 'waiting'; readonly request: PendingRequest }
  /** Carried out already, or cancelled by a lower number: to be cleared. */
  | { readonly kind: 'done' }
  /** Of another set, or not written by us: to be cleared, and told. */
  | { readonly kind: 'foreign' };

type Annotated = Pick<ObservedSet, 'uid' | 'annotations'>;

export function readPending(set: Annotated, ring: Keyring): PendingState {
  const text = set.annotations[PENDING_ANNOTATION];
  if (text === undefined) return { kind: 'none' };
  const request = parsePending(text);
  if (request === undefined || request.uid !== set.uid) return { kind: 'foreign' };
  if (request.number <= ring.requests.number) return { kind: 'done' };
  if (request.number > ring.requests.number + 1) return { kind: 'foreign' };
  return { kind: 'waiting', request };
}

/**
 * What waits on a set whose keyring cannot be read, and so not the number of its last request.
 *
 * @returns undefined for what is not a request of this set.
 */
export function pendingWithoutKeys({ uid, annotations }: Annotated): PendingRequest | undefined {
  const text = annotations[PENDING_ANNOTATION];
  const request = text === undefined ? undefined : parsePending(text);
  return request?.uid === uid ? request : undefined;
}

/** The Secret that a request of this set names, to be read before planning; absent: none does. */
export function backupAsked(set: Annotated): string | undefined {
  return set.annotations[RESTORE_ANNOTATION] ?? pendingWithoutKeys(set)?.restore;
}

/** @returns the annotation's value: JSON in a fixed order. */
export function formatPending(request: PendingRequest): string {
  const { uid, number, rotate, haste, rollback, restore, ids, revoke, asked } = request;
  // Members that are absent are left out.
  return JSON.stringify({ uid, number, rotate, haste, rollback, restore, ids, revoke, asked });
}

function parsePending(text: string): PendingRequest | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  return isPending(value) ? value : undefined;
}

type Check = (value: unknown) => boolean;
const isText: Check = (value) => typeof value === 'string';
const isTexts: Check = (value) => Array.isArray(value) && value.every(isText);
const orAbsent =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value);

const MEMBERS: Readonly<Record<keyof PendingRequest, Check>> = {
  uid: isText,
  number: Number.isSafeInteger,
  rotate: (value) => typeof value === 'boolean',
  haste: orAbsent((value) => HASTE.some((haste) => haste === value)),
  rollback: orAbsent((value) => value === true),
  restore: orAbsent(isText),
  ids: isTexts,
  revoke: isTexts,
  asked: isTexts,
};

function isPending(value: unknown): value is PendingRequest {
  if (typeof value !== 'object' || value === null) return false;
  const members = new Map<string, unknown>(Object.entries(value));
  return Object.entries(MEMBERS).every(([name, check]) => check(members.get(name)));
}
