import { MADE_BY_E2E, OPERATOR, RELEASE } from './life.ts';
import { NoClusterError, type Site } from './site.ts';
import { TENANT } from './workloads.ts';

const NAMESPACES = [OPERATOR, TENANT].map((name) => `namespace/${name}`);
/** The second is that of docs/install.md. */
const RELEASES = [
  [RELEASE, OPERATOR],
  ['second', 'second-system'],
] as const;
const CRD = 'crd/signingkeysets.signet.dev';
const CLUSTER_SCOPED =
  'clusterrole,clusterrolebinding,validatingadmissionpolicy,validatingadmissionpolicybinding';

/**
 * Removes what a run that failed has left on this cluster.
 *
 * @throws NoClusterError where something is that a run would take for its own, and delete.
 */
export async function clearAway(site: Site): Promise<void> {
  const found = await names(site, NAMESPACES);
  const ours = await names(site, ['namespaces', '-l', MADE_BY_E2E]);
  const isOurs = found.length > 0 && found.every((each) => ours.includes(each));
  if (isOurs) await remove(site, ours);
  const left = await names(site, [...NAMESPACES, CRD]);
  if (left.length === 0) return;
  const [namespaces, apis] = [left.filter((each) => each !== CRD), left.includes(CRD)];
  throw new NoClusterError(
    `this cluster has ${left.join(' ')}, which the run would delete in the end: if nobody needs ` +
      `${apis ? 'that, nor any SigningKeySet' : 'that'}, type\n  helm uninstall ${RELEASE} -n ` +
      `${OPERATOR} --ignore-not-found; kubectl delete ${[...namespaces, ...(apis ? [CRD] : [])].join(' ')}`,
  );
}

async function names({ kubectl }: Site, what: readonly string[]): Promise<readonly string[]> {
  const { stdout } = await kubectl(['get', ...what, '--ignore-not-found', '-o', 'name']);
  const short = (name: string) => name.replace(/^customresourcedefinition\S*\//, 'crd/');
  return stdout.split('\n').filter(Boolean).map(short);
}

async function remove(site: Site, namespaces: readonly string[]): Promise<void> {
  console.log(`Removing what a run that failed has left: ${namespaces.join(' ')}`);
  for (const [release, namespace] of RELEASES) {
    await site.helm(['uninstall', release, '-n', namespace, '--ignore-not-found', '--wait']);
  }
  // Where the record of the release is gone, Helm leaves these.
  const releases = RELEASES.map(([release]) => release).join(', ');
  const label = `app.kubernetes.io/part-of=signet,app.kubernetes.io/instance in (${releases})`;
  await site.kubectl(['delete', CLUSTER_SCOPED, '-l', label]);
  if (namespaces.includes(`namespace/${OPERATOR}`)) {
    await site.kubectl(['delete', 'crd', '-l', label]);
  }
  await site.kubectl(['delete', ...namespaces, '--timeout=180s']);
}
