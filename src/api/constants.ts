/** Names that users and other programs see (design section 1 and 3). */
export const GROUP = 'signet.dev';
const VERSION = 'v1alpha1';
export const API_VERSION = `${GROUP}/${VERSION}`;
export const KIND = 'SigningKeySet';
export const PLURAL = 'signingkeysets';

/** The `type` of a Secret that holds a keyring; immutable, so a watch can select by it. */
export const SECRET_TYPE = 'signet.dev/signing-keys';

/** Label on everything that the controller makes. */
export const MANAGED_BY = { key: 'app.kubernetes.io/managed-by', value: 'signet' } as const;
export const SET_NAMESPACE_LABEL = 'signet.dev/set-namespace';
export const SET_NAME_LABEL = 'signet.dev/set-name';
export const SET_UID_LABEL = 'signet.dev/set-uid';

/** On a Namespace: the issuer URL prefixes that its sets may use. Tenants cannot write it. */
export const ALLOWED_ISSUERS_ANNOTATION = 'signet.dev/allowed-issuers';
/** On a set: the request that was taken and waits to be carried out. Removing it cancels. */
export const PENDING_ANNOTATION = 'signet.dev/pending';
/** On a set: the texts of `rotate=id:<text>` that were taken last (JSON), so that cancelling holds. */
export const TAKEN_ID_ANNOTATION = 'signet.dev/taken-id';
/** On a set: its uid, and why the last request was refused, until another is taken. */
export const REFUSED_ANNOTATION = 'signet.dev/refused';

/** On a set: which key was said to be overdue, and in which week of that (`RotationOverdue`). */
export const OVERDUE_ANNOTATION = 'signet.dev/overdue';

const SECRET_PREFIX = 'sks-';

/** The Secret of a set lives in the operator's own namespace under this name. */
export function secretName(setUid: string): string {
  return `${SECRET_PREFIX}${setUid}`;
}

/** The uid of the set whose Secret has this name; undefined for any other name. */
export function setUidOf(secret: string): string | undefined {
  return secret.startsWith(SECRET_PREFIX) ? secret.slice(SECRET_PREFIX.length) : undefined;
}

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
