import type { ReasonOf } from '../api/reasons.ts';
import type { Keyring, RevokedKey } from '../keys/keyring.ts';
import { patientDelay, unknownCaches } from './lifetimes.ts';
import {
  currentKey,
  type KeyringDraft,
  type Notice,
  type ObservedSet,
  type Policy,
  type Time,
  type Transition,
} from './situation.ts';
import { at, short } from './text.ts';
import { keyShape, remember } from './transitions.ts';

const KEPT_FORMER_UIDS = 8;

/**
 * The first keyring of a set: its current and its next key, in one write (I2, I21).
 *
 * @param revoked what is known to have been revoked in a keyring that was lost.
 */
export function create(
  set: ObservedSet,
  claim: { readonly issuer: string; readonly source: Keyring['issuerSource'] },
  policy: Policy,
  record: Keyring['requests'],
  revoked: readonly RevokedKey[],
  { stamp }: Time,
): Transition {
  const isFirst = !hadKeys(set);
  const first = {
    make: keyShape(policy),
    createdAt: stamp,
    inFirstJwks: isFirst,
    // After a loss verifiers hold a JWKS of other keys: nobody knows these, and the next waits (I1).
    ...(isFirst
      ? { publishedAt: stamp, propagationDelay: policy.propagationDelay }
      : { propagationDelay: patientDelay(policy) }),
  };
  const keyring: KeyringDraft = {
    owner: ownerOf(set),
    formerUids: [],
    issuer: claim.issuer,
    issuerSource: claim.source,
    maxLifetime: policy.maxLifetime,
    propagationDelay: policy.propagationDelay,
    ...(isFirst ? {} : { olderCaches: unknownCaches(policy, { stamp }) }),
    audiences: policy.audiences,
    keys: [
      { ...first, state: 'current', promotedAt: stamp },
      { ...first, state: 'next' },
    ],
    revoked,
    requests: record,
  };
  const notice: Notice = isFirst
    ? {
        type: 'Normal',
        reason: 'KeysCreated',
        message: `Made the first ${policy.algorithm} keys for ${claim.issuer}`,
      }
    : {
        type: 'Warning',
        reason: 'KeysLost',
        message:
          'The Secret with the keys is gone and nobody saw it go: new keys sign from now on, and ' +
          'no token of the lost ones verifies any more once verifiers refetch the JWKS. With a ' +
          'backup of the Secret, type signet.dev/restore=<its name>',
      };
  return { kind: 'Create', keyring, confirm: true, notices: [notice] };
}

/** A Secret that is gone or cannot be used hides the keys that were there: status names none. */
const KEYS_OUT_OF_SIGHT: ReadonlySet<string | undefined> = new Set<ReasonOf<'Ready'>>([
  'KeysMissing',
  'KeyringDamaged',
  'SecretNotOurs',
]);

/** Whether keys were made for this set before, as its last status tells. */
export function hadKeys({ reportedKids, reportedReady }: ObservedSet): boolean {
  return reportedKids.length > 0 || KEYS_OUT_OF_SIGHT.has(reportedReady);
}

/** A set made again under the same namespace, name and issuer goes on with the keys it had. */
export function resume(set: ObservedSet, former: Keyring, ids: readonly string[]): Transition {
  const { retiredAt, ...kept } = former;
  const gone = retiredAt === undefined ? '' : `, which was deleted at ${at(retiredAt)}`;
  return {
    kind: 'Resume',
    confirm: true,
    keyring: {
      ...kept,
      ...ownership(set, former),
      requests: remember(former.requests, former.requests.number, ids),
    },
    notices: [
      {
        type: 'Normal',
        reason: 'KeysResumed',
        message:
          `Goes on with the keys of the set of the same name${gone}: ` +
          `${short(currentKey(former).kid)} signs, tokens signed before still verify`,
      },
    ],
  };
}

/** Writes back a Secret that somebody deleted, as it was last seen. */
export function restore(lost: Keyring): Transition {
  return {
    kind: 'Restore',
    keyring: lost,
    confirm: true,
    notices: [
      {
        type: 'Warning',
        reason: 'KeysRestored',
        message:
          'The Secret with the keys was deleted and has been written back as it was; to drop the ' +
          'keys for good, delete the set first',
      },
    ],
  };
}

/** Whose a keyring is once this set goes on with it; what the former owner published is known as ours. */
export function ownership(
  set: ObservedSet,
  { owner, formerUids }: Keyring,
): Pick<Keyring, 'owner' | 'formerUids'> {
  const uids = [owner.uid, ...formerUids].filter((uid) => uid !== set.uid);
  return { owner: ownerOf(set), formerUids: uids.slice(0, KEPT_FORMER_UIDS) };
}

function ownerOf({ namespace, name, uid, namespaceUid }: ObservedSet): Keyring['owner'] {
  return { namespace, name, uid, namespaceUid };
}
