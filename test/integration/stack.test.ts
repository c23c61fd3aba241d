import { afterAll, beforeAll, expect, test } from 'vitest';
import { auditEvents, resourceOf } from '../controlplane/audit.ts';
import { type Stack, startStack } from '../stack/stack.ts';
import { makeNamespace } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';

const SET = { apiVersion: 'signet.dev/v1alpha1', kind: 'SigningKeySet' };

let stack: Stack;

beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack.stop());

async function applySet(name: string): Promise<string> {
  const { controlPlane } = stack;
  const namespace = await makeNamespace(controlPlane);
  const publish = { configMaps: [{ name: 'keys' }] };
  const set = { ...SET, metadata: { name, namespace }, spec: { publish } };
  await controlPlane.kubectl(['create', '-f', '-'], { input: JSON.stringify(set) });
  const ready = ['wait', `sks/${name}`, '-n', namespace, '--for=condition=Ready'];
  await controlPlane.kubectl([...ready, '--timeout=60s']);
  return `${stack.issuerUrl}/${namespace}/${name}`;
}

async function kidsOf(issuer: string): Promise<readonly string[]> {
  const answer = await fetch(`${issuer}/.well-known/jwks.json`);
  expect(answer.status).toBe(200);
  const { keys }: { keys: readonly { kid: string }[] } = JSON.parse(await answer.text());
  return keys.map(({ kid }) => kid);
}

test('publishes a set with the permissions of the chart, and is refused nothing', async () => {
  const issuer = await applySet('login');
  await eventually(async () => expect(await kidsOf(issuer)).toHaveLength(2));
  const prefix = `system:serviceaccount:${stack.namespace}:`;
  const requests = auditEvents(stack.controlPlane.auditLog).filter(({ user }) =>
    user.username.startsWith(prefix),
  );
  expect(new Set(requests.map(({ user }) => user.username.slice(prefix.length)))).toEqual(
    new Set(['signet-controller', 'signet-issuer']),
  );
  const refused = requests
    .filter(({ responseStatus }) => responseStatus?.code === 403)
    .map((event) => `${event.user.username} may not ${event.verb} ${resourceOf(event)}`);
  expect(refused).toEqual([]);
});

test('goes on with the same keys after both processes were killed', async () => {
  const issuer = await applySet('survivor');
  const before = await eventually(() => kidsOf(issuer));
  await Promise.all([stack.controller.kill('SIGKILL'), stack.issuer.kill('SIGKILL')]);
  await expect(fetch(issuer)).rejects.toThrow('fetch failed');
  await Promise.all([stack.controller.restart(), stack.issuer.restart()]);
  expect(await kidsOf(issuer)).toEqual(before);
});
