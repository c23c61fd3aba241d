/** The chart as `helm template` renders it: no cluster is asked. */
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { findClients, invoke } from '../controlplane/clients.ts';

export const CHART = join(import.meta.dirname, '..', '..', 'charts', 'signet');
const NAMESPACE = 'signet-system';

export interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly args: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
  readonly securityContext: Readonly<Record<string, unknown>>;
  readonly volumeMounts: readonly {
    readonly name: string;
    readonly mountPath: string;
    readonly readOnly?: boolean;
  }[];
}

export interface PodSpec {
  readonly serviceAccountName: string;
  readonly automountServiceAccountToken: boolean;
  readonly terminationGracePeriodSeconds: number;
  readonly containers: readonly Container[];
  readonly volumes: readonly {
    readonly name: string;
    readonly emptyDir?: object;
    readonly secret?: { readonly items: readonly { readonly key: string }[] };
  }[];
}

/** The parts of any object that a test looks at. */
export interface Rendered {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly labels: Readonly<Record<string, string>>;
  };
  readonly data?: Readonly<Record<string, string>>;
  readonly rules?: readonly Rule[];
  readonly roleRef?: { readonly kind: string; readonly name: string };
  readonly automountServiceAccountToken?: boolean;
  readonly aggregationRule?: object;
  readonly spec?: Readonly<Record<string, unknown>> & {
    readonly template?: { readonly spec: PodSpec };
    readonly ports?: readonly object[];
  };
}

export interface Options {
  readonly release?: string;
  readonly namespace?: string;
  /** Each `path=value`, as after `--set`. */
  readonly values?: readonly string[];
}

/** Runs Helm. @throws CommandError with what Helm wrote to standard error. */
export async function helm(...args: readonly string[]): Promise<string> {
  const { helm: program } = await findClients();
  return (await invoke(program, args, process.env)).stdout;
}

/** @throws CommandError where a value is refused. */
export function template(options: Options = {}): Promise<string> {
  const { release = 'signet', namespace = NAMESPACE, values = [] } = options;
  const sets = values.flatMap((value) => ['--set', value]);
  return helm('template', release, CHART, '-n', namespace, ...sets);
}

/** Every object of the chart. @throws CommandError where a value is refused. */
export async function render(options?: Options): Promise<readonly Rendered[]> {
  return parseAllDocuments(await template(options))
    .map((document): Rendered | null => document.toJS())
    .filter((object) => object !== null);
}

/** @throws Error naming what is not among them. */
export function named(objects: readonly Rendered[], kind: string, name: string): Rendered {
  const found = objects.find((each) => each.kind === kind && each.metadata.name === name);
  if (found === undefined) throw new Error(`no ${kind} ${name} was rendered`);
  return found;
}

/** The pod of the Deployment. */
export async function podSpec(options?: Options): Promise<PodSpec> {
  const spec = named(await render(options), 'Deployment', 'signet').spec?.template?.spec;
  if (spec === undefined) throw new Error('the Deployment has no pod');
  return spec;
}

/** @throws Error naming the container that is not there. */
export function container(pod: PodSpec, name: string): Container {
  const found = pod.containers.find((each) => each.name === name);
  if (found === undefined) throw new Error(`the pod has no container ${name}`);
  return found;
}

/** Values that turn on whatever is behind a value. */
export const EVERYTHING = [
  'publicUrl=https://tokens.example.com/keys',
  'tls.certManager.enabled=true',
  'tls.certManager.issuerRef.name=letsencrypt',
  'tls.certManager.issuerRef.kind=ClusterIssuer',
  'ingress.enabled=true',
  'ingress.className=public',
  'ingress.hosts={login.example.com}',
  'ingress.tls[0].secretName=tokens-tls',
  'ingress.tls[0].hosts={tokens.example.com}',
  'httpRoute.enabled=true',
  'httpRoute.parentRefs[0].name=public',
  'httpRoute.hostnames={login.example.com}',
  'networkPolicy.enabled=true',
  'networkPolicy.apiServerTo[0].ipBlock.cidr=10.96.0.1/32',
  'prometheusRule.docsUrl=https://git.example.com/signet/docs',
  'serviceMonitor.enabled=true',
  'prometheusRule.enabled=true',
  'dashboard.enabled=true',
] as const;
