import { readFileSync } from 'node:fs';

/** One request as kube-apiserver's audit log holds it, as far as we read it. */
export interface AuditEvent {
  readonly stage: string;
  readonly verb: string;
  readonly requestURI: string;
  readonly user: { readonly username: string };
  readonly objectRef?: {
    readonly resource: string;
    readonly subresource?: string;
    readonly namespace?: string;
    readonly name?: string;
    readonly apiGroup?: string;
  };
  readonly responseStatus?: { readonly code: number };
  /** RFC 3339 with microseconds. */
  readonly requestReceivedTimestamp: string;
}

export interface AuditFilter {
  /** Unix ms: only requests received at or after. */
  readonly since?: number;
  /** Such as `system:serviceaccount:signet-system:signet-controller`. */
  readonly user?: string;
}

export interface WriteCount {
  readonly verb: string;
  /** With its subresource: `signingkeysets/status`. */
  readonly resource: string;
  readonly user: string;
  readonly count: number;
}

const WRITE_VERBS: ReadonlySet<string> = new Set([
  'create',
  'update',
  'patch',
  'delete',
  'deletecollection',
]);

/** Created, but never stored: questions to the API server. */
const NOT_STORED: ReadonlySet<string> = new Set([
  'tokenreviews',
  'subjectaccessreviews',
  'localsubjectaccessreviews',
  'selfsubjectaccessreviews',
  'selfsubjectrulesreviews',
  'selfsubjectreviews',
  'serviceaccounts/token',
]);

/** The requests in an audit log. A line that is still being written is left out. */
export function auditEvents(file: string, filter: AuditFilter = {}): readonly AuditEvent[] {
  const { since = 0, user } = filter;
  return readFileSync(file, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line): AuditEvent => JSON.parse(line))
    .filter((event) => user === undefined || event.user.username === user)
    .filter((event) => Date.parse(event.requestReceivedTimestamp) >= since);
}

/** `signingkeysets/status`; the path for requests that are about no object. */
export function resourceOf({ objectRef, requestURI }: AuditEvent): string {
  if (objectRef === undefined) return requestURI;
  const { resource, subresource } = objectRef;
  return subresource === undefined ? resource : `${resource}/${subresource}`;
}

/** A complete request that changes what is stored, successful or not. */
function isWrite(event: AuditEvent): boolean {
  return (
    event.stage === 'ResponseComplete' &&
    WRITE_VERBS.has(event.verb) &&
    !NOT_STORED.has(resourceOf(event)) &&
    !event.requestURI.includes('dryRun=All')
  );
}

/** Counts writes by verb, resource and user, the most frequent first. */
export function countWrites(events: readonly AuditEvent[]): readonly WriteCount[] {
  const groups = Map.groupBy(events.filter(isWrite), (event) =>
    [event.verb, resourceOf(event), event.user.username].join(' '),
  );
  return [...groups.values()]
    .flatMap(([first, ...rest]) =>
      first === undefined
        ? []
        : {
            verb: first.verb,
            resource: resourceOf(first),
            user: first.user.username,
            count: rest.length + 1,
          },
    )
    .sort((a, b) => b.count - a.count);
}
