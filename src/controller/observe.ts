import { secretName } from '../api/constants.ts';
import type { SigningKeySet } from '../api/signingkeyset.generated.ts';
import type { Instant, Keyring } from '../keys/keyring.ts';
import { RESTORE_ANNOTATION } from '../rotation/pending.ts';
import type { Backup, Observed, ObservedSet, Policy } from '../rotation/situation.ts';
import { allowedIssuers, type Caches } from './caches.ts';
import type { ForeignSecrets } from './foreign-secrets.ts';
import { claimIssuer } from './issuer-claim.ts';
import type { HeldKeyring } from './keyrings.ts';
import { knownRevoked, toWriteBack } from './lost-keyring.ts';
import { type Flags, policyOf } from './policy.ts';
import type { Publications } from './publish.ts';
import type { HeldSecret, Replicas } from './replicas.ts';

/** One look at everything that concerns the sets of one name. */
export interface View {
  readonly observed: Observed;
  readonly policy: Policy;
  /** The set as read, for its resourceVersion and its status. */
  readonly set?: SigningKeySet;
  /** When a replica that lags behind would count no more. */
  readonly lapsesAt?: Instant;
}

interface Sources {
  readonly caches: Caches;
  readonly publications: Publications;
  readonly foreignSecrets: ForeignSecrets;
  readonly replicas: Replicas;
  /** By how much, in milliseconds, our clock is off; undefined while that is within S. */
  readonly clockSkew: number | undefined;
  /** What a request names, read live. */
  readonly backup: Backup | undefined;
  readonly flags: Flags;
  readonly publicUrl: string;
}

/**
 * Gathers the input of a plan, once, from the caches.
 *
 * @returns undefined while the namespace of a set has not been seen yet.
 */
export function observe(namespace: string, name: string, sources: Sources): View | undefined {
  const { caches, flags, clockSkew, backup } = sources;
  const key = `${namespace}/${name}`;
  const skew = clockSkew === undefined ? {} : { clockSkew };
  const set = caches.sets.get(namespace, name);
  const policy = policyOf(set?.spec, flags);
  const named = caches.keyrings.named(namespace, name);
  if (set === undefined) {
    const claim = {
      granted: false,
      reason: 'KeysNotCreated',
      message: 'The set was deleted',
    } as const;
    const { replicas } = sources.replicas.of(key, undefined);
    return { observed: { former: named, claim, publishers: [], replicas, ...skew }, policy };
  }
  const home = caches.namespaces.get(undefined, namespace);
  if (home?.metadata.uid === undefined) return undefined;
  const { uid } = set.metadata;
  const held = caches.keyrings.of(uid);
  const foreign = held === undefined ? sources.foreignSecrets.of(uid) : undefined;
  const fault = held?.fault ?? foreign;
  const gone = caches.keyrings.lost(uid);
  const lost = gone && toWriteBack(gone, set.status);
  const { replicas, ...lapse } = sources.replicas.of(key, heldSecret(uid, held));
  const observed: Observed = {
    set: observedSet(set, home.metadata.uid),
    former: named.filter(({ owner }) => owner.uid !== uid),
    claim: claimIssuer({
      namespace,
      namespaceUid: home.metadata.uid,
      name,
      ...(set.spec?.issuer === undefined ? {} : { asked: set.spec.issuer }),
      allowed: allowedIssuers(home) ?? '',
      publicUrl: sources.publicUrl,
      holders: caches.keyrings.holders,
    }),
    publishers: publishersOf(set, held?.keyring, sources.publications),
    replicas,
    ...skew,
    ...(backup === undefined ? {} : { backup: foreign ? withoutPlace(backup, uid) : backup }),
    ...known(set, held?.keyring, caches),
    ...(fault === undefined ? {} : { keyringFault: fault }),
    ...(lost === undefined ? {} : { lostKeyring: lost }),
  };
  return { observed, policy, set, ...lapse };
}

/** The keyring, and what matters of those that were read before it. */
function known(
  { metadata, status }: SigningKeySet,
  keyring: Keyring | undefined,
  { keyrings }: Caches,
): Pick<Observed, 'keyring' | 'newer' | 'lastNumber' | 'revoked'> {
  const newer = keyrings.newer(metadata.uid);
  if (keyring !== undefined) {
    const revoked = knownRevoked(undefined, status);
    return { keyring, revoked, ...(newer === undefined ? {} : { newer }) };
  }
  const last = keyrings.lastGood(metadata.uid);
  return {
    revoked: knownRevoked(last, status),
    ...(last === undefined ? {} : { lastNumber: last.requests.number }),
  };
}

/** No backup can be written where somebody else's Secret stands. */
function withoutPlace({ secret }: Backup, uid: string): Backup {
  const fault =
    `a Secret ${secretName(uid)} that somebody else made is in the way: delete it, and type ` +
    `${RESTORE_ANNOTATION}=${secret} again`;
  return { secret, fault };
}

function heldSecret(uid: string, held: HeldKeyring | undefined): HeldSecret | undefined {
  const version = held?.secret.metadata.resourceVersion;
  return version === undefined ? undefined : { uid, version: BigInt(version) };
}

function observedSet({ metadata, status }: SigningKeySet, namespaceUid: string): ObservedSet {
  const { namespace, name, uid, annotations = {}, deletionTimestamp } = metadata;
  const reportedKids = (status?.keys ?? []).map(({ kid }) => kid);
  const reported = (name: string) => status?.conditions?.find(({ type }) => type === name);
  const [ready, pending] = [reported('Ready'), reported('RotationPending')];
  return {
    ...{ namespace, name, uid, namespaceUid, annotations, reportedKids },
    ...(ready === undefined ? {} : { reportedReady: ready.reason }),
    ...(status?.issuer === undefined ? {} : { reportedIssuer: status.issuer }),
    reportedPending: pending?.status === 'True' && pending.reason !== 'ReconcileFailed',
    ...(deletionTimestamp === undefined ? {} : { isBeingDeleted: true }),
  };
}

function publishersOf(
  set: SigningKeySet,
  ring: Keyring | undefined,
  publications: Publications,
): Observed['publishers'] {
  if (ring === undefined) return [];
  const names = (set.spec?.publish?.configMaps ?? []).map(({ name }) => name);
  const asked = names.map((name) => publications.look(ring, name));
  return [...asked, ...publications.leaving(ring, names)];
}
