import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import type { Cluster } from '../controlplane/cluster.ts';
import { makeNamespace, sharedCluster } from '../support/cluster.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const CHART = join(ROOT, 'charts', 'signet');

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

interface Container {
  readonly name: string;
  readonly image: string;
  readonly args: readonly string[];
  readonly securityContext: Readonly<Record<string, unknown>>;
  readonly volumeMounts: readonly {
    readonly name: string;
    readonly mountPath: string;
    readonly readOnly?: boolean;
  }[];
}

interface PodSpec {
  readonly serviceAccountName: string;
  readonly automountServiceAccountToken: boolean;
  readonly containers: readonly Container[];
  readonly volumes: readonly {
    readonly name: string;
    readonly emptyDir?: object;
    readonly secret?: { readonly items: readonly { readonly key: string }[] };
  }[];
}

/** The parts of any object that a test here looks at. */
interface Rendered {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly labels: Readonly<Record<string, string>>;
  };
  readonly rules?: readonly Rule[];
  readonly automountServiceAccountToken?: boolean;
  readonly spec?: {
    readonly template?: { readonly spec: PodSpec };
    readonly ports?: readonly object[];
  };
}

let cluster: Cluster;
let namespace: string;

beforeAll(async () => {
  cluster = await sharedCluster();
  namespace = await makeNamespace(cluster);
});

afterAll(() => cluster.kubectl(['delete', 'namespace', namespace, '--wait=false']));

interface Options {
  readonly release?: string;
  readonly values?: readonly string[];
}

async function template({ release = 'signet', values = [] }: Options = {}): Promise<string> {
  const sets = values.flatMap((value) => ['--set', value]);
  const { stdout } = await cluster.helm(['template', release, CHART, '-n', namespace, ...sets]);
  return stdout;
}

async function render(options?: Options): Promise<readonly Rendered[]> {
  return parseAllDocuments(await template(options)).map((document): Rendered => document.toJS());
}

function named(objects: readonly Rendered[], kind: string, name: string): Rendered {
  const found = objects.find((each) => each.kind === kind && each.metadata.name === name);
  if (found === undefined) throw new Error(`no ${kind} ${name} was rendered`);
  return found;
}

async function podSpec(options?: Options): Promise<PodSpec> {
  const spec = named(await render(options), 'Deployment', 'signet').spec?.template?.spec;
  if (spec === undefined) throw new Error('the Deployment has no pod');
  return spec;
}

function container(pod: PodSpec, name: string): Container {
  const found = pod.containers.find((each) => each.name === name);
  if (found === undefined) throw new Error(`the pod has no container ${name}`);
  return found;
}

describe('The chart', () => {
  test('passes helm lint --strict', async () => {
    const { stdout } = await cluster.helm(['lint', '--strict', CHART]);
    expect(stdout).toContain('0 chart(s) failed');
  });

  test('is taken by the API server, every object of it', async () => {
    const input = await template();
    const args = ['apply', '--server-side', '--force-conflicts', '--dry-run=server', '-f', '-'];
    const { stdout, stderr } = await cluster.kubectl(args, { input });
    expect(stderr).toBe('');
    expect(stdout.trim().split('\n').toSorted()).toEqual(
      [
        'clusterrole.rbac.authorization.k8s.io/signet-controller',
        'clusterrole.rbac.authorization.k8s.io/signet-issuer',
        'clusterrolebinding.rbac.authorization.k8s.io/signet-controller',
        'clusterrolebinding.rbac.authorization.k8s.io/signet-issuer',
        'customresourcedefinition.apiextensions.k8s.io/signingkeysets.signet.dev',
        'deployment.apps/signet',
        'role.rbac.authorization.k8s.io/signet-controller',
        'role.rbac.authorization.k8s.io/signet-issuer',
        'rolebinding.rbac.authorization.k8s.io/signet-controller',
        'rolebinding.rbac.authorization.k8s.io/signet-issuer',
        'service/signet-issuer',
        'serviceaccount/signet-controller',
        'serviceaccount/signet-issuer',
      ].map((name) => `${name} serverside-applied (server dry run)`),
    );
  });

  test('names what it makes after the release, or after fullnameOverride', async () => {
    const accounts = (objects: readonly Rendered[]): readonly string[] =>
      objects.filter(({ kind }) => kind === 'ServiceAccount').map(({ metadata }) => metadata.name);
    expect(accounts(await render({ release: 'prod' }))).toEqual([
      'prod-signet-controller',
      'prod-signet-issuer',
    ]);
    expect(accounts(await render({ values: ['fullnameOverride=keys'] }))).toEqual([
      'keys-controller',
      'keys-issuer',
    ]);
  });

  test('keeps the CRD on uninstall unless told otherwise, and leaves it out when told so', async () => {
    const policy = async (...values: string[]): Promise<string | undefined> =>
      named(await render({ values }), 'CustomResourceDefinition', 'signingkeysets.signet.dev')
        .metadata.annotations?.['helm.sh/resource-policy'];
    expect(await policy()).toBe('keep');
    expect(await policy('crds.keep=false')).toBeUndefined();
    expect(await template({ values: ['crds.enabled=false'] })).not.toContain('CustomResource');
  });

  test('tells the operator where its issuer is reached', async () => {
    const url = async (...values: string[]): Promise<string | undefined> =>
      container(await podSpec({ values }), 'controller').args.find((arg) =>
        arg.startsWith('--public-url='),
      );
    const host = `signet-issuer.${namespace}.svc`;
    expect(await url()).toBe(`--public-url=https://${host}`);
    expect(await url('issuer.service.httpsPort=8443')).toBe(`--public-url=https://${host}:8443`);
    expect(await url('publicUrl=https://tokens.example.com/a')).toBe(
      '--public-url=https://tokens.example.com/a',
    );
  });

  test('takes an image by digest before one by tag', async () => {
    const digest = `sha256:${'0'.repeat(64)}`;
    const values = ['image.repository=keys/signet', 'image.tag=v9', `image.digest=${digest}`];
    expect(container(await podSpec({ values }), 'issuer').image).toBe(`keys/signet@${digest}`);
    expect(container(await podSpec({ values: values.slice(0, 2) }), 'issuer').image).toBe(
      'keys/signet:v9',
    );
  });
});

describe('A wrong value is refused:', () => {
  test.each([
    ['replica=2', "at '': additional properties 'replica' not allowed"],
    ['issuer.service.prot=80', "at '/issuer/service': additional properties 'prot' not allowed"],
    ['replicas=0', "at '/replicas': minimum: got 0, want 1"],
    ['logLevel=loud', "at '/logLevel': value must be one of 'debug', 'info'"],
    ['replicas=two', "at '/replicas': got string, want integer"],
    ['clockSkew=null', "at '': missing property 'clockSkew'"],
    [
      'clockSkew=5 minutes',
      'clockSkew "5 minutes" is not a duration: type a number with a unit, such as 5m or 1h30m',
    ],
    [
      'maxStaleness=soon',
      'maxStaleness "soon" is not a duration: type a number with a unit, such as 5m or 1h30m',
    ],
    ['tls.secretname=x', "at '/tls': additional properties 'secretname' not allowed"],
    ['tls.secretName=A_B', "at '/tls/secretName': 'A_B' does not match pattern"],
    [
      'drainDelay=soon',
      'drainDelay "soon" is not a duration: type a number with a unit, such as 5m or 1h30m',
    ],
    [
      'publicUrl=https://tokens.example.com/',
      'publicUrl "https://tokens.example.com/" is not the URL of an issuer: type http:// or https://, a host and a path if there is one, without query, fragment or a slash at the end, such as https://tokens.example.com',
    ],
  ])('%s', async (value, message) => {
    await expect(template({ values: [value] })).rejects.toMatchObject({
      stderr: expect.stringContaining(message),
    });
  });
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

function permissions({ kind, metadata, rules = [] }: Rendered): readonly string[] {
  return rules.map(({ apiGroups, resources, resourceNames, verbs }) => {
    const groups = apiGroups.map((group) => group || '""').join(' ');
    const names = resourceNames ? ` [${resourceNames.join(' ')}]` : '';
    return `${kind} ${metadata.name}: ${groups} ${resources.join(' ')}${names}: ${verbs.join(' ')}`;
  });
}

describe('Permissions', () => {
  test('are these and no others', async () => {
    const granted = (await render()).flatMap(permissions);
    expect(granted.toSorted()).toEqual(PERMISSIONS.toSorted());
  });

  test('on Secrets end at the namespace of the operator', async () => {
    const objects = await render();
    const wide = objects.filter(({ kind }) => kind === 'ClusterRole').flatMap(permissions);
    expect(wide.filter((each) => /secrets|\*/.test(each))).toEqual([]);
    const narrow = objects.filter(({ kind }) => kind === 'Role' || kind === 'RoleBinding');
    expect(narrow.map(({ metadata }) => metadata.namespace)).toEqual(Array(4).fill(namespace));
  });

  test('hold on a cluster, and helm uninstall takes all of it away', async () => {
    const release = namespace;
    const flags = ['-n', namespace];
    const make = ['--set', `fullnameOverride=${release}`, '--set', 'crds.enabled=false'];
    await cluster.helm(['install', release, CHART, ...flags, ...make]);
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
    expect(await may('controller', 'create', 'secrets', ...flags)).toBe('yes');
    expect(await may('controller', 'get', 'secrets', '-n', 'default')).toBe('no');
    expect(await may('controller', 'create', 'configmaps', '-n', 'default')).toBe('yes');
    const token = ['--subresource=token', ...flags];
    expect(await may('controller', 'create', `sa/${release}-issuer`, ...token)).toBe('yes');
    expect(await may('controller', 'create', 'sa/default', ...token)).toBe('no');
    expect(await may('issuer', 'watch', 'secrets', ...flags)).toBe('yes');
    expect(await may('issuer', 'update', 'secrets', ...flags)).toBe('no');
    expect(await may('issuer', 'get', 'configmaps', ...flags)).toBe('no');
    await cluster.helm(['uninstall', release, ...flags, '--wait']);
    const left = ['get', 'all,sa,role,rolebinding,clusterrole,clusterrolebinding', '-A'];
    const label = `app.kubernetes.io/instance=${release}`;
    expect((await cluster.kubectl([...left, '-l', label, '-o', 'name'])).stdout).toBe('');
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
