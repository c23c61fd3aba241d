import { join } from 'node:path';
import type { Cluster } from '../controlplane/cluster.ts';
import { eventually } from '../support/eventually.ts';

const CHART = join(import.meta.dirname, '..', '..', 'charts', 'signet');
const RELEASE = 'signet';

/** Where the operator lives. */
export const NAMESPACE = 'signet-system';
export const SERVICE_ACCOUNTS = {
  controller: `${RELEASE}-controller`,
  issuer: `${RELEASE}-issuer`,
} as const;

/** Everything of the chart that holds the operator, and needs no kubelet. */
const TEMPLATES = [
  ...['crd', 'serviceaccounts', 'rbac-controller', 'rbac-issuer'],
  'admission-operator',
];

/** Installs the chart's CRD, ServiceAccounts, roles and policies, exactly as it renders them. */
export async function installPermissions(
  cluster: Cluster,
  watchNamespaces: readonly string[] = [],
): Promise<void> {
  const rendered = await cluster.helm([
    ...['template', RELEASE, CHART, '--namespace', NAMESPACE],
    ...['--set-json', `watchNamespaces=${JSON.stringify(watchNamespaces)}`],
    ...TEMPLATES.flatMap((name) => ['--show-only', `templates/${name}.yaml`]),
  ]);
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } };
  const apply = ['apply', '--server-side', '--force-conflicts', '-f', '-'];
  await cluster.kubectl(apply, { input: JSON.stringify(namespace) });
  await cluster.kubectl(apply, { input: rendered.stdout });
  const crd = 'crd/signingkeysets.signet.dev';
  const wait = ['wait', crd, '--for=condition=Established', '--timeout=10s'];
  // kubectl fails at one that has no conditions yet.
  await eventually(() => cluster.kubectl(wait));
}
