import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SERVICE_ACCOUNTS } from '../../stack/permissions.ts';
import { type Replica, type Stack, startStack } from '../../stack/stack.ts';
import { makeNamespace } from '../../support/cluster.ts';
import { eventually } from '../../support/eventually.ts';
import { accountsIn } from './accounts.ts';

let stack: Stack;
let namespace: string;

beforeAll(async () => {
  stack = await startStack();
  const { kubectl } = stack.controlPlane;
  namespace = await makeNamespace(stack.controlPlane);
  const set = {
    apiVersion: 'signet.dev/v1alpha1',
    kind: 'SigningKeySet',
    metadata: { name: 'login', namespace },
    spec: { algorithm: 'ES256' },
  };
  for (const each of [accountsIn(namespace), set]) {
    await kubectl(['create', '-f', '-'], { input: JSON.stringify(each) });
  }
  await kubectl(['wait', 'sks/login', '-n', namespace, '--for=condition=Ready', '--timeout=60s']);
});
afterAll(() => stack?.stop());

/** The code of the refusal, or `signed`. */
async function sign(replica: Replica): Promise<string> {
  const issuer = `${stack.issuerUrl}/${namespace}/login`;
  const token = await stack.controlPlane.token(namespace, 'authority', { audiences: [issuer] });
  const answer = await fetch(`${replica.url}/${namespace}/login/sign`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
    body: '{"claims":{"sub":"ada"}}',
  });
  const { code = 'signed' }: { code?: string } = JSON.parse(await answer.text());
  return code;
}

test('an issuer whose token has run out stays ready to publish but signs no more, and signs again with another', async () => {
  const { controlPlane } = stack;
  const dir = join(controlPlane.dir, 'runs-out');
  const hand = (seconds: number) =>
    controlPlane.serviceAccountCredentials(dir, stack.namespace, SERVICE_ACCOUNTS.issuer, {
      seconds,
    });
  await hand(3_600);
  const replica = await stack.replica('runs-out', ['--credentials-dir', dir]);
  await replica.restart();
  try {
    await eventually(async () => expect(await sign(replica)).toBe('signed'));
    await hand(-120);
    await eventually(async () => expect(await sign(replica)).toBe('replica_lapsed'));
    const jwks = await fetch(`${replica.url}/${namespace}/login/.well-known/jwks.json`);
    expect(jwks.status).toBe(200);
    expect((await fetch(replica.metricsUrl.replace('/metrics', '/readyz'))).status).toBe(200);
    await hand(3_600);
    await eventually(async () => expect(await sign(replica)).toBe('signed'));
  } finally {
    await replica.kill();
  }
});
