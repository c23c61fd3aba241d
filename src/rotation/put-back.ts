import type { Keyring, SigningKey } from '../keys/keyring.ts';
import { inPlaceOfNone, seenAgain, unpublished } from './backup.ts';
import { revokeAt, tokensUntil } from './lifetimes.ts';
import {
  currentKey,
  type Notice,
  nextKey,
  type ObservedSet,
  type Policy,
  type Situation,
  type Time,
  type Transition,
} from './situation.ts';
import { short } from './text.ts';

/**
 * Whether a Secret was put back to an older state, as by hand or by a backup tool. What only grows
 * decides: requests are taken back, or a promise is; or a key is back that was revoked, or the next
 * key has signed already, or it is one that had been replaced.
 */
export function isOlder(after: Keyring, before: Keyring): boolean {
  // One that has a key made after all of the other is not: nobody made it before.
  if (hasNewerKey(after, before)) return false;
  const [was, is] = [before.requests.number, after.requests.number];
  // A request that was carried out meanwhile, such as a restore, went on from what was there.
  if (is !== was) return is < was;
  const gone = new Set(before.revoked.map(({ kid }) => kid));
  const next = nextKey(after);
  const keyBefore = (kid: string) => before.keys.find((key) => key.kid === kid);
  const known = keyBefore(next.kid);
  const wasReplaced =
    next.publishedAt !== undefined && next.publishedAt < nextKey(before).createdAt;
  return (
    after.keys.some(({ kid }) => gone.has(kid)) ||
    after.keys.some(({ kid, tokensUntil: end = 0 }) => end < (keyBefore(kid)?.tokensUntil ?? 0)) ||
    (known === undefined ? wasReplaced : known.state !== 'next')
  );
}

function hasNewerKey(after: Keyring, { keys, revoked }: Keyring): boolean {
  const known = [...keys, ...revoked];
  const last = Math.max(...known.map(({ createdAt }) => createdAt));
  const kids = new Set(known.map(({ kid }) => kid));
  return after.keys.some(({ kid, createdAt }) => createdAt > last && !kids.has(kid));
}

/**
 * Writes back what a Secret held before it was put back to an older state: that would let revoked
 * keys sign, and promote one that no verifier holds (I1, I8). Issuers may have served the older state
 * for a moment: the next key is published anew, and what signed meanwhile verifies on (I3, I15).
 */
export function writeBack(
  set: ObservedSet,
  older: Keyring,
  newer: Keyring,
  policy: Policy,
  time: Time,
): Transition {
  const signed = currentKey(older).kid;
  const maxLifetime = Math.max(older.maxLifetime, newer.maxLifetime);
  const keys = newer.keys.map((key): SigningKey => {
    if (key.state === 'next') return unpublished(key, policy);
    if (key.state === 'current' || key.kid !== signed) return key;
    const longer = { ...key, tokensUntil: tokensUntil(key, maxLifetime, policy, time) };
    return { ...longer, revokeAt: revokeAt(longer, policy) };
  });
  const revived = older.keys.filter(({ kid }) => newer.revoked.some((key) => key.kid === kid));
  const revoked = seenAgain(newer.revoked, older);
  return {
    kind: 'Restore',
    keyring: { ...newer, keys, revoked },
    confirm: isThere(set),
    notices: [
      told(revived, 'What it held before has been written back, and the next key waits anew.'),
    ],
  };
}

/**
 * What the status lists as revoked is in the keyring: its Secret was put back to an older state while
 * nobody looked. What it held before is lost; it is taken for a backup, from which nothing comes back
 * that was revoked (I8).
 *
 * @returns undefined when none is there, and while no clock can tell how long keys may have signed.
 */
export function dropRevived(situation: Situation): Transition | undefined {
  const { ring, observed } = situation;
  const gone = new Set(observed.revoked?.map(({ kid }) => kid));
  const revived = ring.keys.filter(({ kid }) => gone.has(kid));
  if (revived.length === 0 || observed.clockSkew !== undefined) return undefined;
  const { keyring, signer } = inPlaceOfNone(ring, situation, ring.requests.number);
  return {
    kind: 'RestoreFromBackup',
    keyring,
    confirm: isThere(situation.set),
    notices: [
      told(revived, `They are taken out, and ${signer} signs. Keys made since then are gone.`),
    ],
  };
}

/** One that a finalizer holds signs on: no revoked key, though nothing is confirmed of such a set. */
function isThere({ isBeingDeleted }: ObservedSet): boolean {
  return isBeingDeleted !== true;
}

function told(revived: readonly SigningKey[], fate: string): Notice {
  const kids = revived.map(({ kid }) => short(kid)).join(', ');
  const again = kids === '' ? '' : `, in which revoked keys verify again (${kids})`;
  return {
    type: 'Warning',
    reason: 'KeyringRolledBack',
    message:
      `The Secret with the keys was put back to an older state${again}. ${fate} To take up keys from ` +
      'a backup, type signet.dev/restore=<a Secret of another name>',
  };
}
