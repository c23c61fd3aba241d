import { jwksMaxAge } from '../api/caching.ts';
import { formatDuration } from '../api/duration.ts';
import type { Instant, Keyring, KeyringOwner } from '../keys/keyring.ts';
import { tokensUntil } from './lifetimes.ts';
import { type Policy, previousKeys, type Time, type Transition } from './situation.ts';
import { at } from './text.ts';
import { dueKids, revoke } from './transitions.ts';

/** What happens to a keyring whose set is gone; the first that applies, one a pass. */
export type Retirement =
  | { readonly do: 'write'; readonly transition: Transition }
  | { readonly do: 'discard'; readonly keyring: Keyring; readonly why: string }
  | { readonly do: 'wait'; readonly until: Instant };

type Flags = Pick<Policy, 'clockSkew' | 'maxStaleness'>;

/**
 * A deleted set signs no more from the first write on, and keeps verifying until the last token
 * can have expired (I5); then Secret and ConfigMaps go. One that was resumed under another uid has
 * left its keys there, and goes at once.
 *
 * @param others the keyrings of sets of the same name, there or gone.
 */
export function retire(
  former: Keyring,
  others: readonly Keyring[],
  flags: Flags,
  time: Time,
): Retirement {
  const { now } = time;
  if (isSuperseded(former, others)) {
    return { do: 'discard', keyring: former, why: 'its keys went to the set made again' };
  }
  if (former.retiredAt === undefined)
    return { do: 'write', transition: begin(former, flags, time) };
  const due = dueKids(former, time);
  const end = endOf(former, former.retiredAt, flags);
  if (end <= now) return { do: 'discard', keyring: former, why: 'its last token has expired' };
  if (due.length > 0) return { do: 'write', transition: withoutDue(former, due, time) };
  const waits = previousKeys(former)
    .map(({ revokeAt }) => revokeAt)
    .filter((at) => at !== undefined);
  return { do: 'wait', until: Math.min(end, ...waits) };
}

/** Whether one of the others has gone on with its keys, though the crash of a controller left it there. */
export function isSuperseded(
  { owner }: { readonly owner: Pick<KeyringOwner, 'uid'> },
  others: readonly Keyring[],
): boolean {
  return others.some(({ formerUids }) => formerUids.includes(owner.uid));
}

function begin(former: Keyring, flags: Flags, time: Time): Transition {
  const { stamp } = time;
  const keys = former.keys.map((key) =>
    key.state === 'current'
      ? { ...key, tokensUntil: tokensUntil(key, former.maxLifetime, flags, time) }
      : key,
  );
  const end = endOf({ ...former, keys }, stamp, flags);
  return {
    kind: 'Retire',
    keyring: { ...former, keys, retiredAt: stamp },
    confirm: true,
    notices: [
      {
        type: 'Normal',
        reason: 'KeysRetired',
        message:
          `The set was deleted: nothing is signed any more, tokens verify until ${at(end)} ` +
          `(${formatDuration(end - stamp)}). Make it again before that to go on with the same keys`,
      },
    ],
  };
}

/**
 * When the last token has expired, and every cache that was filled before the last replica knew that
 * the set is deleted, which one that is cut off does not for R: whoever makes the set again after that
 * starts with a JWKS that nobody holds an older one of (I1).
 */
function endOf({ keys }: Keyring, retiredAt: Instant, flags: Flags): Instant {
  const cached = jwksMaxAge(Math.max(...keys.map(({ propagationDelay }) => propagationDelay)));
  const lastCopy = retiredAt + flags.maxStaleness + flags.clockSkew + cached;
  return Math.max(lastCopy, ...keys.map((key) => key.tokensUntil ?? 0));
}

function withoutDue(former: Keyring, kids: readonly string[], time: Time): Transition {
  return {
    kind: 'Revoke',
    keyring: revoke(former, kids, time),
    confirm: false,
    notices: [],
  };
}
