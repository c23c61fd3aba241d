import { setTimeout as delay } from 'node:timers/promises';
import { decodeProtectedHeader } from 'jose';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { SECOND } from '../../../src/api/constants.ts';
import { type Stack, startStack } from '../../stack/stack.ts';
import { StackCanaries } from '../../support/canary.ts';
import { makeNamespace } from '../../support/cluster.ts';
import { eventually } from '../../support/eventually.ts';
import { accountsIn } from './accounts.ts';

/** R, in seconds. */
const R = 2;
/** So many signatures at once take longer than it takes to stop who makes them. */
const QUEUE = 128;

let stack: Stack;
let canaries: StackCanaries;
let namespace: string;
let issuer: string;
let credential: string;

beforeAll(async () => {
  stack = await startStack({ maxStaleness: `${R}s` });
  namespace = await makeNamespace(stack.controlPlane);
  const metadata = { name: 'login', namespace };
  await create({ apiVersion: 'signet.dev/v1alpha1', kind: 'SigningKeySet', metadata });
  await create(accountsIn(namespace));
  await kubectl(['wait', 'sks/login', '--for=condition=Ready', '--timeout=60s']);
  canaries = new StackCanaries(stack);
  await canaries.learn();
  issuer = `${stack.issuerUrl}/${namespace}/login`;
  credential = await stack.controlPlane.token(namespace, 'authority', { audiences: [issuer] });
});
afterAll(async () => {
  stack?.issuer.resume();
  await stack?.stop();
});

const kubectl = (args: readonly string[]) =>
  stack.controlPlane.kubectl([...args, '--namespace', namespace]);
const create = (object: object) =>
  stack.controlPlane.kubectl(['create', '-f', '-'], { input: JSON.stringify(object) });

/** @returns the kid of the token, or the code of the refusal. */
async function sign(): Promise<string | undefined> {
  const response = await fetch(`${issuer}/sign`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${credential}` },
    body: '{"claims":{}}',
  });
  const { token, code }: { token?: string; code?: string } = JSON.parse(await response.text());
  return token === undefined ? code : decodeProtectedHeader(token).kid;
}

/** The kids of the keys in one state, as the controller reports them. */
async function kidsThat(state: 'current' | 'revoked'): Promise<string> {
  const kids = `{.status.keys[?(@.state=="${state}")].kid}`;
  const { stdout } = await kubectl(['get', 'sks', 'login', '-o', `jsonpath=${kids}`]);
  return stdout;
}

it('an issuer that slept through a revocation signs nothing with the key it remembers', async () => {
  const compromised = await eventually(async () => {
    const kid = await sign();
    expect(kid).toBe(await kidsThat('current'));
    return kid ?? false;
  });
  stack.issuer.pause();
  await kubectl(['annotate', 'signingkeyset', 'login', 'rotate=now']);
  await eventually(async () => expect(await kidsThat('current')).not.toBe(compromised));
  await kubectl(['annotate', 'signingkeyset', 'login', 'revoke=previous']);
  await eventually(async () => expect(await kidsThat('revoked')).toBe(compromised));
  // It sleeps for longer than R, and these wait for it in its sockets.
  const waiting = Array.from({ length: 8 }, sign);
  await delay(R * SECOND + 500);
  stack.issuer.resume();
  const answers = await Promise.all(waiting);
  expect(answers).not.toContain(compromised);
  const current = await kidsThat('current');
  for (const answer of answers) expect(['replica_lapsed', current]).toContain(answer);
  await eventually(async () => expect(await sign()).toBe(current));
});

it('signatures that wait their turn while an issuer sleeps through a revocation go to nobody', async () => {
  const compromised = await kidsThat('current');
  // Their connections are open, and their signatures queue.
  await Promise.all(Array.from({ length: QUEUE }, sign));
  let isAsleep = false;
  const asked = Array.from({ length: QUEUE }, async () => {
    // A connection may have timed out, where the machine is slow.
    const answer = await sign().catch(() => 'unanswered');
    return { answer, isLate: isAsleep };
  });
  await Promise.race(asked);
  stack.issuer.pause();
  await kubectl(['annotate', 'signingkeyset', 'login', 'rotate=compromised']);
  await eventually(async () => expect(await kidsThat('current')).not.toBe(compromised));
  await delay(R * SECOND + 500);
  isAsleep = true;
  stack.issuer.resume();
  const late = (await Promise.all(asked)).filter(({ isLate }) => isLate);
  expect(late).not.toEqual([]);
  expect(late.map(({ answer }) => answer)).not.toContain(compromised);
});

it('neither process shows a private key, of today or revoked, in log, metrics or objects', async () => {
  const before = canaries.size;
  await canaries.learn();
  expect(before).toBeGreaterThan(20);
  expect(canaries.size).toBeGreaterThan(before);
  expect(await canaries.search()).toEqual([]);
});
