import { randomBytes } from 'node:crypto';
import { inject } from 'vitest';
import { type Cluster, connectCluster } from '../controlplane/cluster.ts';

/** The control plane that all integration tests share: leave it as it was. */
export function sharedCluster(): Promise<Cluster> {
  return connectCluster(inject('cluster'));
}

/** Path of the shared control plane's audit log. */
export function sharedAuditLog(): string {
  return inject('cluster').auditLog;
}

/** Makes a namespace of a name that nobody else has. @returns its name. */
export async function makeNamespace(
  cluster: Pick<Cluster, 'kubectl'>,
  annotations: Readonly<Record<string, string>> = {},
): Promise<string> {
  const name = `test-${randomBytes(4).toString('hex')}`;
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name, annotations } };
  await cluster.kubectl(['create', '-f', '-'], { input: JSON.stringify(namespace) });
  return name;
}
