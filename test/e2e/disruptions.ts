import assert from 'node:assert/strict';
import { get, isReady, type Life, OPERATOR, pods, RELEASE } from './life.ts';
import type { Site } from './site.ts';
import { client, soon, underLoad } from './workloads.ts';

const REPLICAS = 2;

async function leader(site: Site): Promise<string> {
  const lease = ['lease', 'signet-controller', '-n', OPERATOR];
  const { spec } = await get<{ spec: { holderIdentity?: string } }>(site, ...lease);
  // `<pod>-<random>`
  return spec.holderIdentity?.replace(/-[^-]*$/, '') ?? '';
}

function allReady(site: Site) {
  return soon(async () => {
    const all = await pods(site);
    assert.equal(all.length, REPLICAS);
    assert.ok(all.every(isReady), 'not every pod is ready');
    return all.map(({ metadata }) => metadata.name);
  }, 180);
}

/** Each program ends by SIGTERM, and the kubelet starts it again. */
export async function restartContainers({ site }: Life): Promise<void> {
  const [pod = ''] = await allReady(site);
  for (const container of ['controller', 'issuer']) {
    const restarts = async () =>
      (await pods(site))
        .find(({ metadata }) => metadata.name === pod)
        ?.status.containerStatuses?.find(({ name }) => name === container)?.restartCount ?? 0;
    const before = await restarts();
    const end = ['node', '-e', 'process.kill(1, "SIGTERM")'];
    await site.kubectl(['exec', '-n', OPERATOR, pod, '-c', container, '--', ...end]);
    await soon(async () => assert.ok((await restarts()) > before, 'it was not restarted'));
    await allReady(site);
    await client.token(site);
  }
}

/**
 * Service and Deployment forget the pod at once, and requests on their way to it may be lost. Its kubelet
 * tells it to end all the same; a leader that ends without a word, or is cut off, is tried in
 * test/integration/faults.
 */
export async function deleteLeader({ site }: Life): Promise<void> {
  const before = await leader(site);
  const now = ['--grace-period=0', '--force', '--wait=false'];
  await underLoad(
    site,
    async () => {
      await site.kubectl(['delete', 'pod', before, '-n', OPERATOR, ...now]);
      await soon(async () => assert.notEqual(await leader(site), before));
      await allReady(site);
    },
    { mayFailFor: 5 },
  );
}

export async function survivesEviction({ site }: Life): Promise<void> {
  const [first = '', second = ''] = await allReady(site);
  const evict = (name: string) => {
    const metadata = { name, namespace: OPERATOR };
    const input = JSON.stringify({ apiVersion: 'policy/v1', kind: 'Eviction', metadata });
    const path = `/api/v1/namespaces/${OPERATOR}/pods/${name}/eviction`;
    return site.kubectl(['create', '--raw', path, '-f', '-'], { input });
  };
  await underLoad(site, async () => {
    // The budget takes a moment to count a pod that has just come.
    await soon(() => evict(first));
    await assert.rejects(evict(second), /disruption budget/);
    await allReady(site);
  });
}

export async function rollOut({ site }: Life): Promise<void> {
  const before = await allReady(site);
  const upgrade = [
    'upgrade',
    RELEASE,
    'charts/signet',
    '-n',
    OPERATOR,
    '--reset-then-reuse-values',
  ];
  await underLoad(site, async () => {
    await site.helm([...upgrade, '--set', 'podAnnotations.rolled=out', '--wait', '--timeout=5m']);
    await soon(async () => assert.equal((await pods(site)).length, REPLICAS));
  });
  const after = await allReady(site);
  assert.deepEqual(
    after.filter((name) => before.includes(name)),
    [],
  );
}
