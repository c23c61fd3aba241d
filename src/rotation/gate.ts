import type { Instant, Keyring } from '../keys/keyring.ts';
import { nextKey, type Observed, type Publisher, previousKeys } from './situation.ts';

/** More would make verifiers carry keys without end (I18). */
export const MOST_PREVIOUS_KEYS = 3;
/** The name under which too many previous keys stand in `blockedBy`. */
export const PREVIOUS_KEYS = 'PreviousKeys';

/** Whether the next key may sign, and if not, whom it waits for and until when (I3). */
export interface Gate {
  readonly open: boolean;
  /** When it opens by time alone; absent while that depends on somebody. */
  readonly at?: Instant;
  readonly blockedBy: readonly string[];
}

/** The publishers that do not carry the next key yet. */
export function missingPublishers(ring: Keyring, publishers: readonly Publisher[]): Publisher[] {
  const { kid } = nextKey(ring);
  return publishers.filter((publisher) => !publisher.kids.includes(kid));
}

/** When the next key has been published for P; absent: not published yet. */
function propagatedAt(ring: Keyring): Instant | undefined {
  const next = nextKey(ring);
  if (next.publishedAt === undefined) return undefined;
  return next.inFirstJwks ? next.publishedAt : next.publishedAt + next.propagationDelay;
}

/** When a previous key goes and makes room; absent: there is room. */
export function roomAt(ring: Keyring): Instant | undefined {
  const previous = previousKeys(ring);
  if (previous.length < MOST_PREVIOUS_KEYS) return undefined;
  return Math.min(...previous.map((key) => key.revokeAt ?? Number.POSITIVE_INFINITY));
}

/** The propagation gate of `rotate=now`, `rotate=id:` and every automatic rotation. */
export function gate(ring: Keyring, observed: Pick<Observed, 'publishers'>, now: Instant): Gate {
  const waiting = missingPublishers(ring, observed.publishers).map(({ name }) => name);
  const propagated = propagatedAt(ring);
  const room = roomAt(ring);
  const blockedBy = room === undefined ? waiting : [PREVIOUS_KEYS, ...waiting];
  const at =
    propagated === undefined || waiting.length > 0 ? undefined : Math.max(propagated, room ?? 0);
  return {
    open: blockedBy.length === 0 && propagated !== undefined && propagated <= now,
    ...(at === undefined ? {} : { at }),
    blockedBy,
  };
}
