import { SECRET_TYPE } from '../api/constants.ts';
import type { SigningKeySet } from '../api/signingkeyset.generated.ts';
import { KeyringDamagedError } from '../keys/damage.ts';
import type { Kube } from '../kube/client.ts';
import { backupAsked } from '../rotation/pending.ts';
import type { Backup } from '../rotation/situation.ts';
import { isSecretName } from '../rotation/verbs.ts';
import { find } from './find.ts';
import { decodeSecret } from './keyrings.ts';
import { paths, type SecretObject } from './objects.ts';

interface BackupsOptions {
  readonly kube: Pick<Kube, 'request'>;
  /** The operator's own: nothing is read from anywhere else. */
  readonly namespace: string;
}

/**
 * Reads the Secret that `signet.dev/restore` of a set names, live: the keyring in it may be used
 * only as it is now. What is said of it shows nothing that it holds, and does not tell a Secret of
 * another type from none: whoever may annotate a set may not learn what else is there.
 *
 * @returns undefined where the set names none.
 * @throws ApiError
 */
export async function readBackup(
  set: SigningKeySet | undefined,
  { kube, namespace }: BackupsOptions,
): Promise<Backup | undefined> {
  if (set === undefined) return undefined;
  const { uid, annotations = {} } = set.metadata;
  const secret = backupAsked({ uid, annotations });
  if (secret === undefined) return undefined;
  const found = isSecretName(secret)
    ? await find<SecretObject>(kube, paths.secret(namespace, secret))
    : undefined;
  if (found?.type !== SECRET_TYPE) {
    const fault =
      `there is no Secret ${secret} of type ${SECRET_TYPE} in ${namespace}: put the backup there ` +
      'under a name of its own, and type signet.dev/restore=<that name>';
    return { secret, fault };
  }
  return decode(secret, found);
}

function decode(secret: string, found: SecretObject): Backup {
  try {
    return { secret, keyring: decodeSecret(found) };
  } catch (error) {
    if (!(error instanceof KeyringDamagedError)) throw error;
    return { secret, fault: `Secret ${secret} cannot be read: ${error.message}` };
  }
}
