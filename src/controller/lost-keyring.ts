import type { KeyStatus, SigningKeySetStatus } from '../api/signingkeyset.generated.ts';
import type { Keyring, RevokedKey } from '../keys/keyring.ts';
import { keptRevoked } from '../rotation/transitions.ts';

/** What a Secret held that is gone. */
export interface LostKeyring {
  readonly keyring: Keyring;
  /** Whether the deletion itself was seen; else a list only lacked it, and a later version may have been missed. */
  readonly isLast: boolean;
}

/**
 * What is written back of a Secret that somebody deleted. A copy that may be behind is, too, unless
 * the status, which follows each write of the Secret, shows that it would bring back a revoked key
 * or lacks the one that signs: then the keys count as lost.
 */
export function toWriteBack(
  { keyring, isLast }: LostKeyring,
  status: SigningKeySetStatus = {},
): Keyring | undefined {
  if (isLast) return keyring;
  const kids = new Set(keyring.keys.map(({ kid }) => kid));
  const isBehind = status.keys?.some(
    ({ kid, state }) =>
      (state === 'revoked' && kids.has(kid)) || (state === 'current' && !kids.has(kid)),
  );
  return isBehind ? undefined : keyring;
}

/**
 * What was revoked in a keyring that cannot be read now, newest first: as it was last read whole, and
 * as the status names it, which outlives a controller.
 *
 * @param last absent where this controller never read it.
 */
export function knownRevoked(
  last: Keyring | undefined,
  { keys = [] }: SigningKeySetStatus = {},
): RevokedKey[] {
  const named = keys.filter(({ state }) => state === 'revoked').map(asRecorded);
  return keptRevoked([...(last?.revoked ?? []), ...named]);
}

/** What of it matters: when everybody was without it is to be seen anew. */
function asRecorded({ kid, algorithm, createdAt, revokedAt = createdAt }: KeyStatus): RevokedKey {
  return { kid, algorithm, createdAt: Date.parse(createdAt), revokedAt: Date.parse(revokedAt) };
}
