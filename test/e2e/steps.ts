/** The e2e as a user would: each step proves what it says, or throws. */
import assert from 'node:assert/strict';
import type { Site } from './site.ts';
import { client, kidOf, SET, SET_MANIFEST, soon, TENANT, workloads } from './workloads.ts';

export const OPERATOR = 'signet-system';
export const RELEASE = 'signet';
const ISSUER = `https://${RELEASE}-issuer.${OPERATOR}.svc/${TENANT}/${SET}`;

/** What the steps hand on to each other. */
export interface Life {
  readonly site: Site;
  /** `signet:<tag>` as built from this checkout. */
  readonly image: string;
  firstToken: string;
}

export interface Step {
  readonly name: string;
  readonly run: (life: Life) => Promise<void>;
}

export const STEPS: readonly Step[] = [
  { name: 'the image is built and brought to the nodes', run: bringImage },
  { name: 'helm install with defaults is ready', run: install },
  { name: 'a set is Ready', run: applySet },
  { name: 'a workload gets a token and verifies it by the DNS name of the Service', run: getToken },
  { name: 'rotate=now: the next key signs', run: rotate },
];

async function bringImage({ site, image }: Life): Promise<void> {
  await site.image(image, '.');
}

async function install({ site, image }: Life): Promise<void> {
  await strictNamespace(site, OPERATOR);
  const [repository = '', tag = ''] = image.split(':');
  await site.helm([
    ...['install', RELEASE, 'charts/signet', '-n', OPERATOR, '--wait', '--timeout', '5m'],
    ...['--set', `image.repository=${repository}`, '--set', `image.tag=${tag}`],
  ]);
}

/** A namespace whose pods must keep to the Pod Security Standard `restricted`. */
async function strictNamespace({ kubectl }: Site, name: string): Promise<void> {
  const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' };
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
  await kubectl(['apply', '-f', '-'], { input: JSON.stringify(namespace) });
}

async function apply({ kubectl }: Site, objects: readonly object[]): Promise<void> {
  const list = { apiVersion: 'v1', kind: 'List', items: objects };
  await kubectl(['apply', '-f', '-'], { input: JSON.stringify(list) });
}

async function applySet({ site, image }: Life): Promise<void> {
  await strictNamespace(site, TENANT);
  await apply(site, [SET_MANIFEST, ...workloads(image, ISSUER)]);
  await site.kubectl([
    ...['wait', '-n', TENANT, `sks/${SET}`, '--for=condition=Ready', '--timeout=120s'],
  ]);
  await site.kubectl([
    ...['wait', '-n', TENANT, 'pod', '--all', '--for=condition=Ready', '--timeout=180s'],
  ]);
}

async function getToken(life: Life): Promise<void> {
  const { site } = life;
  const grant = ['create', 'role', 'tokens', '--verb=create', '-n', TENANT];
  await site.kubectl([...grant, '--resource=signingkeysets.signet.dev/token']);
  await site.kubectl([
    ...['create', 'rolebinding', 'tokens', '-n', TENANT, '--role=tokens'],
    `--serviceaccount=${TENANT}:shop`,
  ]);
  life.firstToken = await soon(() => client.token(site));
  assert.equal(await client.verify(site, life.firstToken), 'verifies');
}

async function rotate({ site, firstToken }: Life): Promise<void> {
  await site.kubectl(['annotate', '-n', TENANT, 'signingkeyset', SET, 'rotate=now']);
  const token = await soon(async () => {
    const fresh = await client.token(site);
    assert.notEqual(kidOf(fresh), kidOf(firstToken));
    return fresh;
  });
  for (const each of [token, firstToken]) {
    assert.equal(await client.verify(site, each), 'verifies');
    assert.equal(await client.gateway(site, each), 200);
  }
}
