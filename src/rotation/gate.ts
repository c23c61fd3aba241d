import type { Instant, Keyring, SigningKey } from '../keys/keyring.ts';
import { currentKey, nextKey, type Observed, previousKeys, type Time } from './situation.ts';
import { wholeSecond } from './text.ts';

/** More would make verifiers carry keys without end (I18). */
export const MOST_PREVIOUS_KEYS = 3;
/** The name under which too many previous keys stand in `blockedBy`. */
export const PREVIOUS_KEYS = 'PreviousKeys';

/** What carries public keys: ConfigMaps, and the replicas of the issuer. */
export type Evidence = Pick<Observed, 'publishers' | 'replicas'>;

/** Whether the next key may sign, and if not, whom it waits for and until when (I3). */
export interface Gate {
  readonly open: boolean;
  /** When it opens by time alone; absent while that depends on somebody. */
  readonly at?: Instant;
  readonly blockedBy: readonly string[];
}

/** Somebody who does not carry a key yet; `fault` says why where that is known. */
export interface Lacking {
  readonly name: string;
  readonly fault?: string;
}

/**
 * Who keeps the next key from being published. A ConfigMap that loses the key blocks again; a
 * replica is asked only once, because it never loads anything older.
 */
export function lackingNext(ring: Keyring, { publishers, replicas }: Evidence): Lacking[] {
  const { kid, publishedAt } = nextKey(ring);
  const configMaps = publishers
    .filter(({ kids, isLeaving }) => isLeaving === undefined && !kids.includes(kid))
    .map(({ name, fault }) => lacking(name, fault?.message));
  return publishedAt === undefined ? [...configMaps, ...behind(replicas)] : configMaps;
}

/** The replicas that serve an older keyring than the one observed. */
export function behind(replicas: Observed['replicas']): Lacking[] {
  return replicas
    .filter(({ hasLoaded }) => !hasLoaded)
    .map(({ name, fault }) => lacking(name, fault));
}

function lacking(name: string, fault: string | undefined): Lacking {
  return fault === undefined ? { name } : { name, fault };
}

/** When a key has been published for P; absent: not published yet. */
export function propagatedAt(key: SigningKey): Instant | undefined {
  const { publishedAt, inFirstJwks, propagationDelay } = key;
  if (publishedAt === undefined) return undefined;
  return inFirstJwks ? publishedAt : wholeSecond(publishedAt + propagationDelay);
}

/**
 * When a previous key goes and makes room; absent: there is room.
 *
 * @param leaving the kids that the same write revokes.
 */
export function roomAt(ring: Keyring, leaving: readonly string[] = []): Instant | undefined {
  const staying = previousKeys(ring).filter(({ kid }) => !leaving.includes(kid));
  const demoted = leaving.includes(currentKey(ring).kid) ? 0 : 1;
  if (staying.length + demoted <= MOST_PREVIOUS_KEYS) return undefined;
  return Math.min(...staying.map((key) => key.revokeAt ?? Number.POSITIVE_INFINITY));
}

/**
 * The propagation gate of `rotate=now`, `rotate=id:` and every automatic rotation.
 *
 * @param leaving the kids that the same write revokes.
 */
export function gate(
  ring: Keyring,
  evidence: Evidence,
  { now }: Pick<Time, 'now'>,
  leaving: readonly string[] = [],
): Gate {
  const waiting = lackingNext(ring, evidence).map(({ name }) => name);
  const propagated = propagatedAt(nextKey(ring));
  const room = roomAt(ring, leaving);
  const blockedBy = room === undefined ? waiting : [PREVIOUS_KEYS, ...waiting];
  const at =
    propagated === undefined || waiting.length > 0 ? undefined : Math.max(propagated, room ?? 0);
  return {
    open: blockedBy.length === 0 && propagated !== undefined && propagated <= now,
    ...(at === undefined ? {} : { at }),
    blockedBy,
  };
}
