import type { Keyring } from '../keys/keyring.ts';
import type { Notice } from '../rotation/situation.ts';
import { short } from '../rotation/text.ts';

/**
 * Whether a Secret was put back to an older state, as by a backup tool or by hand. It is used all
 * the same: whoever does that may mean it. But a key that was revoked verifies again, and what was
 * carried out since is forgotten, so it is not passed over in silence.
 *
 * @returns undefined where it only went on.
 */
export function rolledBack(before: Keyring, after: Keyring): Notice | undefined {
  const [was, is] = [before.requests.number, after.requests.number];
  // A request that was carried out meanwhile, such as a restore, told of itself.
  if (is > was) return undefined;
  const gone = new Set(before.revoked.map(({ kid }) => kid));
  const revived = after.keys.filter(({ kid }) => gone.has(kid)).map(({ kid }) => short(kid));
  const isOlder = is < was || (after.lastRotation?.at ?? 0) < (before.lastRotation?.at ?? 0);
  if (!isOlder && revived.length === 0) return undefined;
  const revivedKeys =
    revived.length === 0
      ? 'no revoked key came back with it'
      : `revoked keys verify again (${revived.join(', ')}): type revoke=<kid> for each, or rotate=compromised`;
  const message =
    `The Secret with the keys is older than the one that was read before, and is used: ` +
    `${revivedKeys}. To take up keys from a backup, type signet.dev/restore=<a Secret> instead`;
  return { type: 'Warning', reason: 'KeyringRolledBack', message };
}
