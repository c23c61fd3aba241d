/** Sets to sign with, callers who may, and a thousand sets more. */
import { randomUUID } from 'node:crypto';
import {
  API_VERSION,
  GROUP,
  KIND,
  PLURAL,
  SECRET_TYPE,
  SET_NAME_LABEL,
  SET_NAMESPACE_LABEL,
  secretName,
} from '../../src/api/constants.ts';
import { paths } from '../../src/controller/objects.ts';
import { encodeKeyring } from '../../src/keys/codec.ts';
import type { Kube } from '../../src/kube/client.ts';
import type { Stack } from '../stack/stack.ts';
import { eventually } from '../support/eventually.ts';
import { aKeyring } from '../support/keyrings.ts';
import { readStatus } from './fleet.ts';
import type { Target } from './issuer-load.ts';

const NAMESPACE = 'bench';
/**
 * So many callers share the load that none comes near what one caller may ask for (limits.ts):
 * the limits are on, and are not what is measured.
 */
const CALLERS = 32;
const READY_TIMEOUT = 60_000;
const BODY = JSON.stringify({
  claims: {
    sub: 'auth0|5f7c8ec7c33c6c004bbafe82',
    email: 'jane.doe@example.com',
    email_verified: true,
    nonce: 'n-0S6_WzA2Mj',
    roles: ['reader', 'editor'],
  },
  audience: 'https://orders.example.com',
  lifetime: '15m',
});

type SetAlgorithm = 'RS256' | 'ES256';

/** What is asked of one set. */
export interface BenchSet {
  readonly sign: Target & Required<Pick<Target, 'post'>>;
  /** The same over HTTPS. */
  readonly https: Target;
  readonly jwks: Target;
}

/** By algorithm. */
export type Sets = Readonly<Record<SetAlgorithm, BenchSet>>;

/** One Ready set of each algorithm, and ServiceAccounts with `signingkeysets/claims`. */
export async function createSets(stack: Stack, kube: Kube): Promise<Sets> {
  const { kubectl } = stack.controlPlane;
  await kubectl(['create', 'namespace', NAMESPACE]);
  await kubectl(['create', '-f', '-'], { input: JSON.stringify(callers()) });
  const [RS256, ES256] = await Promise.all([
    createSet(stack, kube, 'RS256'),
    createSet(stack, kube, 'ES256'),
  ]);
  return { RS256, ES256 };
}

function callers(): object {
  const names = Array.from({ length: CALLERS }, (_, index) => `caller-${index}`);
  const metadata = { namespace: NAMESPACE, name: 'callers' };
  const rbac = 'rbac.authorization.k8s.io';
  const items = [
    ...names.map((name) => ({
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { namespace: NAMESPACE, name },
    })),
    {
      apiVersion: `${rbac}/v1`,
      kind: 'Role',
      metadata,
      rules: [{ apiGroups: [GROUP], resources: [`${PLURAL}/claims`], verbs: ['create'] }],
    },
    {
      apiVersion: `${rbac}/v1`,
      kind: 'RoleBinding',
      metadata,
      roleRef: { apiGroup: rbac, kind: 'Role', name: metadata.name },
      subjects: names.map((name) => ({ kind: 'ServiceAccount', name, namespace: NAMESPACE })),
    },
  ];
  return { apiVersion: 'v1', kind: 'List', items };
}

async function createSet(
  { plainUrl }: Stack,
  kube: Kube,
  algorithm: SetAlgorithm,
): Promise<BenchSet> {
  const name = algorithm.toLowerCase();
  const path = paths.set(NAMESPACE, name);
  await kube.request('POST', path.slice(0, path.lastIndexOf('/')), {
    body: {
      apiVersion: API_VERSION,
      kind: KIND,
      metadata: { namespace: NAMESPACE, name },
      spec: { algorithm },
    },
  });
  const issuer = await eventually(
    async () => {
      const { conditions = [], issuer: url } = await readStatus(kube, path);
      const isReady = conditions.some(({ type, status }) => type === 'Ready' && status === 'True');
      return isReady && url !== undefined && url;
    },
    { timeout: READY_TIMEOUT },
  );
  const tokens = await Promise.all(
    Array.from({ length: CALLERS }, (_, index) => tokenOf(kube, `caller-${index}`, issuer)),
  );
  const plain = `${plainUrl}/${NAMESPACE}/${name}`;
  const post = { body: BODY, tokens };
  return {
    sign: { url: `${plain}/sign`, post },
    https: { url: `${issuer}/sign`, post },
    jwks: { url: `${plain}/.well-known/jwks.json` },
  };
}

async function tokenOf(kube: Kube, account: string, audience: string): Promise<string> {
  const { body } = await kube.request('POST', paths.token(NAMESPACE, account), {
    body: { spec: { audiences: [audience], expirationSeconds: 3_600 } },
  });
  return (body as { readonly status: { readonly token: string } }).status.token;
}

/** Asks once, like a client that knows nothing of benchmarks. @returns the status. */
export async function signOnce({ sign: { url, post } }: BenchSet): Promise<number> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${post.tokens[0]}` },
    body: post.body,
  });
  await response.arrayBuffer();
  return response.status;
}

/**
 * Stores `count` sets as the controller would have, RS256 with a current, a next and a previous
 * key. They share a few keys, which the issuer cannot know. Without the controller, which would
 * end what is not its own.
 */
export async function storeSecrets(kube: Kube, namespace: string, count: number): Promise<void> {
  const rings = Array.from({ length: count }, (_, index) => index);
  const store = async (index: number): Promise<void> => {
    const name = `set-${index}`;
    const owner = { namespace: 'crowd', name, uid: randomUUID(), namespaceUid: randomUUID() };
    const ring = await aKeyring()
      .algorithm('RS256')
      .previous(1)
      .keysFrom(3 * (index % 4))
      .with({ owner, issuer: `https://${name}.example.com/` })
      .build();
    const body = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: {
        namespace,
        name: secretName(owner.uid),
        labels: { [SET_NAMESPACE_LABEL]: owner.namespace, [SET_NAME_LABEL]: name },
      },
      type: SECRET_TYPE,
      stringData: encodeKeyring(ring),
    };
    await kube.request('POST', paths.secrets(namespace), { body });
  };
  for (const index of rings) await store(index);
}
