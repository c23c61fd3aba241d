import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CHART } from '../chart/render.ts';
import { type ControlPlane, startControlPlane } from '../controlplane/controlplane.ts';

/** One of its own: a release that sees to all namespaces is in the way of any other. */
let cluster: ControlPlane;

beforeAll(async () => {
  cluster = await startControlPlane();
  for (const name of ['shop', 'identity']) await cluster.kubectl(['create', 'namespace', name]);
});

afterAll(() => cluster.stop());

/** As `helm install <release> -n <namespace>`, with the values given. */
async function install(release: string, namespace: string, ...values: readonly string[]) {
  const sets = ['crds.enabled=false', ...values].flatMap((value) => ['--set', value]);
  await cluster.helm(['install', release, CHART, '-n', namespace, '--create-namespace', ...sets]);
}

async function refused(attempt: Promise<unknown>, why: string): Promise<void> {
  await expect(attempt).rejects.toMatchObject({ stderr: expect.stringContaining(why) });
}

describe('A second release in one cluster', () => {
  beforeAll(() => install('signet', 'a', 'watchNamespaces={shop}'));

  test('is refused where both would see to the same sets, with what to type', async () => {
    await refused(
      install('second', 'b'),
      'release signet in namespace a is there, and this one would see to the sets of all namespaces',
    );
    await refused(
      install('second', 'b', 'watchNamespaces={identity,shop}'),
      'release signet in namespace a sees to the sets of namespace shop already',
    );
  });

  test('is refused where it would take the first one’s names, or its Leases and Secrets', async () => {
    await refused(
      install('signet', 'b', 'watchNamespaces={identity}'),
      'ClusterRole signet-controller is of release signet in namespace a',
    );
    await refused(
      install('second', 'a', 'watchNamespaces={identity}'),
      'release signet in namespace a shares its Leases and Secrets',
    );
  });

  test('is taken where it sees to others, and keeps nobody from upgrading the first', async () => {
    await install('second', 'b', 'watchNamespaces={identity}');
    const upgrade = ['upgrade', 'signet', CHART, '-n', 'a', '--reset-then-reuse-values'];
    await cluster.helm([...upgrade, '--set', 'logLevel=debug']);
    await refused(
      cluster.helm([...upgrade, '--set', 'watchNamespaces={shop,identity}']),
      'release second in namespace b sees to the sets of namespace identity already',
    );
  });
});
