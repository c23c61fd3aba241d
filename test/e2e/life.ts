import type { Site } from './site.ts';

export const OPERATOR = 'signet-system';
export const RELEASE = 'signet';
/** On every object of the release. */
const SELECTOR = `app.kubernetes.io/instance=${RELEASE},app.kubernetes.io/name=signet`;

/** What the steps hand on to each other. */
export interface Life {
  readonly site: Site;
  /** `<repository>:<tag>` as built from this checkout. */
  readonly image: string;
  /** Of the version before; absent where the history of this checkout does not reach it. */
  readonly previous?: { readonly image: string; readonly chart: string };
  /** Builds both, and brings them to the nodes. */
  bring(): Promise<void>;
  /** Tokens that should verify, the oldest first. */
  tokens: string[];
}

/** On the namespaces that a run made: what one that failed left behind, the next one may remove. */
export const MADE_BY_E2E = 'signet.dev/e2e';

/** A namespace whose pods must keep to the Pod Security Standard `restricted`. */
export async function strictNamespace({ kubectl }: Site, name: string): Promise<void> {
  const labels = { 'pod-security.kubernetes.io/enforce': 'restricted', [MADE_BY_E2E]: 'true' };
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
  await kubectl(['apply', '-f', '-'], { input: JSON.stringify(namespace) });
}

export async function apply({ kubectl }: Site, items: readonly object[]): Promise<void> {
  const list = { apiVersion: 'v1', kind: 'List', items };
  await kubectl(['apply', '-f', '-'], { input: JSON.stringify(list) });
}

/** Any object as JSON, as far as the caller looks at it. */
export async function get<T>({ kubectl }: Site, ...args: readonly string[]): Promise<T> {
  return JSON.parse((await kubectl(['get', ...args, '-o', 'json'])).stdout);
}

interface PodObject {
  readonly metadata: { readonly name: string; readonly deletionTimestamp?: string };
  readonly status: {
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly {
      readonly name: string;
      readonly restartCount: number;
      readonly ready: boolean;
    }[];
  };
}

/** The operator's pods that are not on their way out. */
export async function pods(site: Site): Promise<readonly PodObject[]> {
  const list = await get<{ items: PodObject[] }>(site, 'pods', '-n', OPERATOR, '-l', SELECTOR);
  return list.items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
}

export function isReady({ status }: PodObject): boolean {
  return (
    status.conditions?.some((each) => each.type === 'Ready' && each.status === 'True') ?? false
  );
}
