import { PENDING_ANNOTATION } from '../api/constants.ts';
import type { Keyring } from '../keys/keyring.ts';
import type { ObservedSet } from './situation.ts';

/**
 * A request that was taken and waits: the value of `signet.dev/pending` (JSON). The uid keeps a
 * copied set from carrying it out, the number makes it count once (I9).
 */
export interface PendingRequest {
  readonly uid: string;
  readonly number: number;
  /** Whether it asks for a promotion. */
  readonly rotate: boolean;
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

export function readPending(
  set: Pick<ObservedSet, 'uid' | 'annotations'>,
  ring: Keyring,
): PendingState {
  const text = set.annotations[PENDING_ANNOTATION];
  if (text === undefined) return { kind: 'none' };
  const request = parsePending(text);
  if (request === undefined || request.uid !== set.uid) return { kind: 'foreign' };
  if (request.number <= ring.requests.number) return { kind: 'done' };
  if (request.number > ring.requests.number + 1) return { kind: 'foreign' };
  return { kind: 'waiting', request };
}

/** @returns the annotation's value: JSON in a fixed order. */
export function formatPending(request: PendingRequest): string {
  const { uid, number, rotate, ids, revoke, asked } = request;
  return JSON.stringify({ uid, number, rotate, ids, revoke, asked });
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

function isPending(value: unknown): value is PendingRequest {
  if (typeof value !== 'object' || value === null) return false;
  const { uid, number, rotate, ids, revoke, asked } = value as Partial<PendingRequest>;
  return (
    typeof uid === 'string' &&
    Number.isSafeInteger(number) &&
    typeof rotate === 'boolean' &&
    [ids, revoke, asked].every(isStrings)
  );
}

function isStrings(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}
