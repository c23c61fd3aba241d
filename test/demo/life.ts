/** The life of a set, step by step. Each step proves what it says, or throws. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SECOND } from '../../src/api/constants.ts';
import type { SigningKeySet } from '../../src/api/signingkeyset.generated.ts';
import type { Stack } from '../stack/stack.ts';
import { eventually } from '../support/eventually.ts';
import { trust } from '../support/trust.ts';
import { CONFIG_MAP, mountConfigMap, verifyWithCertificate } from './gateway.ts';
import { expiryOf, kidOf, publishedKids, requestToken, verify } from './relying-party.ts';
import type { Story } from './story.ts';

const NAMESPACE = 'identity';
const ACCOUNT = 'shop';
const AUDIENCE = 'https://orders.example.com';

/** P: on a slow machine the second rotation is asked for in less. */
const PROPAGATION_SECONDS = 15;
/** L and G: the first token is verified for the last time in less. */
const LIFETIME_SECONDS = 20;

/** A life fits into a minute. */
const SET = `apiVersion: signet.dev/v1alpha1
kind: SigningKeySet
metadata:
  name: login
spec:
  rotation:
    propagationDelay: ${PROPAGATION_SECONDS}s
  tokens:
    maxLifetime: ${LIFETIME_SECONDS}s
  revocation:
    gracePeriod: ${LIFETIME_SECONDS}s
  publish:
    configMaps:
      - name: ${CONFIG_MAP}
`;

/** What the steps hand on to each other. */
export interface Life {
  readonly story: Story;
  readonly stack: Stack;
  issuer: string;
  firstToken: string;
  secondToken: string;
}

export interface Step {
  readonly name: string;
  readonly run: (life: Life) => Promise<void>;
}

export const STEPS: readonly Step[] = [
  { name: 'apply a set and wait for Ready', run: applySet },
  { name: 'trust its HTTPS by the ca.crt of the ConfigMap', run: trustIssuer },
  { name: 'get a token as a ServiceAccount', run: getToken },
  { name: 'verify it through discovery', run: verifyToken },
  { name: 'verify it with openssl, as a gateway does', run: verifyAtGateway },
  { name: 'rotate: the next key signs', run: rotate },
  { name: 'the old token still verifies, and another next key is published', run: nothingBroke },
  { name: 'the gateway followed', run: gatewayFollowed },
  { name: 'rotate again: deferred, because not every verifier knows that key yet', run: deferred },
  { name: 'the deferred rotation comes by itself', run: promoted },
  { name: 'the grace period ends: the old token no longer verifies', run: revoked },
  { name: 'the gateway forgot that key too', run: gatewayForgot },
];

async function applySet(life: Life): Promise<void> {
  const { story } = life;
  writeFileSync(join(story.dir, 'login.yaml'), SET);
  await story.kubectl(['create', 'namespace', NAMESPACE]);
  await story.kubectl(['config', 'set-context', '--current', `--namespace=${NAMESPACE}`]);
  await story.kubectl(['apply', '-f', 'login.yaml']);
  await story.kubectl(['wait', 'sks/login', '--for=condition=Ready', '--timeout=30s']);
  await story.kubectl(['get', 'sks']);
  life.issuer = (await statusOf(life)).issuer ?? '';
  assert.equal(life.issuer, `${life.stack.issuerUrl}/${NAMESPACE}/login`);
  story.verified(`the set is Ready; tokens will come from ${life.issuer}`);
}

async function trustIssuer({ story, issuer }: Life): Promise<void> {
  const jwks = `${issuer}/.well-known/jwks.json`;
  await assert.rejects(fetch(jwks), 'it was trusted without a reason');
  trust(
    await story.kubectl([...['get', 'configmap', CONFIG_MAP, '-o'], 'jsonpath={.data.ca\\.crt}']),
  );
  assert.equal((await fetch(jwks)).status, 200);
  story.verified(
    'a certificate from a CA of the controller, whose certificate every ConfigMap has',
  );
}

async function getToken(life: Life): Promise<void> {
  const { story } = life;
  const permission = ['--verb=create', '--resource=signingkeysets.signet.dev/token'];
  await story.kubectl(['create', 'serviceaccount', ACCOUNT]);
  await story.kubectl(['create', 'role', 'login-tokens', ...permission, '--resource-name=login']);
  await story.kubectl([
    ...['create', 'rolebinding', 'shop-login-tokens', '--role=login-tokens'],
    `--serviceaccount=${NAMESPACE}:${ACCOUNT}`,
  ]);
  life.firstToken = await freshToken(life);
  assert.equal(kidOf(life.firstToken), await kidIn(life, 'current'));
  story.verified(`signed with the current key ${short(kidOf(life.firstToken))}`);
}

async function verifyToken({ story, issuer, firstToken }: Life): Promise<void> {
  const verdict = await verify(issuer, firstToken, AUDIENCE);
  story.show(`openid-client: discover ${issuer}; jose: fetch the JWKS, verify the token`, verdict);
  assert.equal(verdict, 'verifies');
  story.verified('a library that knows nothing of Signet accepts the token');
}

async function verifyAtGateway(life: Life): Promise<void> {
  const { story, firstToken } = life;
  await mountConfigMap(story, readWith(life));
  story.show(`mount the ConfigMap ${CONFIG_MAP} at gateway/`, '');
  await verifyWithCertificate(story, firstToken, 'current.crt');
  story.verified(`current.crt in the ConfigMap ${CONFIG_MAP} verifies the token`);
}

async function rotate(life: Life): Promise<void> {
  const { story } = life;
  const next = await kidIn(life, 'next');
  await story.kubectl(['annotate', 'signingkeyset', 'login', 'rotate=now']);
  await eventually(async () => (await kidIn(life, 'current')) === next);
  await story.kubectl(['get', 'sks', 'login']);
  life.secondToken = await eventually(async () => {
    const token = await freshToken(life);
    assert.equal(kidOf(token), next);
    return token;
  });
  assert.equal(await verify(life.issuer, life.secondToken, AUDIENCE), 'verifies');
  story.verified(`${short(next)}, published since the beginning, signs now and verifies`);
}

async function nothingBroke({ story, issuer, firstToken, ...rest }: Life): Promise<void> {
  const verdict = await verify(issuer, firstToken, AUDIENCE);
  story.show('verify the token of before the rotation', verdict);
  assert.equal(verdict, 'verifies');
  const next = await kidIn({ story, issuer, firstToken, ...rest }, 'next');
  const kids = await publishedKids(issuer);
  story.show(`fetch the JWKS of ${issuer}`, kids.join('\n'));
  assert.ok(kids.includes(next), `the next key ${next} is not in the JWKS`);
  story.verified(`the next key ${short(next)} is in the JWKS, before it ever signs`);
}

async function gatewayFollowed(life: Life): Promise<void> {
  const { story, firstToken, secondToken } = life;
  await eventually(async () => {
    const names = await mountConfigMap(story, readWith(life));
    assert.ok(names.includes(`${await kidIn(life, 'next')}.crt`), 'the next key is not there yet');
  });
  await verifyWithCertificate(story, secondToken, 'current.crt');
  await verifyWithCertificate(story, firstToken, 'previous.crt');
  story.verified('current.crt verifies the new token, previous.crt the old one');
}

async function deferred(life: Life): Promise<void> {
  const { story } = life;
  const current = await kidIn(life, 'current');
  await story.kubectl(['annotate', 'signingkeyset', 'login', 'rotate=now']);
  await story.kubectl([
    ...['wait', 'sks/login', '--for=condition=RotationPending', '--timeout=10s'],
  ]);
  const message = await story.kubectl([
    ...['get', 'sks', 'login', '-o'],
    'jsonpath={.status.conditions[?(@.type=="RotationPending")].message}',
  ]);
  const status = await statusOf(life);
  assert.equal(await kidIn(life, 'current'), current, 'it rotated too early');
  assert.ok(status.promotableAt !== undefined, 'status does not say when it may sign');
  assert.ok(message.includes(status.promotableAt), `"${message}" does not say until when`);
  story.verified(`nothing changed; the next key may sign from ${status.promotableAt} on`);
}

async function promoted(life: Life): Promise<void> {
  const { story } = life;
  const next = await kidIn(life, 'next');
  story.show(`wait until ${(await statusOf(life)).promotableAt}`, '');
  await eventually(async () => (await kidIn(life, 'current')) === next, { timeout: 60_000 });
  const key = (await statusOf(life)).keys?.find(({ kid }) => kid === next);
  const { publishedAt = '', promotedAt = '' } = key ?? {};
  const known = (Date.parse(promotedAt) - Date.parse(publishedAt)) / SECOND;
  assert.ok(known >= PROPAGATION_SECONDS, `it was promoted ${known} s after it was published`);
  await story.kubectl(['get', 'sks', 'login']);
  story.verified(`${short(next)} signs since ${promotedAt}, ${known} s after it was published`);
}

async function revoked(life: Life): Promise<void> {
  const { story, issuer, firstToken } = life;
  const { revokeAt } =
    (await statusOf(life)).keys?.find(({ kid }) => kid === kidOf(firstToken)) ?? {};
  assert.ok(revokeAt !== undefined, 'status does not say until when the old key verifies');
  story.show(`wait until ${revokeAt}`, '');
  const seen = async (): Promise<boolean> =>
    (await verify(issuer, firstToken, AUDIENCE)) === 'no key for it';
  await eventually(seen, { timeout: 60_000, interval: 250 });
  // Status holds whole seconds, rounded up.
  assert.ok(Date.now() > Date.parse(revokeAt) - SECOND, `its key went before ${revokeAt}`);
  assert.ok(Date.now() >= expiryOf(firstToken), 'its key went before the token expired');
  await story.kubectl([
    'get',
    'sks',
    'login',
    '-o',
    'jsonpath={range .status.keys[*]}{.kid}{"  "}{.state}{"\\n"}{end}',
  ]);
  story.show('verify the token of before the first rotation', 'no key for it');
  const kids = await publishedKids(issuer);
  assert.ok(!kids.includes(kidOf(firstToken)), 'its key is still in the JWKS');
  story.verified(`${short(kidOf(firstToken))} is revoked, after every token that it signed`);
}

async function gatewayForgot(life: Life): Promise<void> {
  const { story, firstToken } = life;
  const forgotten = `${kidOf(firstToken)}.crt`;
  const names = await eventually(async () => {
    const found = await mountConfigMap(story, readWith(life));
    assert.ok(!found.includes(forgotten), `${forgotten} is still in the ConfigMap`);
    return found;
  });
  story.show(`list the files of the ConfigMap ${CONFIG_MAP}`, names.join('\n'));
  await verifyWithCertificate(story, await freshToken(life), 'current.crt');
  story.verified(`no file of ${short(kidOf(firstToken))} is left, and current.crt verifies`);
}

/** As a workload does it, with a short-lived token of its own. */
async function freshToken({ story, stack, issuer }: Life): Promise<string> {
  const args = ['create', 'token', ACCOUNT, `--audience=${issuer}`];
  const { stdout } = await stack.controlPlane.kubectl(args);
  story.show(`kubectl ${args.join(' ')}; POST it to ${issuer}/oauth/token`, '');
  const id = `system:serviceaccount:${NAMESPACE}:${ACCOUNT}`;
  return requestToken(issuer, { id, assertion: stdout.trim() }, AUDIENCE);
}

type Status = NonNullable<SigningKeySet['status']>;

async function statusOf(life: Life): Promise<Status> {
  const set: SigningKeySet = JSON.parse(
    await readWith(life)(['get', 'sks', 'login', '-o', 'json']),
  );
  return set.status ?? {};
}

async function kidIn(life: Life, state: 'current' | 'next'): Promise<string> {
  const key = (await statusOf(life)).keys?.find((candidate) => candidate.state === state);
  assert.ok(key, `status names no ${state} key`);
  return key.kid;
}

/** Looks without telling. */
function readWith({ stack }: Life): (args: readonly string[]) => Promise<string> {
  return async (args) => (await stack.controlPlane.kubectl(args)).stdout;
}

/** As `kubectl get sks` shows it. */
function short(kid: string): string {
  return kid.slice(0, 8);
}
