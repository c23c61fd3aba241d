import { secretName } from '../api/constants.ts';
import { decodeSecretData } from '../keys/codec.ts';
import { KeyringDamagedError } from '../keys/damage.ts';
import type { Keyring, SigningKey } from '../keys/keyring.ts';

/** A key Secret as it came, as far as it is looked at. */
export interface RawKeySecret {
  readonly metadata?: {
    readonly namespace?: string;
    readonly name?: string;
    readonly uid?: string;
    readonly resourceVersion?: string;
    readonly creationTimestamp?: Date | string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  /** Base64, as the API has it. */
  readonly data?: Readonly<Record<string, string>>;
}

/**
 * What is kept of a key Secret: the keyring in it, or why there is none to be used. The Secret
 * itself is let go, because a thousand of them are many megabytes.
 */
export interface KeySecret extends Pick<RawKeySecret, 'metadata'> {
  readonly content: Keyring | { readonly damage: string };
}

/** Reads a Secret. What cannot be read is told, never thrown, and repeats nothing of the Secret. */
export function readKeySecret({ metadata = {}, data = {} }: RawKeySecret): KeySecret {
  const { namespace, name, uid, resourceVersion, creationTimestamp, labels } = metadata;
  return {
    metadata: {
      ...(namespace === undefined ? {} : { namespace }),
      ...(name === undefined ? {} : { name }),
      ...(uid === undefined ? {} : { uid }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
      ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
      ...(labels === undefined ? {} : { labels }),
    },
    content: contentOf(name, data),
  };
}

/** Lets go of each private key but the one that signs: a rotation brings the next one's anew. */
function withoutIdleKeys(ring: Keyring): Keyring {
  const keys = ring.keys.map((key): SigningKey => {
    const { privateKey: _, ...published } = key;
    return key.state === 'current' ? key : published;
  });
  return { ...ring, keys };
}

function contentOf(name: string | undefined, data: NonNullable<RawKeySecret['data']>) {
  try {
    const ring = decodeSecretData(data);
    const expected = secretName(ring.owner.uid);
    return name === expected
      ? withoutIdleKeys(ring)
      : { damage: `a copy: the keys in it belong to ${expected}` };
  } catch (error) {
    if (error instanceof KeyringDamagedError) return { damage: error.message };
    throw error;
  }
}
