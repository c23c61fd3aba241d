import type { Keyring } from '../keys/keyring.ts';
import { type Haste, RESTORE_ANNOTATION } from './pending.ts';
import { currentKey, type ObservedSet, previousKeys } from './situation.ts';

/** What one annotation asks for. A `refusal` says what to type instead. */
export type Asked =
  | { readonly rotate: 'now' | Haste; readonly id?: string }
  | { readonly rollback: true }
  | { readonly restore: string }
  | { readonly revoke: readonly string[] }
  | { readonly refusal: string };

/** A request annotation as somebody typed it. */
export interface Typed {
  readonly annotation: string;
  /** As people type it: `rotate=now`. */
  readonly text: string;
  readonly asked: Asked;
}

interface Verb {
  /** The annotations that say it. */
  readonly annotations: readonly string[];
  readonly ask: (value: string, ring: Keyring) => Asked;
}

/** The request table (design section 1). To add a request is to add a row. */
const VERBS: Readonly<Record<string, Verb>> = {
  rotate: { annotations: ['rotate', 'signet.dev/rotate'], ask: askRotate },
  rollback: { annotations: ['rollback', 'signet.dev/rollback'], ask: askRollback },
  revoke: { annotations: ['revoke', 'signet.dev/revoke'], ask: askRevoke },
  [RESTORE_ANNOTATION]: { annotations: [RESTORE_ANNOTATION], ask: askRestore },
};
const SHORTEST_KID_PREFIX = 8;
const LONGEST_ID = 128;
/** RFC 1123 subdomain. */
const SECRET_NAME = /^[a-z\d]([-a-z\d]*[a-z\d])?(\.[a-z\d]([-a-z\d]*[a-z\d])?)*$/;
const LONGEST_SECRET_NAME = 253;

/**
 * The requests on a set, without the `rotate=id:` texts that were answered or cancelled before.
 *
 * @param known those texts.
 */
export function readTyped(set: ObservedSet, ring: Keyring, known: readonly string[]): Typed[] {
  return onSet(set).flatMap(({ name, verb, annotation, value }) => {
    const id = name === 'rotate' ? idOf(value) : undefined;
    if (id !== undefined && known.includes(id)) return [];
    return [{ annotation, text: `${name}=${shown(value)}`, asked: verb.ask(value, ring) }];
  });
}

/** The request for a backup on a set without keys: nothing else can be taken then. */
export function restoreTyped({ annotations }: ObservedSet): Typed | undefined {
  const value = annotations[RESTORE_ANNOTATION];
  if (value === undefined) return undefined;
  const text = `${RESTORE_ANNOTATION}=${shown(value)}`;
  return { annotation: RESTORE_ANNOTATION, text, asked: askRestore(value) };
}

/** The texts of `rotate=id:<text>` on a set: recorded, not executed, when it is first seen. */
export function idsPresent(set: ObservedSet): string[] {
  return onSet(set)
    .filter(({ name }) => name === 'rotate')
    .map(({ value }) => idOf(value))
    .filter((id) => id !== undefined);
}

function onSet({ annotations }: ObservedSet) {
  return Object.entries(VERBS).flatMap(([name, verb]) =>
    verb.annotations.flatMap((annotation) => {
      const value = annotations[annotation];
      return value === undefined ? [] : [{ name, verb, annotation, value }];
    }),
  );
}

function idOf(value: string): string | undefined {
  const id = value.startsWith('id:') ? value.slice('id:'.length) : '';
  return id.length > 0 && id.length <= LONGEST_ID ? id : undefined;
}

const ROTATIONS: Readonly<Record<string, 'now' | Haste>> = {
  now: 'now',
  force: 'force',
  compromised: 'compromised',
};

function askRotate(value: string): Asked {
  const rotate = Object.hasOwn(ROTATIONS, value) ? ROTATIONS[value] : undefined;
  if (rotate !== undefined) return { rotate };
  const id = idOf(value);
  if (id !== undefined) return { rotate: 'now', id };
  return {
    refusal:
      `rotate=${shown(value)} is not a request: type rotate=now, ` +
      `or rotate=id:<text> (1 to ${LONGEST_ID} characters) for once per text, or rotate=force ` +
      'not to wait for verifiers, or rotate=compromised after a leak',
  };
}

function askRollback(value: string): Asked {
  if (value === 'now') return { rollback: true };
  return { refusal: `rollback=${shown(value)} is not a request: type rollback=now` };
}

/** Whether a Secret may be called so. */
export function isSecretName(text: string): boolean {
  return text.length <= LONGEST_SECRET_NAME && SECRET_NAME.test(text);
}

function askRestore(value: string): Asked {
  if (isSecretName(value)) return { restore: value };
  return {
    refusal:
      `${RESTORE_ANNOTATION}=${shown(value)} names no Secret: type ${RESTORE_ANNOTATION}=<name of ` +
      "a Secret in the operator's namespace>",
  };
}

function askRevoke(value: string, ring: Keyring): Asked {
  if (value === 'previous') {
    const kids = previousKeys(ring).map(({ kid }) => kid);
    if (kids.length > 0) return { revoke: kids };
    return {
      refusal:
        'revoke=previous: there is no previous key to revoke: type rotate=compromised after a leak ' +
        'of the key that signs',
    };
  }
  const found = ring.keys.filter(
    ({ kid }) => kid === value || (value.length >= SHORTEST_KID_PREFIX && kid.startsWith(value)),
  );
  const [key] = found;
  if (key !== undefined && found.length === 1) return { revoke: [key.kid] };
  const others = ring.keys.filter(({ state }) => state !== 'current');
  const all = previousKeys(ring).length > 0 ? 'revoke=previous, or ' : '';
  return {
    refusal:
      `revoke=${shown(value)} names no key of this set: type ${all}revoke=<kid> with one of ` +
      `${others.map(({ kid, state }) => `${kid} (${state})`).join(', ')}; for the key that signs, ` +
      `rotate=compromised, or rotate=now revoke=${currentKey(ring).kid}`,
  };
}

/** What was typed, cut to a length that fits into a condition. */
function shown(value: string): string {
  return value.length > LONGEST_ID ? `${value.slice(0, LONGEST_ID)}…` : value;
}
