import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  CHART,
  container,
  EVERYTHING,
  named,
  type Options,
  type PodSpec,
  podSpec as podOf,
  type Rendered,
  render as renderChart,
  template as templateChart,
} from '../chart/render.ts';
import { FOREIGN_CRDS, foreignCrd } from '../chart/schemas.ts';
import type { Cluster } from '../controlplane/cluster.ts';
import { makeNamespace, sharedCluster } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';

const ROOT = join(import.meta.dirname, '..', '..');

let cluster: Cluster;
let namespace: string;

beforeAll(async () => {
  cluster = await sharedCluster();
  namespace = await makeNamespace(cluster);
});

afterAll(() => cluster.kubectl(['delete', 'namespace', namespace, '--wait=false']));

const template = (options?: Options) => templateChart({ ...options, namespace });
const render = (options?: Options) => renderChart({ ...options, namespace });
const podSpec = (options?: Options) => podOf({ ...options, namespace });

/** Their files are named `<group>_<plural>.yaml`. */
function nameOf(path: string): string {
  const [group, plural] = basename(path, '.yaml').split('_');
  return `${plural}.${group}`;
}

describe('The chart is taken by the API server, every object of it,', () => {
  test('with defaults and with everything that a cluster may know', async () => {
    for (const crd of FOREIGN_CRDS) {
      await cluster.kubectl(['apply', '--server-side', '-f', await foreignCrd(crd)]);
    }
    const crds = FOREIGN_CRDS.map(({ path }) => `crd/${nameOf(path)}`);
    await cluster.kubectl(['wait', ...crds, '--for=condition=Established', '--timeout=60s']);
    // Admission looks for the account of a pod.
    await cluster.kubectl(['create', 'serviceaccount', 'signet-test', '-n', namespace]);
    const args = ['apply', '--server-side', '--force-conflicts', '--validate=strict'];
    for (const values of [[], EVERYTHING]) {
      const input = await template({ values });
      const dryRun = [...args, '--dry-run=server', '-f', '-'];
      const { stdout, stderr } = await cluster.kubectl(dryRun, { input });
      expect(stderr).toBe('');
      expect(stdout.trim().split('\n')).toHaveLength((await render({ values })).length);
    }
    const unknown = { apiVersion: 'monitoring.coreos.com/v1', kind: 'PrometheusRule' };
    const wrong = { ...unknown, metadata: { name: 'x', namespace }, spec: { gruops: [] } };
    await expect(
      cluster.kubectl([...args, '--dry-run=server', '-f', '-'], { input: JSON.stringify(wrong) }),
    ).rejects.toThrow('gruops');
    await cluster.kubectl(['delete', ...crds]);
  });
});

/** With what a table of docs/metrics.md has instead of what a reader fills in. */
const FIRST_COMMAND = /^\| `(Signet\w+)` \|.*\| `kubectl ([^`<]+)` \|/gm;

test('The first command that docs/metrics.md gives for an alert shows what it is about', async () => {
  const login = ['-n', namespace, 'signingkeysets/login'];
  const set = { apiVersion: 'signet.dev/v1alpha1', kind: 'SigningKeySet' };
  const input = JSON.stringify({ ...set, metadata: { name: 'login', namespace }, spec: {} });
  await cluster.kubectl(['create', '-f', '-'], { input });
  const conditions = ['RotationPending', 'RotationOverdue'].map((type) => ({
    ...{ type, status: 'True', reason: `Why${type}`, message: '' },
    lastTransitionTime: '2026-01-01T00:00:00Z',
  }));
  const status = JSON.stringify({ status: { conditions } });
  await cluster.kubectl(['patch', ...login, '--subresource=status', '--type=merge', '-p', status]);
  const page = readFileSync(join(ROOT, 'docs', 'metrics.md'), 'utf8');
  const printed = new Map<string, string>();
  for (const [, alert = '', command = ''] of page.matchAll(FIRST_COMMAND)) {
    const args = command.replaceAll("'", '').split(' ');
    printed.set(alert, (await cluster.kubectl(args)).stdout);
  }
  expect(printed.size).toBeGreaterThan(10);
  expect(printed.get('SignetRotationBlocked')).toMatch(/ login +WhyRotationPending/);
  expect(printed.get('SignetRotationOverdue')).toMatch(/ login +True/);
  await cluster.kubectl(['delete', ...login, '--wait=false']);
});

/** Everything that Signet may do: kind, name, groups, resources, names, verbs. */
const PERMISSIONS = [
  'Role signet-controller: "" secrets: get list watch create update delete',
  'Role signet-controller: coordination.k8s.io leases: list watch create',
  'Role signet-controller: coordination.k8s.io leases [signet-controller]: get update',
  'Role signet-controller: "" serviceaccounts/token [signet-issuer]: create',
  'ClusterRole signet-controller: signet.dev signingkeysets: get list watch patch',
  'ClusterRole signet-controller: signet.dev signingkeysets/status: update',
  'ClusterRole signet-controller: "" namespaces: list watch',
  'ClusterRole signet-controller: "" configmaps: get list watch create update delete',
  'ClusterRole signet-controller: "" events: create patch',
  'Role signet-issuer: "" secrets: list watch',
  'Role signet-issuer: coordination.k8s.io leases: get create update delete',
  'ClusterRole signet-issuer: authentication.k8s.io tokenreviews: create',
  'ClusterRole signet-issuer: authorization.k8s.io subjectaccessreviews: create',
];

const FOR_PEOPLE = [
  'ClusterRole signet-viewer: signet.dev signingkeysets: get list watch',
  'ClusterRole signet-rotator: signet.dev signingkeysets: get list watch patch',
  'ClusterRole signet-editor: signet.dev signingkeysets: get list watch create patch update delete',
  'ClusterRole signet-editor: signet.dev signingkeysets/spec signingkeysets/force: update',
  'ClusterRole signet-token-requester: signet.dev signingkeysets/token: create',
  'ClusterRole signet-claims-signer: signet.dev signingkeysets/claims: create',
];

function permissions({ kind, metadata, rules = [] }: Rendered): readonly string[] {
  return rules.map(({ apiGroups, resources, resourceNames, verbs }) => {
    const groups = apiGroups.map((group) => group || '""').join(' ');
    const names = resourceNames ? ` [${resourceNames.join(' ')}]` : '';
    return `${kind} ${metadata.name}: ${groups} ${resources.join(' ')}${names}: ${verbs.join(' ')}`;
  });
}

describe('Permissions', () => {
  const OPERATOR = ['controller', 'issuer'];
  const ofOperator = ({ metadata }: Rendered) =>
    OPERATOR.includes(metadata.labels['app.kubernetes.io/component'] ?? '');

  test('are these and no others', async () => {
    const granted = (await render()).filter(ofOperator).flatMap(permissions);
    expect(granted.toSorted()).toEqual(PERMISSIONS.toSorted());
  });

  test('for people and workloads are these, bound to nobody and aggregated to nothing', async () => {
    const objects = await render();
    const roles = objects.filter(
      ({ metadata }) => metadata.labels['app.kubernetes.io/component'] === 'user-roles',
    );
    expect(roles.flatMap(permissions).toSorted()).toEqual(FOR_PEOPLE.toSorted());
    const bound = objects.flatMap(({ roleRef }) => roleRef?.name ?? []);
    expect(bound.filter((name) => roles.some(({ metadata }) => metadata.name === name))).toEqual(
      [],
    );
    expect(await template()).not.toContain('rbac.authorization.k8s.io/aggregate-to');
  });

  test('on Secrets end at the namespace of the operator', async () => {
    const objects = await render();
    const wide = objects.filter(({ kind }) => kind === 'ClusterRole').flatMap(permissions);
    expect(wide.filter((each) => /secrets|\*/.test(each))).toEqual([]);
    const narrow = objects
      .filter(ofOperator)
      .filter(({ kind }) => kind === 'Role' || kind === 'RoleBinding');
    expect(narrow.map(({ metadata }) => metadata.namespace)).toEqual(Array(4).fill(namespace));
  });

  test('hold on a cluster, and helm uninstall takes all of it away', async () => {
    const release = namespace;
    const flags = ['-n', namespace];
    const make = ['--set', `fullnameOverride=${release}`, '--set', 'crds.enabled=false'];
    // One of the policies is about every set of this cluster, which other tests share.
    const alone = ['--set', 'admissionPolicies.enabled=false'];
    await cluster.helm(['install', release, CHART, ...flags, ...make, ...alone]);
    const may = (account: string, ...what: string[]): Promise<string> =>
      cluster
        .kubectl([
          ...['auth', 'can-i', ...what],
          `--as=system:serviceaccount:${namespace}:${release}-${account}`,
        ])
        .then(
          ({ stdout }) => stdout.trim(),
          (error: { stdout: string }) => error.stdout.trim(),
        );
    // The API server's own view of its roles lags a little.
    const allowed = (account: string, ...what: string[]) =>
      eventually(async () => expect(await may(account, ...what)).toBe('yes'));
    await allowed('controller', 'create', 'secrets', ...flags);
    expect(await may('controller', 'get', 'secrets', '-n', 'default')).toBe('no');
    await allowed('controller', 'create', 'configmaps', '-n', 'default');
    const token = ['--subresource=token', ...flags];
    await allowed('controller', 'create', `sa/${release}-issuer`, ...token);
    expect(await may('controller', 'create', 'sa/default', ...token)).toBe('no');
    await allowed('issuer', 'watch', 'secrets', ...flags);
    expect(await may('issuer', 'update', 'secrets', ...flags)).toBe('no');
    expect(await may('issuer', 'get', 'configmaps', ...flags)).toBe('no');
    await cluster.helm(['uninstall', release, ...flags, '--wait']);
    const kinds = 'all,sa,role,rolebinding,clusterrole,clusterrolebinding,pdb';
    const left = ['get', kinds, '-A'];
    const label = `app.kubernetes.io/instance=${release}`;
    // Pods go once the collector has seen that their Deployment is gone.
    await eventually(async () => {
      expect((await cluster.kubectl([...left, '-l', label, '-o', 'name'])).stdout).toBe('');
    });
  });
});

describe('The pod', () => {
  test('gives each command only flags that it knows', async () => {
    const help = await promisify(execFile)(process.execPath, ['src/main.ts', '--help'], {
      cwd: ROOT,
    });
    const known = [...help.stdout.matchAll(/^ +(--\S+) /gm)].map(([, flag]) => flag);
    for (const { name, args } of (await podSpec()).containers) {
      const [command, ...flags] = args;
      expect(command).toBe(name);
      expect(known).toEqual(expect.arrayContaining(flags.map((flag) => flag.split('=')[0])));
    }
  });

  const CREDENTIALS = '/var/run/secrets/kubernetes.io/serviceaccount';

  test('mounts its own token into the controller, and into the issuer only what it is handed', async () => {
    const pod = await podSpec();
    expect(pod.serviceAccountName).toBe('signet-controller');
    expect(pod.automountServiceAccountToken).toBe(false);
    const shared = 'issuer-credentials';
    expect(container(pod, 'controller').volumeMounts).toEqual([
      { name: 'controller-credentials', mountPath: CREDENTIALS, readOnly: true },
      { name: shared, mountPath: '/run/signet/issuer' },
    ]);
    expect(container(pod, 'issuer').volumeMounts).toEqual([
      { name: shared, mountPath: '/run/signet/issuer', readOnly: true },
    ]);
  });

  const flag = (pod: PodSpec, name: string, wanted: string): string | undefined =>
    container(pod, name)
      .args.find((arg) => arg.startsWith(`--${wanted}=`))
      ?.slice(wanted.length + 3);

  test('serves HTTPS with a certificate that the controller hands over in memory', async () => {
    const pod = await podSpec();
    expect(flag(pod, 'issuer', 'tls-dir')).toBe(flag(pod, 'controller', 'issuer-tls-dir'));
    expect(flag(pod, 'issuer', 'credentials-dir')).toBe(
      flag(pod, 'controller', 'issuer-credentials-dir'),
    );
    const names = flag(pod, 'controller', 'issuer-dns-names')?.split(',');
    const service = `signet-issuer.${namespace}`;
    const cluster = [service, `${service}.svc`, `${service}.svc.cluster.local`];
    expect(names).toEqual(['signet-issuer', ...cluster]);
    expect(flag(pod, 'controller', 'ca-file')).toBeUndefined();
    expect(pod.volumes.find(({ name }) => name === 'issuer-credentials')?.emptyDir).toEqual({
      medium: 'Memory',
      sizeLimit: '1Mi',
    });
    expect(await template()).not.toContain('--allow-http-credentials');
  });

  test('takes a certificate from a Secret, whose key the controller does not see', async () => {
    const pod = await podSpec({ values: ['tls.secretName=tokens-tls'] });
    const keysOf = (volume: string) =>
      pod.volumes
        .find(({ name }) => name === volume)
        ?.secret?.items.map(({ key }) => key)
        .join(' ');
    const mounts = (name: string) => container(pod, name).volumeMounts.map((mount) => mount.name);
    expect(keysOf('tls')).toBe('tls.crt tls.key');
    expect(keysOf('ca')).toBe('ca.crt');
    expect(mounts('issuer')).toContain('tls');
    expect(mounts('controller')).toContain('ca');
    expect(mounts('controller')).not.toContain('tls');
    expect(flag(pod, 'issuer', 'tls-dir')).toBe('/run/signet/tls');
    expect(flag(pod, 'controller', 'ca-file')).toBe('/run/signet/ca/ca.crt');
    expect(flag(pod, 'controller', 'issuer-tls-dir')).toBeUndefined();
  });

  test('is reached on 443 by HTTPS and on 80 by plain HTTP', async () => {
    const { ports } = named(await render(), 'Service', 'signet-issuer').spec ?? {};
    expect(ports).toMatchObject([
      { name: 'https', port: 443, targetPort: 'https' },
      { name: 'http', port: 80, targetPort: 'http' },
    ]);
  });

  test('passes the Pod Security Standard "restricted", and would not with one thing less', async () => {
    const strict = await makeNamespace(cluster);
    const enforce = 'pod-security.kubernetes.io/enforce=restricted';
    await cluster.kubectl(['label', 'namespace', strict, enforce]);
    await cluster.kubectl(['create', 'serviceaccount', 'signet-controller', '-n', strict]);
    const pod = await podSpec();
    const submit = (spec: PodSpec): Promise<unknown> =>
      cluster.kubectl(['create', '--dry-run=server', '-n', strict, '-f', '-'], {
        input: JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' }, spec }),
      });
    await submit(pod);
    const lax = pod.containers.map((each) => ({ ...each, securityContext: {} }));
    await expect(submit({ ...pod, containers: lax })).rejects.toThrow(
      'violates PodSecurity "restricted:latest"',
    );
    await cluster.kubectl(['delete', 'namespace', strict, '--wait=false']);
  });
});
