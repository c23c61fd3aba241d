import { TAKEN_ID_ANNOTATION } from '../api/constants.ts';
import type { ObservedSet } from './situation.ts';
import { KEPT_IDS } from './transitions.ts';

type Annotated = Pick<ObservedSet, 'annotations'>;

/**
 * The texts of `rotate=id:<text>` that were taken or refused last, oldest first, so that one that
 * was cancelled or refused is not taken for a new one when it is typed again.
 */
export function takenIds({ annotations }: Annotated): readonly string[] {
  const text = annotations[TAKEN_ID_ANNOTATION];
  return text === undefined ? [] : (listIn(text) ?? [text]);
}

/** The annotation that remembers these, too; nothing where there are none. */
export function noteTaken(
  set: Annotated,
  ids: readonly string[],
): Readonly<Record<string, string>> {
  if (ids.length === 0) return {};
  const kept = takenIds(set).filter((id) => !ids.includes(id));
  return { [TAKEN_ID_ANNOTATION]: JSON.stringify([...kept, ...ids].slice(-KEPT_IDS)) };
}

/** Undefined for what 0.1.0 wrote, which is one text as it is. */
function listIn(text: string): readonly string[] | undefined {
  try {
    const list: unknown = JSON.parse(text);
    return Array.isArray(list) && list.every((id) => typeof id === 'string') ? list : undefined;
  } catch {
    return undefined;
  }
}
