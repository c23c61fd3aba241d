import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { render } from '../chart/render.ts';
import type { Cluster } from '../controlplane/cluster.ts';
import { makeNamespace, sharedCluster } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';

let cluster: Cluster;
/** Where the operator is, and the tenant: policies of this release are about no other. */
let namespace: string;
let namespaceUid: string;

const PEOPLE = ['viewer', 'rotator', 'editor'] as const;

beforeAll(async () => {
  cluster = await sharedCluster();
  namespace = await makeNamespace(cluster);
  const uid = ['get', 'namespace', namespace, '-o', 'jsonpath={.metadata.uid}'];
  namespaceUid = (await cluster.kubectl(uid)).stdout;
  const values = [
    ...[`fullnameOverride=${namespace}`, 'crds.enabled=false'],
    `watchNamespaces={${namespace}}`,
  ];
  const kinds = /^(ServiceAccount|(Cluster)?Role(Binding)?|ValidatingAdmissionPolicy(Binding)?)$/;
  const objects = (await render({ release: namespace, namespace, values })).filter(
    ({ kind, metadata }) => kinds.test(kind) && !metadata.annotations?.['helm.sh/hook'],
  );
  const bindings = PEOPLE.map((role) => ({
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    metadata: { name: role, namespace },
    roleRef: {
      apiGroup: 'rbac.authorization.k8s.io',
      kind: 'ClusterRole',
      name: `${namespace}-${role}`,
    },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: role }],
  }));
  await submit('apply', [...objects, ...bindings, set()]);
  // A policy counts once the API server has seen it: until then, nothing is tried in earnest.
  const tried = (who: string, object: object, why: string) =>
    eventually(() => refused(submit('create', [object], as(who), '--dry-run=server'), why));
  const typo = {
    ...set('typo'),
    metadata: { name: 'typo', namespace, annotations: { rotate: '' } },
  };
  await tried('editor', typo, 'is not a request');
  await tried('controller', configMap('mine', {}), 'its labels');
  await tried('issuer', lease('mine'), 'signet-issuer-');
  await tried('controller', secret('Opaque'), 'its own types');
  const spec = JSON.stringify({ spec: { rotation: { suspend: true } } });
  const dryRun = ['patch', '-n', namespace, 'sks', 'login', '--type=merge', '--dry-run=server'];
  await eventually(() =>
    refused(cluster.kubectl([...dryRun, '-p', spec, as('controller')]), 'writes no spec'),
  );
});

afterAll(async () => {
  const kinds = 'clusterrole,clusterrolebinding';
  const policies = 'validatingadmissionpolicy,validatingadmissionpolicybinding';
  const all = ['delete', `${kinds},${policies}`, '--ignore-not-found', '-l'];
  await cluster.kubectl([...all, `app.kubernetes.io/instance=${namespace}`]);
  await cluster.kubectl(['delete', 'namespace', namespace, '--wait=false']);
});

function set(name = 'login') {
  const spec = { rotation: { propagationDelay: '1h' } };
  return {
    apiVersion: 'signet.dev/v1alpha1',
    kind: 'SigningKeySet',
    metadata: { name, namespace },
    spec,
  };
}

function configMap(name: string, labels: Readonly<Record<string, string>>) {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace, labels } };
}

function lease(name: string) {
  return { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name, namespace } };
}

function secret(type: string) {
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'sks-x', namespace }, type };
}

/** One that is there: the garbage collector leaves what it owns alone. */
function owner(name: string) {
  return { apiVersion: 'v1', kind: 'Namespace', name, uid: namespaceUid };
}

const OURS = { 'app.kubernetes.io/managed-by': 'signet', 'signet.dev/set-uid': 'u' };

async function submit(verb: string, objects: readonly object[], ...args: readonly string[]) {
  const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects });
  await cluster.kubectl([verb, '-f', '-', ...args], { input });
}

/** Somebody with a role of ours, or one of the operator's accounts. */
function as(who: string): string {
  return PEOPLE.some((role) => role === who)
    ? `--as=${who}`
    : `--as=system:serviceaccount:${namespace}:${namespace}-${who}`;
}

const create = (who: string, object: object) => submit('create', [object], as(who));

async function annotate(who: string, ...annotations: readonly string[]): Promise<void> {
  const command = ['annotate', '-n', namespace, 'signingkeyset', 'login', '--overwrite'];
  await cluster.kubectl([...command, ...annotations, as(who)]);
}

async function patch(who: string, what: object): Promise<void> {
  const command = ['patch', '-n', namespace, 'sks', 'login', '--type=merge', '-p'];
  await cluster.kubectl([...command, JSON.stringify(what), as(who)]);
}

/** True when it was refused, and why. */
async function refused(attempt: Promise<unknown>, why: string): Promise<boolean> {
  const error = await attempt.then(
    () => new Error('it was not refused'),
    (refusal: Error) => refusal,
  );
  expect(error.message).toContain(why);
  return true;
}

describe('A typo in a request is refused in kubectl:', () => {
  test.each([
    ['rotate=nwo', 'rotate=nwo is not a request: type rotate=now, rotate=id:<text>'],
    ['signet.dev/rotate=', 'rotate= is not a request'],
    ['rotate=id:', 'rotate=id: is not a request'],
    ['revoke=last', 'revoke=last is not a request: type revoke=previous, or revoke=<kid>'],
    ['rollback=yes', 'rollback=yes is not a request: type rollback=now'],
  ])('%s', async (annotation, message) => {
    await refused(annotate('editor', annotation), message);
  });

  test.each([
    [['rotate=now', 'signet.dev/rotate=nwo'], 'rotate=nwo is not a request'],
    [['revoke=previous', 'signet.dev/revoke=last'], 'revoke=last is not a request'],
    [['rollback=now', 'signet.dev/rollback=yes'], 'rollback=yes is not a request'],
  ])('the wrong one of %o is named', async (annotations, message) => {
    await refused(annotate('editor', ...annotations), message);
  });

  test('one that was there before the policy keeps nobody from writing something else', async () => {
    // Of the controller no policy asks that.
    await patch('controller', { metadata: { annotations: { rotate: 'nwo' } } });
    await annotate('rotator', 'note=anything');
    await annotate('rotator', 'rotate-');
  });
});

describe('Whoever may rotate', () => {
  test.each(['rotate=now', 'rotate=id:2026-11', 'rollback=now', 'note=anything'])(
    'may type %s',
    async (annotation) => {
      await annotate('rotator', annotation);
      await annotate('rotator', `${annotation.split('=')[0]}-`);
    },
  );

  test.each([
    ['rotate=force', 'rotate=force needs the permission to update signingkeysets/force'],
    ['signet.dev/rotate=compromised', 'rotate=compromised needs the permission'],
    ['revoke=previous', 'revoke needs the permission to update signingkeysets/force'],
    ['signet.dev/restore=sks-x', 'signet.dev/restore needs the permission'],
    ['signet.dev/pending=forged', 'signet.dev/pending is written by Signet'],
    ['signet.dev/taken-id=x', 'signet.dev/taken-id is no request'],
    ['signet.dev/refused=x', 'signet.dev/refused is no request'],
    ['signet.dev/overdue=x', 'signet.dev/overdue is no request'],
  ])('may not type %s, and whoever may edit may', async (annotation, message) => {
    await refused(annotate('rotator', annotation), message);
    await annotate('editor', annotation);
    await annotate('rotator', `${annotation.split('=')[0]}-`);
  });

  test('may not change a spec, and whoever may edit may', async () => {
    const spec = { rotation: { suspend: true } };
    await refused(patch('rotator', { spec }), 'a change of spec needs the permission');
    await patch('editor', { spec });
    await patch('rotator', { metadata: { labels: { team: 'identity' } } });
  });

  test('is told which of two requests needs more', async () => {
    const both = annotate('rotator', 'rotate=now', 'signet.dev/rotate=force');
    await refused(both, 'rotate=force needs the permission');
  });

  test('may not have the set deleted by an owner or kept by a finalizer, and whoever may edit may', async () => {
    for (const [what, message] of [
      [{ ownerReferences: [owner(namespace)] }, 'a change of metadata.ownerReferences can delete'],
      [{ finalizers: ['example.com/kept'] }, 'a change of metadata.finalizers needs'],
    ] as const) {
      const none = { metadata: Object.fromEntries(Object.keys(what).map((key) => [key, null])) };
      await refused(patch('rotator', { metadata: what }), message);
      await patch('editor', { metadata: what });
      await refused(patch('rotator', none), message);
      await patch('rotator', { metadata: { annotations: { note: 'something else' } } });
      await patch('editor', none);
    }
  });

  test('may do nothing by the role of a viewer', async () => {
    await refused(annotate('viewer', 'rotate=now'), 'cannot patch resource "signingkeysets"');
  });
});

test.each(['foreground', 'orphan'])(
  'The garbage collector may end what it began: deletion with --cascade=%s',
  async (cascade) => {
    await submit('create', [set(cascade)]);
    const remove = ['delete', 'sks', cascade, '-n', namespace, `--cascade=${cascade}`];
    await cluster.kubectl([...remove, '--timeout=120s']);
  },
  150_000,
);

describe('The controller', () => {
  test('writes ConfigMaps that carry its labels, and no other', async () => {
    await create('controller', configMap('keys', OURS));
    await submit('create', [configMap('theirs', {})]);
    const remove = (name: string) =>
      cluster.kubectl(['delete', 'configmap', name, '-n', namespace, as('controller')]);
    const take = (name: string) => submit('replace', [configMap(name, OURS)], as('controller'));
    await refused(take('theirs'), 'changes no ConfigMap that somebody else made');
    await refused(remove('theirs'), 'changes no ConfigMap that somebody else made');
    await refused(submit('replace', [configMap('keys', {})], as('controller')), 'its labels');
    await take('keys');
    await remove('keys');
  });

  test('writes Secrets of its own types, and no other', async () => {
    await create('controller', secret('signet.dev/signing-keys'));
    await cluster.kubectl(['delete', 'secret', 'sks-x', '-n', namespace, as('controller')]);
    await submit('create', [secret('Opaque')]);
    const remove = cluster.kubectl([
      'delete',
      'secret',
      'sks-x',
      '-n',
      namespace,
      as('controller'),
    ]);
    await refused(remove, 'changes only Secrets of its own types');
  });

  test('writes annotations of a set, and neither spec nor labels, owners, finalizers', async () => {
    await patch('controller', { metadata: { annotations: { 'signet.dev/pending': '{}' } } });
    await patch('controller', { metadata: { annotations: { 'signet.dev/pending': null } } });
    const spec = { rotation: { suspend: false } };
    await refused(patch('controller', { spec }), 'the controller of Signet writes no spec');
    const labels = { team: 'ours' };
    await refused(patch('controller', { metadata: { labels } }), 'writes no labels');
    const ownerReferences = [owner(namespace)];
    await refused(patch('controller', { metadata: { ownerReferences } }), 'writes no owners');
    const finalizers = ['example.com/kept'];
    await refused(patch('controller', { metadata: { finalizers } }), 'writes no finalizers');
  });

  test('writes the Lease of its leader, and no issuer does; each issuer writes its own', async () => {
    await create('controller', lease('signet-controller'));
    await refused(create('controller', lease('signet-issuer-a')), 'only the Lease of its leader');
    await create('issuer', lease('signet-issuer-a'));
    const take = ['delete', 'lease', 'signet-controller', '-n', namespace, as('issuer')];
    await refused(cluster.kubectl(take), 'writes only Leases named signet-issuer-<pod>');
  });
});

test('The policies are free of mistakes that the API server knows of', async () => {
  const { stdout } = await cluster.kubectl([
    ...[
      'get',
      'validatingadmissionpolicies',
      '-l',
      `app.kubernetes.io/instance=${namespace}`,
      '-o',
    ],
    'jsonpath={range .items[*]}{.metadata.name}{.status.typeChecking}{"\\n"}{end}',
  ]);
  const names = ['configmaps', 'leases', 'secrets', 'signingkeysets'].map(
    (each) => `operator-${each}`,
  );
  const ours = stdout.trim().split('\n');
  expect(ours.map((line) => line.replace(/\{\}$/, '')).toSorted()).toEqual(
    [...names, 'requests'].map((name) => `${namespace}-${name}`),
  );
});
