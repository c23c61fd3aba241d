/** What is wrong with a stored keyring; the message says it in words. */
export type DamageCode =
  /** The Secret lacks an entry that it must have. */
  | 'EntryMissing'
  /** The Secret has an entry that `keyring.json` does not list. */
  | 'EntryUnknown'
  /** An entry cannot be parsed: no JSON, no PEM. */
  | 'EntryUnreadable'
  /** `keyring.json` is of a format version that this program does not know. */
  | 'FormatUnknown'
  /** A field of `keyring.json` is missing, unknown or of the wrong form. */
  | 'FieldInvalid'
  /** The parts of a key do not belong together. */
  | 'KeyMismatch'
  /** The keys do not make a keyring, such as two current ones. */
  | 'RingInvalid';

/**
 * A stored keyring that is not as we wrote it. Nothing is repaired: a person restores the Secret,
 * or deletes it for new keys. Says where the damage is, never what an entry contains (I12).
 */
export class KeyringDamagedError extends Error {
  override readonly name = 'KeyringDamagedError';
  readonly code: DamageCode;
  /** The entry of the Secret's `data` that is damaged, such as `keyring.json`. */
  readonly entry: string;
  /** The key concerned, where one is known. */
  readonly kid?: string;

  readonly #problem: string;

  constructor(code: DamageCode, entry: string, problem: string, kid?: string) {
    super(`${entry}${kid === undefined ? '' : ` (key ${kid})`}: ${problem}; ${REMEDIES[code]}`);
    this.code = code;
    this.entry = entry;
    this.#problem = problem;
    if (kid !== undefined) this.kid = kid;
  }

  /** The same error, about this key. */
  about(kid: string | undefined): KeyringDamagedError {
    return new KeyringDamagedError(this.code, this.entry, this.#problem, kid);
  }
}

const RESTORE =
  'restore the Secret from a backup, or delete it: a controller that has read it whole writes that copy back, another one makes new keys (tokens of the old ones stop verifying)';

const REMEDIES: Readonly<Record<DamageCode, string>> = {
  EntryMissing: RESTORE,
  EntryUnknown: 'remove this entry from the Secret',
  EntryUnreadable: RESTORE,
  FormatUnknown: 'written by a newer Signet: upgrade the controller',
  FieldInvalid: RESTORE,
  KeyMismatch: RESTORE,
  RingInvalid: RESTORE,
};
