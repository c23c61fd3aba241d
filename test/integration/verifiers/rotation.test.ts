import { decodeProtectedHeader } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SECOND } from '../../../src/api/constants.ts';
import { type Stack, startStack } from '../../stack/stack.ts';
import { StackCanaries } from '../../support/canary.ts';
import { makeNamespace } from '../../support/cluster.ts';
import { eventually } from '../../support/eventually.ts';
import { accountsIn } from '../issuer/accounts.ts';
import { VERIFIERS } from './programs.ts';
import { Verifier } from './verifier.ts';

/** P, in seconds: jose and PyJWT ask for keys again 30 s after they last did, and not sooner. */
const P = 32;
const AUDIENCE = 'app';

let stack: Stack;
let canaries: StackCanaries;
let namespace: string;
let issuer: string;
let credential: string;
const verifiers = new Map<string, Verifier>();
/** Every token so far; none of them has expired. */
const tokens: string[] = [];

beforeAll(async () => {
  stack = await startStack();
  namespace = await makeNamespace(stack.controlPlane);
  const set = {
    apiVersion: 'signet.dev/v1alpha1',
    kind: 'SigningKeySet',
    metadata: { name: 'login', namespace },
    spec: { rotation: { propagationDelay: `${P}s` } },
  };
  await create(set);
  await create(accountsIn(namespace));
  await kubectl(['wait', 'sks/login', '--for=condition=Ready', '--timeout=60s']);
  canaries = new StackCanaries(stack);
  await canaries.learn();
  issuer = `${stack.issuerUrl}/${namespace}/login`;
  credential = await stack.controlPlane.token(namespace, 'authority', { audiences: [issuer] });
  const { caFile } = stack;
  if (caFile === undefined) throw new Error('the stack does not serve HTTPS');
  for (const [name, prepare] of Object.entries(VERIFIERS)) {
    verifiers.set(name, await Verifier.start(await prepare(), issuer, AUDIENCE, caFile));
  }
}, 300 * SECOND);
afterAll(async () => {
  for (const verifier of verifiers.values()) verifier[Symbol.dispose]();
  await stack?.stop();
});

const kubectl = (args: readonly string[]) =>
  stack.controlPlane.kubectl([...args, '--namespace', namespace]);
const create = (object: object) =>
  stack.controlPlane.kubectl(['create', '-f', '-'], { input: JSON.stringify(object) });
const rotate = () => kubectl(['annotate', 'signingkeyset', 'login', 'rotate=now']);

async function sign(audience = AUDIENCE): Promise<string> {
  const response = await fetch(`${issuer}/sign`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${credential}` },
    body: JSON.stringify({ claims: { sub: 'alice' }, audience }),
  });
  const body: { token: string } = JSON.parse(await response.text());
  expect(response.status, JSON.stringify(body)).toBe(200);
  return body.token;
}

/** What each of them says of each of the tokens. */
async function verdicts(of: readonly string[]): Promise<Record<string, string[]>> {
  const all = [...verifiers].map(async ([name, verifier]) => {
    const answers: string[] = [];
    for (const token of of) answers.push(await verifier.verify(token));
    return [name, answers] as const;
  });
  return Object.fromEntries(await Promise.all(all));
}

const everyVerifierSays = (answers: readonly unknown[]) =>
  Object.fromEntries(Object.keys(VERIFIERS).map((name) => [name, answers]));

/** The first token that `isNew` is true of, shown to every verifier at once. */
async function firstToken(isNew: (header: { kid?: string; alg?: string }) => boolean) {
  const found = await eventually(
    async () => {
      const token = await sign();
      return isNew(decodeProtectedHeader(token)) && token;
    },
    { timeout: 3 * P * SECOND, interval: 100 },
  );
  tokens.unshift(found);
  expect(await verdicts(tokens)).toEqual(everyVerifierSays(tokens.map(() => 'ok')));
}

describe('verifiers that read discovery once and never restart', () => {
  it('verify what is signed, and refuse what is for someone else or was changed', async () => {
    await firstToken(({ alg }) => alg === 'RS256');
    const [token = ''] = tokens;
    const wrong = [await sign('someone else'), `${token.slice(0, -8)}AAAAAAAA`];
    const refused = wrong.map(() => expect.stringMatching(/^error ./));
    expect(await verdicts(wrong)).toEqual(everyVerifierSays(refused));
  });

  it('verify the first token of the next key, and the old ones', async () => {
    const { kid: before } = decodeProtectedHeader(tokens[0] ?? '');
    await rotate();
    await firstToken(({ kid }) => kid !== before);
  });

  it('verify the first token of a key that came later, and has another algorithm', async () => {
    const algorithm = '{"spec":{"algorithm":"ES256"}}';
    await kubectl(['patch', 'signingkeyset', 'login', '--type=merge', '-p', algorithm]);
    await kubectl(['wait', 'sks/login', '--for=jsonpath={.status.observedGeneration}=2']);
    await rotate();
    await firstToken(({ alg }) => alg === 'ES256');
    expect(tokens).toHaveLength(3);
  });
});

it('no private key of any of these keys can be seen afterwards', async () => {
  await canaries.learn();
  expect(canaries.size).toBeGreaterThan(40);
  expect(await canaries.search()).toEqual([]);
});
