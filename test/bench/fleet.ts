/** Many sets in one namespace, and a ServiceAccount that gets tokens of them. */
import { API_VERSION, KIND } from '../../src/api/constants.ts';
import type { SigningKeySet } from '../../src/api/signingkeyset.generated.ts';
import { paths } from '../../src/controller/objects.ts';
import type { Kube } from '../../src/kube/client.ts';
import { accountsIn } from '../integration/issuer/accounts.ts';
import type { Stack } from '../stack/stack.ts';
import { eventually } from '../support/eventually.ts';

const NAMESPACE = 'bench';
const ACCOUNT = 'client';
/** Making 200 RSA keys takes some seconds a core. */
const READY_TIMEOUT = 120_000;

/** A set as its client knows it. */
export interface Member {
  /** Of the set, at the API server. */
  readonly path: string;
  readonly tokenEndpoint: string;
  /** A ServiceAccount token whose audience is the issuer. */
  readonly assertion: string;
}

/**
 * Makes `count` sets, everything at its default (RS256, 2048 bits) but the propagation delay, 0s,
 * and one ConfigMap each; waits until all are Ready.
 *
 * @param kube - an admin's.
 */
export async function createFleet(stack: Stack, kube: Kube, count: number): Promise<Member[]> {
  const { kubectl } = stack.controlPlane;
  await kubectl(['create', 'namespace', NAMESPACE]);
  await kubectl(['create', '-f', '-'], { input: JSON.stringify(accountsIn(NAMESPACE)) });
  const names = Array.from({ length: count }, (_, index) => `set-${index}`);
  const items = names.map(manifest);
  await kubectl(['create', '-f', '-'], {
    input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }),
  });
  const members: Member[] = [];
  for (const name of names) members.push(await meet(kube, name));
  return members;
}

function manifest(name: string): object {
  return {
    apiVersion: API_VERSION,
    kind: KIND,
    metadata: { namespace: NAMESPACE, name },
    spec: {
      rotation: { propagationDelay: '0s' },
      publish: { configMaps: [{ name: `${name}-verification-keys` }] },
    },
  };
}

async function meet(kube: Kube, name: string): Promise<Member> {
  const path = paths.set(NAMESPACE, name);
  const issuer = await eventually(
    async () => {
      const { conditions = [], issuer } = await readStatus(kube, path);
      const isReady = conditions.some(({ type, status }) => type === 'Ready' && status === 'True');
      return isReady && issuer !== undefined && issuer;
    },
    { timeout: READY_TIMEOUT },
  );
  const request = { spec: { audiences: [issuer], expirationSeconds: 3_600 } };
  const { body } = await kube.request('POST', paths.token(NAMESPACE, ACCOUNT), { body: request });
  const { status } = body as { readonly status: { readonly token: string } };
  return { path, tokenEndpoint: `${issuer}/oauth/token`, assertion: status.token };
}

export async function readStatus(
  kube: Kube,
  path: string,
): Promise<NonNullable<SigningKeySet['status']>> {
  const { body } = await kube.request('GET', path);
  return (body as SigningKeySet).status ?? {};
}
