import { PENDING_ANNOTATION, REFUSED_ANNOTATION } from '../../../src/api/constants.ts';
import type { Keyring } from '../../../src/keys/keyring.ts';
import {
  formatPending,
  type PendingRequest,
  pendingWithoutKeys,
} from '../../../src/rotation/pending.ts';
import type { Intake } from '../../../src/rotation/requests.ts';
import {
  dueAt,
  type ObservedSet,
  type Policy,
  previousKeys,
  type Time,
  type Transition,
} from '../../../src/rotation/situation.ts';
import type { Report } from '../../../src/rotation/status.ts';
import { hold } from './violation.ts';

/** Nothing is taken that nobody typed, and nothing that was is dropped without a word. */
export function checkIntake(
  intake: Intake,
  set: ObservedSet | undefined,
  ring: Keyring | undefined,
): void {
  if (set === undefined) return;
  const waiting = pendingWithoutKeys(set);
  checkKept(intake, waiting, ring);
  const { taken } = intake;
  if (taken === undefined) return;
  const typed = (verb: string) =>
    [set.annotations[verb], set.annotations[`signet.dev/${verb}`]].filter(Boolean);
  const previous = ring === undefined ? [] : previousKeys(ring).map(({ kid }) => kid);
  const revoked = typed('revoke').flatMap((value) => (value === 'previous' ? previous : [value]));
  const may = new Set([...revoked, ...(waiting?.revoke ?? [])]);
  const stray = taken.revoke.find((kid) => !may.has(kid));
  hold('I5', stray === undefined, 'takes a revocation that nobody asked for');
  const { haste } = taken;
  const isAsked =
    haste === undefined || waiting?.haste === haste || typed('rotate').includes(haste);
  hold('I3', isAsked, 'takes a haste that nobody asked for');
  hold('I9', !(taken.rotate && taken.rollback === true), 'takes rotation and rollback together');
}

/** I9: a request is left waiting, or was carried out, or whoever made it is told. */
function checkKept(
  { annotations, taken, notices }: Intake,
  waiting: PendingRequest | undefined,
  ring: Keyring | undefined,
): void {
  const left = annotations[PENDING_ANNOTATION];
  const isWritten = taken === undefined || left === formatPending(taken);
  hold('I9', isWritten, 'a request was taken and does not wait');
  const isDone = (waiting?.number ?? 0) <= (ring?.requests.number ?? 0);
  const isGone = left === null && waiting !== undefined && !isDone;
  const isConsumed = Object.keys(annotations).some(
    (name) => /^(signet\.dev\/)?r\w+$/.test(name) && name !== REFUSED_ANNOTATION,
  );
  const isSilent = taken === undefined && notices.length === 0;
  hold('I9', !(isSilent && (isGone || isConsumed)), 'a request is dropped without a word');
  const givesWay = waiting?.asked.some((text) => taken?.asked.includes(text) === false) === true;
  const isTold = notices.some(
    ({ reason }) => reason === 'RotationCancelled' || reason === 'RequestIgnored',
  );
  hold('I9', !givesWay || isDone || isTold, 'a request gives way without a word');
}

/** The keys that leave because somebody asked for it, or took a backup that lacks them. */
export function givenUp(
  { kind }: Transition,
  before: Keyring | undefined,
  after: Keyring,
  pending: PendingRequest | undefined,
): string[] {
  const gone = (before?.keys ?? []).map(({ kid }) => kid).filter((kid) => !has(after, kid));
  const isAll = kind === 'RestoreFromBackup' || pending?.haste === 'compromised';
  return isAll ? gone : gone.filter((kid) => pending?.revoke.includes(kid));
}

/** Whether a key begins to sign that nobody could wait for: after a loss, and from a backup. */
export function isUnheralded({ kind, notices }: Transition): boolean {
  const isLoss = kind === 'Create' && notices.some(({ reason }) => reason === 'KeysLost');
  return isLoss || kind === 'RestoreFromBackup';
}

/**
 * What is written down as seen everywhere is everywhere (design section 2).
 *
 * @param everywhere what is served and mounted at this moment.
 * @param left what stands in ConfigMaps that are asked for no more.
 */
export function checkEvidence(
  before: Keyring | undefined,
  after: Keyring,
  everywhere: readonly Keyring[],
  left: readonly Keyring[],
): void {
  for (const { kid, publishedAt } of after.keys) {
    const was = before?.keys.find((key) => key.kid === kid);
    if (publishedAt === undefined || was === undefined || was.publishedAt !== undefined) continue;
    const isThere = everywhere.every((ring) => has(ring, kid));
    hold('evidence', isThere, 'publishedAt of a key that somebody does not publish');
  }
  for (const { kid, revokedEverywhereAt } of after.revoked) {
    const was = before?.revoked.find((key) => key.kid === kid);
    if (revokedEverywhereAt === undefined || was?.revokedEverywhereAt !== undefined) continue;
    const isThere = [...everywhere, ...left].some((ring) => has(ring, kid));
    hold('I6', !isThere, 'revokedEverywhereAt of a key that somebody publishes');
  }
}

/** Status names what is in the Secret (I11), and a rotation that did not wait (I17). */
export function checkReport(
  { keys = [], conditions }: Report,
  ring: Pick<Keyring, 'keys' | 'revoked' | 'lastRotation'>,
): void {
  const known = [...ring.keys, ...ring.revoked].map(({ kid }) => kid);
  const stranger = keys.find(({ kid }) => !known.includes(kid));
  hold('I11', stranger === undefined, 'status names a key that is not in the Secret');
  const trigger = ring.lastRotation?.trigger;
  if (trigger !== 'Force' && trigger !== 'Compromised') return;
  const pending = conditions.find(({ type }) => type === 'RotationPending');
  const isTold = pending?.message.includes('did not wait for verifiers') === true;
  hold('I17', isTold, 'no condition tells of the rotation by force');
}

/** A set that does not rotate by itself though it is due says why. */
export function checkDue(
  { conditions }: Report,
  ring: Keyring | undefined,
  policy: Policy,
  { now }: Time,
): void {
  const due = ring === undefined ? undefined : dueAt(ring, policy);
  const pending = conditions.find(({ type }) => type === 'RotationPending');
  const isSaid = pending?.status === 'True';
  hold(
    'due',
    due === undefined || now < due || isSaid,
    'a rotation is due, and nobody says why not',
  );
}

function has({ keys }: Keyring, kid: string): boolean {
  return keys.some((key) => key.kid === kid);
}
