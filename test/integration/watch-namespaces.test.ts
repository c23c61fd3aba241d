import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AuditEvent, auditEvents } from '../controlplane/audit.ts';
import { type ControlPlane, startControlPlane } from '../controlplane/controlplane.ts';
import { type Stack, startStack } from '../stack/stack.ts';
import { makeNamespace } from '../support/cluster.ts';

let plane: ControlPlane;
let stack: Stack;
let ours: string[];
let theirs: string;

beforeAll(async () => {
  plane = await startControlPlane();
  ours = [await makeNamespace(plane), await makeNamespace(plane)];
  theirs = await makeNamespace(plane);
  stack = await startStack({ controlPlane: plane, trust: false, watchNamespaces: ours });
});
afterAll(async () => {
  await stack?.stop();
  await plane?.stop();
});

async function makeSet(namespace: string): Promise<void> {
  const set = {
    apiVersion: 'signet.dev/v1alpha1',
    kind: 'SigningKeySet',
    metadata: { name: 'login', namespace },
    spec: { algorithm: 'ES256', publish: { configMaps: [{ name: 'keys' }] } },
  };
  await plane.kubectl(['create', '-f', '-'], { input: JSON.stringify(set) });
}

test('a controller that watches some namespaces sees to their sets, touches no others, and needs no more than Roles there', async () => {
  for (const namespace of [theirs, ...ours]) await makeSet(namespace);
  for (const namespace of ours) {
    const ready = ['wait', 'sks/login', '-n', namespace, '--for=condition=Ready', '--timeout=60s'];
    await plane.kubectl(ready);
    await plane.kubectl(['get', 'configmap', 'keys', '-n', namespace]);
  }
  const status = ['get', 'sks', 'login', '-n', theirs, '-o', 'jsonpath={.status}'];
  expect((await plane.kubectl(status)).stdout).toBe('');
  const user = 'system:serviceaccount:signet-system:signet-controller';
  const refused = ({ responseStatus }: AuditEvent) => responseStatus?.code === 403;
  expect(auditEvents(plane.auditLog, { user }).filter(refused)).toEqual([]);
  const everywhere = ['auth', 'can-i', 'list', 'signingkeysets', '-A', `--as=${user}`];
  await expect(plane.kubectl(everywhere)).rejects.toMatchObject({ stdout: 'no\n' });
});
