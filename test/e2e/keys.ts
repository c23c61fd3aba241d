import assert from 'node:assert/strict';
import { apply, get, type Life, strictNamespace } from './life.ts';
import {
  client,
  kidOf,
  SET,
  SET_MANIFEST,
  soon,
  TENANT,
  underLoad,
  verifiesEverywhere,
  workloads,
} from './workloads.ts';

interface SetStatus {
  readonly status: {
    readonly keys: readonly { readonly kid: string; readonly state: string }[];
  };
}

export async function applySet({ site, image }: Life): Promise<void> {
  await strictNamespace(site, TENANT);
  await apply(site, [SET_MANIFEST, ...workloads(image)]);
  const wait = ['wait', '-n', TENANT, '--for=condition=Ready'];
  await site.kubectl([...wait, `sks/${SET}`, '--timeout=120s']);
  await site.kubectl([...wait, 'pod', '--all', '--timeout=180s']);
}

export async function getToken(life: Life): Promise<void> {
  const { site } = life;
  await apply(site, [
    role('tokens', [
      { apiGroups: ['signet.dev'], resources: ['signingkeysets/token'], verbs: ['create'] },
    ]),
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata: { name: 'tokens', namespace: TENANT },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'tokens' },
      subjects: [{ kind: 'ServiceAccount', name: 'shop', namespace: TENANT }],
    },
  ]);
  const token = await soon(() => client.token(site));
  life.tokens.push(token);
  await verifiesEverywhere(site, [token]);
}

function role(name: string, rules: readonly object[]) {
  const metadata = { name, namespace: TENANT };
  return { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'Role', metadata, rules };
}

/** The gateway runs all the while: that it was not restarted, `revoke` looks at in the end. */
export async function rotate({ site, tokens }: Life): Promise<void> {
  const before = kidOf(tokens.at(-1) ?? '');
  await underLoad(site, async () => {
    await site.kubectl(['annotate', '-n', TENANT, 'signingkeyset', SET, 'rotate=now']);
    const token = await soon(async () => {
      const fresh = await client.token(site);
      assert.notEqual(kidOf(fresh), before);
      return fresh;
    });
    tokens.push(token);
  });
  await verifiesEverywhere(site, tokens);
}

export async function revoke(life: Life): Promise<void> {
  const { site, tokens } = life;
  await site.kubectl(['annotate', '-n', TENANT, 'signingkeyset', SET, 'revoke=previous']);
  const current = await keyIn(life, 'current');
  const revoked = tokens.filter((token) => kidOf(token) !== current);
  assert.notEqual(revoked.length, 0);
  for (const token of revoked) {
    await soon(async () => {
      assert.equal(await client.verify(site, token), 'no key for it');
      assert.equal(await client.gateway(site, token), 401);
    }, 180);
  }
  life.tokens = tokens.filter((token) => kidOf(token) === current);
  await verifiesEverywhere(site, life.tokens);
  const { status } = await get<{ status: { containerStatuses: { restartCount: number }[] } }>(
    site,
    ...['pod', 'gateway', '-n', TENANT],
  );
  assert.deepEqual(
    status.containerStatuses.map(({ restartCount }) => restartCount),
    [0],
  );
}

async function keyIn({ site }: Life, state: string): Promise<string> {
  const { status } = await get<SetStatus>(site, 'sks', SET, '-n', TENANT);
  const key = status.keys.find((each) => each.state === state);
  assert.ok(key, `no key is ${state}`);
  return key.kid;
}

export async function resume(life: Life): Promise<void> {
  const { site, tokens } = life;
  await site.kubectl(['delete', 'sks', SET, '-n', TENANT]);
  await soon(() => assert.rejects(client.token(site)));
  await verifiesEverywhere(site, tokens);
  await apply(site, [SET_MANIFEST]);
  await soon(async () => {
    const told = ['events', '-n', TENANT, '--field-selector=reason=KeysResumed'];
    const { items } = await get<{ items: object[] }>(site, ...told);
    assert.notEqual(items.length, 0);
  });
  const token = await soon(() => client.token(site));
  assert.equal(kidOf(token), kidOf(tokens.at(-1) ?? ''));
  await verifiesEverywhere(site, [...tokens, token]);
}
