import { API_VERSION, KIND, SECOND } from '../../src/api/constants.ts';
import type { SigningKeySet, SigningKeySetStatus } from '../../src/api/signingkeyset.generated.ts';
import { paths } from '../../src/controller/objects.ts';
import type { Kube } from '../../src/kube/client.ts';
import { accountsIn } from '../integration/issuer/accounts.ts';
import type { Stack } from '../stack/stack.ts';
import { eventually } from '../support/eventually.ts';
import type { Traffic } from '../support/traffic/traffic.ts';

const NAMESPACE = 'soak';
/** P and L, in seconds. */
export const P = 6;
export const L = 12;
const TOKEN_SECONDS = 24 * 3_600;

export type FleetSet = SigningKeySet & { readonly metadata: { readonly namespace: string } };

/** Makes `count` sets with a ConfigMap each, waits for all, and has tokens of all signed. */
export async function createFleet(
  { controlPlane: { kubectl } }: Stack,
  kube: Kube,
  traffic: Traffic,
  count: number,
): Promise<void> {
  await kubectl(['create', 'namespace', NAMESPACE]);
  await kubectl(['create', '-f', '-'], { input: JSON.stringify(accountsIn(NAMESPACE)) });
  const items = Array.from({ length: count }, (_, index) => manifest(`set-${index}`));
  const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
  await kubectl(['create', '-f', '-'], { input });
  const ready = async () => (await listSets(kube)).every(({ status }) => isWell(status));
  await eventually(ready, { timeout: 120 * SECOND, interval: 500 });
  for (const set of await listSets(kube)) await follow(set, kube, traffic);
}

function manifest(name: string): object {
  return {
    apiVersion: API_VERSION,
    kind: KIND,
    metadata: { namespace: NAMESPACE, name },
    spec: {
      algorithm: 'ES256',
      rotation: { propagationDelay: `${P}s` },
      tokens: { maxLifetime: `${L}s` },
      publish: { configMaps: [{ name: `${name}-keys` }] },
    },
  };
}

async function follow({ metadata, status }: FleetSet, kube: Kube, traffic: Traffic): Promise<void> {
  const { namespace, name } = metadata;
  const issuer = status?.issuer ?? '';
  const spec = { audiences: [issuer], expirationSeconds: TOKEN_SECONDS };
  const { body } = await kube.request('POST', paths.token(namespace, 'authority'), {
    body: { spec },
  });
  const { status: answer } = body as { readonly status: { readonly token: string } };
  const configMap = `${name}-keys`;
  traffic.follow({ namespace, name, configMap, issuer, credential: answer.token, lifetime: L });
}

export async function listSets(kube: Kube): Promise<readonly FleetSet[]> {
  const { body } = await kube.request('GET', paths.set(NAMESPACE, '').replace(/\/$/, ''));
  return (body as { readonly items: readonly FleetSet[] }).items;
}

const WELL = ['Ready=True', 'Published=True', 'ClockSkew=False'];

/** Ready, published everywhere, by clocks that agree. */
export function isWell(status: SigningKeySetStatus | undefined): boolean {
  const state = (status?.conditions ?? []).map(({ type, status }) => `${type}=${status}`);
  return WELL.every((wanted) => state.includes(wanted));
}
