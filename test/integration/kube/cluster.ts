import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connect, type Kube } from '../../../src/kube/client.ts';
import type { Log } from '../../../src/kube/log.ts';
import type { ControlPlane } from '../../controlplane/controlplane.ts';

export const NAMESPACE = 'kube-tests';

/** A namespace, and a ServiceAccount `robot` that may do everything. */
export async function prepare({ kubectl }: ControlPlane): Promise<void> {
  await kubectl(['create', 'namespace', NAMESPACE]);
  await kubectl(['create', 'serviceaccount', 'robot', '-n', NAMESPACE]);
  const robot = `--serviceaccount=${NAMESPACE}:robot`;
  await kubectl(['create', 'clusterrolebinding', 'robot', '--clusterrole=cluster-admin', robot]);
}

/** A client with the token of `robot`, through a port that may be a proxy's. */
export async function connectAsRobot(
  plane: ControlPlane,
  port = Number(new URL(plane.server).port),
  dir = join(plane.dir, 'robot'),
): Promise<Kube> {
  await plane.serviceAccountCredentials(dir, NAMESPACE, 'robot');
  return connect({
    credentialsDir: dir,
    userAgent: 'kube-tests',
    env: { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: String(port) },
  });
}

/** Polls until the check passes; then its last failure is the test's. */
export async function eventually<T>(check: () => T | Promise<T>, timeoutMs = 60_000): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await delay(20);
    }
  }
}

export interface Line {
  readonly message: string;
  readonly err?: unknown;
}

/** A log that remembers. */
export function memoryLog(): Log & { readonly lines: Line[] } {
  const lines: Line[] = [];
  const write: Log['info'] = (fields, message) => lines.push({ ...fields, message });
  return { lines, debug: write, info: write, warn: write, error: write };
}
