import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { type Connection, connectCluster } from '../controlplane/cluster.ts';
import { startControlPlane } from '../controlplane/controlplane.ts';
import { temporaryDirectory } from '../controlplane/supervise.ts';
import { eventually } from './eventually.ts';

const CRDS = join(import.meta.dirname, '..', '..', 'crds');

/** How tests reach the cluster that they share. */
export interface SharedCluster extends Connection {
  /** Absent where KUBECONFIG names a cluster that is not ours. */
  readonly auditLog?: string;
}

declare module 'vitest' {
  export interface ProvidedContext {
    readonly cluster: SharedCluster;
  }
}

/** One control plane for all tests that do no harm to it; KUBECONFIG takes its place. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { KUBECONFIG } = process.env;
  const [shared, stop] = await (KUBECONFIG ? connectTo(KUBECONFIG) : startOwn());
  try {
    const cluster = await connectCluster(shared);
    const crds = readdirSync(CRDS).filter((name) => name.endsWith('.yaml'));
    for (const name of crds) {
      await cluster.kubectl(['apply', '--server-side', '-f', join(CRDS, name)]);
    }
    if (crds.length > 0) {
      // kubectl fails at one that has no conditions yet.
      const wait = ['wait', 'crd', '--all', '--for=condition=Established'];
      await eventually(() => cluster.kubectl(wait));
    }
  } catch (error) {
    await stop();
    throw error;
  }
  project.provide('cluster', shared);
  return stop;
}

async function startOwn(): Promise<[SharedCluster, () => Promise<void>]> {
  const { stop, kubeconfig, server, caPem, scratch, serviceAccountKey, auditLog } =
    await startControlPlane();
  const key = serviceAccountKey === undefined ? {} : { serviceAccountKey };
  return [{ kubeconfig, server, caPem, scratch, auditLog, ...key }, stop];
}

async function connectTo(kubeconfig: string): Promise<[SharedCluster, () => Promise<void>]> {
  const directory = temporaryDirectory('signet-test-');
  const connection = { kubeconfig, server: '', caPem: '', scratch: directory.path };
  const { kubectl } = await connectCluster(connection);
  const view = ['config', 'view', '--minify', '--raw', '-o', 'json'];
  const config: KubeconfigView = JSON.parse((await kubectl(view)).stdout);
  const cluster = config.clusters[0]?.cluster;
  if (cluster === undefined) throw new Error(`${kubeconfig} has no current cluster`);
  const data = cluster['certificate-authority-data'];
  const file = cluster['certificate-authority'];
  const caPem =
    data === undefined
      ? readFileSync(file ?? fail(kubeconfig), 'utf8')
      : Buffer.from(data, 'base64').toString();
  return [{ ...connection, server: cluster.server, caPem }, async () => directory.remove()];
}

interface KubeconfigView {
  readonly clusters: readonly {
    readonly cluster: {
      readonly server: string;
      readonly 'certificate-authority'?: string;
      readonly 'certificate-authority-data'?: string;
    };
  }[];
}

function fail(kubeconfig: string): never {
  throw new Error(`${kubeconfig} names no certificate authority of its cluster`);
}
