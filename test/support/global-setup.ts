import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import type { Connection } from '../controlplane/cluster.ts';
import { startControlPlane } from '../controlplane/controlplane.ts';
import { eventually } from './eventually.ts';

const CRDS = join(import.meta.dirname, '..', '..', 'crds');

/** How tests reach the cluster that they share. */
export interface SharedCluster extends Connection {
  /** Path of the audit log, one JSON event a line. */
  readonly auditLog: string;
}

declare module 'vitest' {
  export interface ProvidedContext {
    readonly cluster: SharedCluster;
  }
}

/**
 * One control plane for all tests that do no harm to it. Always one of our own: tests make and delete
 * CRDs, with all objects of them, and KUBECONFIG may name a cluster that people need.
 */
export default async function setup(
  project: Pick<TestProject, 'provide'>,
): Promise<() => Promise<void>> {
  if (process.env['KUBECONFIG']) {
    console.log('The tests start a control plane of their own: KUBECONFIG is not used.');
  }
  const cluster = await startControlPlane();
  try {
    for (const name of readdirSync(CRDS).filter((file) => file.endsWith('.yaml'))) {
      await cluster.kubectl(['apply', '--server-side', '-f', join(CRDS, name)]);
    }
    // kubectl fails at one that has no conditions yet.
    const wait = ['wait', 'crd', '--all', '--for=condition=Established'];
    await eventually(() => cluster.kubectl(wait));
  } catch (error) {
    await cluster.stop();
    throw error;
  }
  const { kubeconfig, server, caPem, scratch, serviceAccountKey, auditLog } = cluster;
  const key = serviceAccountKey === undefined ? {} : { serviceAccountKey };
  project.provide('cluster', { kubeconfig, server, caPem, scratch, auditLog, ...key });
  return () => cluster.stop();
}
