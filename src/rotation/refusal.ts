import { REFUSED_ANNOTATION } from '../api/constants.ts';
import type { ObservedSet } from './situation.ts';

type Annotated = Pick<ObservedSet, 'uid' | 'annotations'>;

/** Why the last request of this very set was refused: a copy has the annotation of its original. */
export function lastRefusal({ uid, annotations }: Annotated): string | undefined {
  const text = annotations[REFUSED_ANNOTATION];
  return text?.startsWith(`${uid} `) ? text.slice(uid.length + 1) : undefined;
}

/** The annotation that says so. @param why absent: nothing was refused. */
export function noteRefusal(
  { uid }: Pick<Annotated, 'uid'>,
  why: string | undefined,
): Readonly<Record<string, string | null>> {
  return { [REFUSED_ANNOTATION]: why === undefined ? null : `${uid} ${why}` };
}
