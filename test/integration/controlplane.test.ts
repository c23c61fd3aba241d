import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { auditEvents, countWrites } from '../controlplane/audit.ts';
import type { Cluster } from '../controlplane/cluster.ts';
import { type ControlPlane, startControlPlane } from '../controlplane/controlplane.ts';
import { isAlive, temporaryDirectory } from '../controlplane/supervise.ts';
import { makeNamespace, sharedAuditLog, sharedCluster } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import setUp, { type SharedCluster } from '../support/global-setup.ts';

test('a start that fails shows why, and leaves nothing behind', async () => {
  const directory = temporaryDirectory('signet-failed-');
  onTestFinished(() => directory.remove());
  vi.stubEnv('TMPDIR', directory.path);
  onTestFinished(() => void vi.unstubAllEnvs());
  const start = startControlPlane({ apiserverArgs: ['--no-such-flag'] });
  const message = await start.then(String, (error: Error) => error.message);
  expect(message).toMatch(/kube-apiserver did not start \(exit code 1\)/);
  expect(message).toContain('unknown flag: --no-such-flag');
  expect(readdirSync(directory.path)).toEqual([]);
});

test('nothing outlives the process that started it, even when that is killed', async () => {
  const program = join(import.meta.dirname, '..', 'support', 'start-and-wait.ts');
  const starter = spawn(process.execPath, [program], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => {
    starter.kill('SIGKILL');
  });
  const [line] = await once(createInterface({ input: starter.stdout }), 'line');
  const { dir, pids }: { dir: string; pids: readonly number[] } = JSON.parse(String(line));
  expect(pids.map(isAlive)).toEqual([true, true]);
  starter.kill('SIGKILL');
  await eventually(() => pids.every((pid) => !isAlive(pid)) && !existsSync(dir));
});

test('the cluster that KUBECONFIG names is not touched: the tests make and delete CRDs', async () => {
  vi.stubEnv('KUBECONFIG', join(import.meta.dirname, 'a-cluster-that-people-need'));
  onTestFinished(() => void vi.unstubAllEnvs());
  const provided: SharedCluster[] = [];
  const stop = await setUp({ provide: (_, cluster) => provided.push(cluster) });
  onTestFinished(stop);
  expect(provided.map(({ server }) => server)).toEqual([
    expect.stringMatching(/^https:\/\/127\.0\.0\.1:/),
  ]);
});

describe('a control plane of its own', () => {
  let plane: ControlPlane;
  beforeAll(async () => {
    plane = await startControlPlane({ controllerManager: false });
  });
  afterAll(() => plane.stop());

  test('keeps its data and its address when each component is killed and started again', async () => {
    const { etcd, apiserver } = plane.components;
    const namespace = await makeNamespace(plane);
    await Promise.all([etcd.kill(), apiserver.kill()]);
    await expect(plane.kubectl(['get', 'ns', namespace])).rejects.toThrow('refused');
    await etcd.restart();
    await apiserver.restart();
    expect((await plane.kubectl(['get', 'ns', namespace, '-o', 'name'])).stdout).toContain(
      namespace,
    );
  });

  test('a paused API server answers nobody until it is resumed', async () => {
    plane.components.apiserver.pause();
    const get = ['get', 'ns', 'default', '-o', 'name'];
    await expect(plane.kubectl([...get, '--request-timeout=300ms'])).rejects.toThrow();
    plane.components.apiserver.resume();
    await eventually(() => plane.kubectl([...get, '--request-timeout=10s']));
  });

  test('a watch from before a compaction is answered 410', async () => {
    const namespace = await makeNamespace(plane);
    const get = ['get', 'ns', namespace, '-o', 'jsonpath={.metadata.resourceVersion}'];
    const { stdout: old } = await plane.kubectl(get);
    await makeNamespace(plane);
    const watch = async (): Promise<string> => {
      const query = `watch=1&timeoutSeconds=5&resourceVersion=${old}`;
      const answer = await plane
        .kubectl(['get', '--raw', `/api/v1/namespaces?${query}`])
        .catch((error: Error) => ({ stdout: error.message }));
      return answer.stdout;
    };
    expect(await watch()).toContain('"type":"ADDED"');
    await plane.components.etcd.compact();
    await plane.components.apiserver.restart();
    expect(await watch()).toMatch(/too old resource version|has been compacted|"code":410/);
  });
});

async function account(cluster: Cluster): Promise<{ namespace: string; user: string }> {
  const namespace = await makeNamespace(cluster);
  await cluster.kubectl(['create', 'serviceaccount', 'robot', '-n', namespace]);
  return { namespace, user: `system:serviceaccount:${namespace}:robot` };
}

/** The name by which the API server knows the bearer of a token. */
async function whoami(cluster: Cluster, token: string): Promise<string> {
  const review = {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenReview',
    spec: { token },
  };
  const answer = ['create', '-f', '-', '-o', 'jsonpath={.status.user.username}'];
  return (await cluster.kubectl(answer, { input: JSON.stringify(review) })).stdout;
}

test('mounts credentials as a kubelet does, and swaps all of them at once', async () => {
  const cluster = await sharedCluster();
  const { namespace, user } = await account(cluster);
  const directory = temporaryDirectory('signet-credentials-');
  onTestFinished(() => directory.remove());
  const dir = join(directory.path, 'serviceaccount');
  const read = (name: string): string => readFileSync(join(dir, name), 'utf8');

  await cluster.serviceAccountCredentials(dir, namespace, 'robot');
  expect(read('namespace')).toBe(namespace);
  expect(read('ca.crt')).toBe(cluster.caPem);
  expect(await whoami(cluster, read('token'))).toBe(user);

  const before = { folder: realpathSync(join(dir, '..data')), token: read('token') };
  await cluster.serviceAccountCredentials(dir, namespace, 'robot', { seconds: 700 });
  expect(realpathSync(join(dir, '..data'))).not.toBe(before.folder);
  expect(read('token')).not.toBe(before.token);
  expect(existsSync(before.folder)).toBe(false);
  expect(readdirSync(dir).filter((name) => !name.startsWith('..'))).toHaveLength(3);
});

test('makes a token that has expired', async () => {
  const cluster = await sharedCluster();
  const { namespace, user } = await account(cluster);
  const identity = (token: string): Promise<string> => whoami(cluster, token);
  const short = await cluster.token(namespace, 'robot', { seconds: 60 });
  expect(await identity(short)).toBe(user);
  const expired = await cluster.token(namespace, 'robot', { seconds: -120 });
  expect(await identity(expired)).toBe('');
});

test('the audit log has each write once it is answered', async () => {
  const cluster = await sharedCluster();
  const { namespace } = await account(cluster);
  const created = auditEvents(sharedAuditLog(), { user: 'kubernetes-admin' }).filter(
    ({ objectRef }) => objectRef?.namespace === namespace && objectRef.resource !== 'namespaces',
  );
  expect(countWrites(created)).toEqual([
    { verb: 'create', resource: 'serviceaccounts', user: 'kubernetes-admin', count: 1 },
  ]);
});
