import type { Collection } from '../kube/collection.ts';
import { isNotFound } from '../kube/errors.ts';

/** As far as it tells how it is getting on. */
export type Progress = Pick<Collection<never>, 'isSynced' | 'problem'>;

/**
 * What has never been read whole yet, and why, in words for a person.
 *
 * @param collections by what a person calls them; `sets` are those of our own API.
 * @returns empty once everything has been read.
 */
export function unread(collections: Readonly<Record<string, Progress>>): string {
  return Object.entries(collections)
    .filter(([, { isSynced }]) => !isSynced)
    .map(([what, { problem }]) => `${what}: ${inWords(what, problem)}`)
    .join('; ');
}

function inWords(what: string, problem: unknown): string {
  if (what === 'sets' && isNotFound(problem)) {
    return 'the SigningKeySet API is not installed: install the chart with crds.enabled=true';
  }
  return problem instanceof Error ? problem.message : 'the first list is not done';
}
