import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { temporaryDirectory } from '../controlplane/supervise.ts';
import { CHART, container, EVERYTHING, helm, named, podSpec, render, template } from './render.ts';

function sets(values: readonly string[]): readonly string[] {
  return values.flatMap((value) => ['--set', value]);
}

describe('The chart', () => {
  test.each([
    ['with defaults', []],
    ['with everything', EVERYTHING],
  ] as const)('passes helm lint --strict %s', async (_, values) => {
    expect(await helm('lint', '--strict', CHART, ...sets(values))).toContain('0 chart(s) failed');
  });

  test('names what it makes after the release, or after fullnameOverride', async () => {
    const accounts = async (...args: Parameters<typeof render>) =>
      (await render(...args))
        .filter(({ kind, metadata }) => kind === 'ServiceAccount' && !metadata.annotations)
        .map(({ metadata }) => metadata.name);
    expect(await accounts({ release: 'prod' })).toEqual([
      'prod-signet-controller',
      'prod-signet-issuer',
    ]);
    expect(await accounts({ values: ['fullnameOverride=keys'] })).toEqual([
      'keys-controller',
      'keys-issuer',
    ]);
  });

  test('puts the labels of Helm, and commonLabels, on every object', async () => {
    const objects = await render({ values: [...EVERYTHING, 'commonLabels.team=identity'] });
    for (const { kind, metadata } of objects) {
      const name = kind === 'Pod' ? 'signet-test' : 'signet';
      expect({ kind, labels: metadata.labels }).toMatchObject({
        labels: {
          team: 'identity',
          'app.kubernetes.io/name': name,
          'app.kubernetes.io/instance': 'signet',
          'app.kubernetes.io/managed-by': 'Helm',
        },
      });
    }
  });

  test('keeps the CRD on uninstall unless told otherwise, and leaves it out when told so', async () => {
    const policy = async (...values: string[]) =>
      named(await render({ values }), 'CustomResourceDefinition', 'signingkeysets.signet.dev')
        .metadata.annotations?.['helm.sh/resource-policy'];
    expect(await policy()).toBe('keep');
    expect(await policy('crds.keep=false')).toBeUndefined();
    expect(await template({ values: ['crds.enabled=false'] })).not.toContain('CustomResource');
  });

  test('renders nothing that only some clusters know unless it is asked for', async () => {
    const foreign = (await render())
      .map(({ apiVersion }) => apiVersion)
      .filter((version) => /monitoring|gateway|cert-manager/.test(version));
    expect(foreign).toEqual([]);
  });

  test('tells the operator where its issuer is reached', async () => {
    const url = async (...values: string[]) =>
      container(await podSpec({ values }), 'controller').args.find((arg) =>
        arg.startsWith('--public-url='),
      );
    const host = 'signet-issuer.signet-system.svc';
    expect(await url()).toBe(`--public-url=https://${host}`);
    expect(await url('issuer.service.httpsPort=8443')).toBe(`--public-url=https://${host}:8443`);
    expect(await url('publicUrl=https://tokens.example.com/a')).toBe(
      '--public-url=https://tokens.example.com/a',
    );
  });

  test('is of one version with the package, the image and the commands that docs give', () => {
    const read = (path: string) => readFileSync(join(CHART, '..', '..', path), 'utf8');
    const { appVersion }: { appVersion: string } = parse(read('charts/signet/Chart.yaml'));
    const version = appVersion.replaceAll('.', '\\.');
    for (const [path, line] of [
      ['package.json', `"version": "${version}"`],
      ['package-lock.json', `^ {2}"version": "${version}"`],
      ['Dockerfile', `ARG VERSION=${version}\n`],
      ['CHANGELOG.md', `## \\[Unreleased\\] - ${version}\n|## \\[${version}\\]`],
      ['README.md', `docker push \\S+:${version}\n`],
      ['docs/install.md', `docker push \\S+:${version}\n`],
      ['docs/upgrade.md', `docker push \\S+:${version}\n.*--set image\\.tag=${version} `],
    ] as const) {
      expect(read(path), path).toMatch(new RegExp(line, 'm'));
    }
  });

  test('tells the issuer how many connections one address may have', async () => {
    const of = async (...values: string[]) => container(await podSpec({ values }), 'issuer').args;
    expect(await of()).toContain('--max-connections-per-address=1024');
    const given = await of('issuer.maxConnectionsPerAddress=2000000');
    expect(given).toContain('--max-connections-per-address=2000000');
  });

  test('takes an image by tag or by digest, and refuses both: an upgrade by tag would run the old one', async () => {
    const tag = 'image.tag=v9';
    const digest = `sha256:${'0'.repeat(64)}`;
    const image = async (repository: string, ...values: string[]) => {
      const given = [`image.repository=${repository}`, ...values];
      return container(await podSpec({ values: given }), 'issuer').image;
    };
    expect(await image('localhost:5000/keys', tag)).toBe('localhost:5000/keys:v9');
    expect(await image('keys/signet', `image.digest=${digest}`)).toBe(`keys/signet@${digest}`);
    await expect(image('keys/signet', tag, `image.digest=${digest}`)).rejects.toMatchObject({
      stderr: expect.stringContaining(
        'image.tag v9 and image.digest are both set, and the digest alone says which image runs: type image.digest= (nothing) for the tag',
      ),
    });
  });

  test('says in its notes how to remove all of it, and nothing that is of others too', async () => {
    const notes = async (...values: string[]) =>
      (
        await helm('install', 'signet', CHART, '-n', 'ours', '--dry-run=client', ...sets(values))
      ).split('NOTES:')[1] ?? '';
    const commands = (text: string) => text.match(/(?<=^ {2}kubectl )(-n \w+ )?delete .+$/gm);
    const ours = [
      '-n ours delete lease signet-controller',
      '-n ours delete secret signet-ca',
      '-n ours delete secret --field-selector type=signet.dev/signing-keys',
    ];
    expect(commands(await notes())).toEqual([
      'delete crd signingkeysets.signet.dev',
      'delete configmaps -A -l app.kubernetes.io/managed-by=signet',
      ...ours,
    ]);
    expect(commands(await notes('crds.enabled=false'))).toEqual(ours);
    expect(commands(await notes('crds.enabled=false', 'watchNamespaces={shop}'))).toEqual([
      '-n shop delete configmaps -l app.kubernetes.io/managed-by=signet',
      ...ours,
    ]);
  });

  test('says in its notes where nodes look for an image without a registry, and what to type', async () => {
    const notes = (...values: string[]) =>
      helm('install', 'signet', CHART, '-n', 'ours', '--dry-run=client', ...sets(values));
    expect(await notes()).toMatch(
      /docker.io\/library\/signet:.*is not published[\s\S]*--set image.re/,
    );
    expect(await notes('image.repository=registry.example.com/signet')).not.toContain('docker.io');
  });

  test('is a subchart of whoever wants it to be', async () => {
    const parent = temporaryDirectory('signet-parent-');
    const dependencies = [{ name: 'signet', version: '*', condition: 'signet.enabled' }];
    const chart = { apiVersion: 'v2', name: 'parent', version: '1.0.0', dependencies };
    mkdirSync(join(parent.path, 'charts'));
    writeFileSync(join(parent.path, 'Chart.yaml'), JSON.stringify(chart));
    cpSync(CHART, join(parent.path, 'charts', 'signet'), { recursive: true });
    const enabled = (value: boolean) =>
      helm('template', 'all', parent.path, ...sets([`signet.enabled=${value}`, 'global.a=b']));
    expect(await enabled(true)).toContain('name: all-signet-controller');
    expect(await enabled(false)).not.toContain('signet');
    parent.remove();
  });

  test('makes two replicas that nodes may be drained under, apart where that can be done', async () => {
    const objects = await render();
    expect(named(objects, 'Deployment', 'signet').spec).toMatchObject({
      replicas: 2,
      strategy: { rollingUpdate: { maxUnavailable: 0 } },
      template: {
        spec: {
          topologySpreadConstraints: ['kubernetes.io/hostname', 'topology.kubernetes.io/zone'].map(
            (topologyKey) => ({ topologyKey, whenUnsatisfiable: 'ScheduleAnyway' }),
          ),
        },
      },
    });
    expect(named(objects, 'PodDisruptionBudget', 'signet').spec).toMatchObject({
      maxUnavailable: 1,
    });
  });

  test('restarts a container for a loop that is stuck, and for nothing that it waits for', async () => {
    for (const { name, ...probes } of (await podSpec()).containers) {
      const paths = ['startupProbe', 'livenessProbe', 'readinessProbe'].map((probe) => [
        probe,
        expect.objectContaining({
          httpGet: expect.objectContaining({
            path: probe === 'readinessProbe' ? '/readyz' : '/healthz',
          }),
        }),
      ]);
      expect({ name, ...probes }).toMatchObject(Object.fromEntries(paths));
    }
  });

  test('gives extraEnv to both containers, beside what the chart sets', async () => {
    const pod = await podSpec({ values: ['extraEnv[0].name=TZ', 'extraEnv[0].value=UTC'] });
    const names = pod.containers.map(({ env = [] }) => env.map(({ name }) => name));
    expect(names).toEqual([['TZ'], ['POD_NAME', 'POD_UID', 'TZ']]);
  });

  test('routes the host of publicUrl, and those given, to the issuer’s HTTPS', async () => {
    const objects = await render({ values: EVERYTHING });
    const hosts = ['tokens.example.com', 'login.example.com'];
    expect(named(objects, 'HTTPRoute', 'signet-issuer').spec).toMatchObject({ hostnames: hosts });
    expect(named(objects, 'Ingress', 'signet-issuer').spec).toMatchObject({
      rules: hosts.map((host) => ({ host })),
    });
    expect(named(objects, 'Certificate', 'signet-issuer').spec).toMatchObject({
      secretName: 'signet-issuer-tls',
      dnsNames: expect.arrayContaining(['tokens.example.com', 'signet-issuer.signet-system.svc']),
    });
  });

  const policy = async (...values: string[]) => {
    const apiServer = 'networkPolicy.apiServerTo[0].ipBlock.cidr=10.96.0.1/32';
    const objects = await render({ values: ['networkPolicy.enabled=true', apiServer, ...values] });
    return named(objects, 'NetworkPolicy', 'signet').spec;
  };
  const EVERYBODY = [
    { namespaceSelector: {} },
    { ipBlock: { cidr: '0.0.0.0/0' } },
    { ipBlock: { cidr: '::/0' } },
  ];
  const TESTER = {
    'app.kubernetes.io/name': 'signet-test',
    'app.kubernetes.io/instance': 'signet',
  };

  test('lets everybody to the JWKS, and the pod to the API server and DNS only, where a NetworkPolicy is asked for', async () => {
    expect(await policy()).toMatchObject({
      policyTypes: ['Ingress', 'Egress'],
      ingress: [
        {
          ports: [{ port: 'ctl-metrics' }, { port: 'iss-metrics' }],
          from: [{ namespaceSelector: { matchLabels: expect.anything() } }],
        },
        { ports: [{ port: 'http' }], from: EVERYBODY },
        { ports: [{ port: 'https' }], from: EVERYBODY },
        { ports: [{ port: 'https' }], from: [{ podSelector: { matchLabels: TESTER } }] },
      ],
      egress: [
        { ports: [{ port: 443 }, { port: 6443 }], to: [{ ipBlock: { cidr: '10.96.0.1/32' } }] },
        {
          ports: [
            { port: 53, protocol: 'UDP' },
            { port: 53, protocol: 'TCP' },
          ],
          to: [{ podSelector: { matchLabels: { 'k8s-app': 'kube-dns' } } }],
        },
      ],
    });
  });

  test('reads each empty list of a NetworkPolicy as nobody', async () => {
    const lists = ['httpsFrom', 'publicFrom', 'metricsFrom', 'dnsTo'];
    const spec = await policy(...lists.map((name) => `networkPolicy.${name}=null`));
    expect(spec?.['ingress']).toEqual([
      { ports: [{ port: 'https' }], from: [{ podSelector: { matchLabels: TESTER } }] },
    ]);
    expect(spec?.['egress']).toHaveLength(1);
    const elsewhere = await policy('networkPolicy.dnsPorts={5353}');
    expect(JSON.stringify(elsewhere?.['egress'])).toContain('5353');
  });

  test('tries a release with a pod that nothing takes for one of the operator', async () => {
    const objects = await render({ values: ['watchNamespaces={identity}'] });
    const pod = named(objects, 'Pod', 'signet-test');
    for (const [kind, name] of [
      ['Deployment', 'signet'],
      ['Service', 'signet-issuer'],
      ['PodDisruptionBudget', 'signet'],
    ] as const) {
      const selector = named(objects, kind, name).spec?.['selector'] as {
        readonly matchLabels?: Readonly<Record<string, string>>;
      };
      const wanted = Object.entries(selector.matchLabels ?? selector);
      expect(wanted).not.toEqual([]);
      expect(wanted.every(([key, value]) => pod.metadata.labels[key] === value)).toBe(false);
    }
    // Where imagePullSecrets are; the set is where the operator looks.
    expect(pod.metadata.namespace).toBe('signet-system');
    expect(named(objects, 'SigningKeySet', 'signet-test').metadata.namespace).toBe('identity');
  });

  test('lets podLabels go before commonLabels, and writes no key twice', async () => {
    const values = ['commonLabels.team=a', 'podLabels.team=b', 'serviceMonitor.labels.team=c'];
    const objects = await render({ values: [...EVERYTHING, ...values] });
    expect(named(objects, 'Deployment', 'signet').spec).toMatchObject({
      template: { metadata: { labels: { team: 'b', 'app.kubernetes.io/name': 'signet' } } },
    });
    expect(named(objects, 'ServiceMonitor', 'signet').metadata.labels['team']).toBe('c');
  });

  test('takes what clusters ask of a Service, an account and a scrape', async () => {
    const objects = await render({
      values: [
        'nameOverride=keys',
        'serviceAccount.annotations.role=arn',
        'serviceMonitor.enabled=true',
        'serviceMonitor.interval=1m30s',
        'issuer.service.type=LoadBalancer',
        'issuer.service.httpPort=0',
        'issuer.service.loadBalancerClass=internal',
        'issuer.service.loadBalancerIP=192.0.2.1',
        'issuer.service.loadBalancerSourceRanges={192.0.2.0/24}',
        'issuer.service.externalTrafficPolicy=Local',
      ],
    });
    expect(named(objects, 'Service', 'signet-keys-issuer').spec).toEqual({
      type: 'LoadBalancer',
      loadBalancerClass: 'internal',
      loadBalancerIP: '192.0.2.1',
      loadBalancerSourceRanges: ['192.0.2.0/24'],
      externalTrafficPolicy: 'Local',
      selector: { 'app.kubernetes.io/name': 'keys', 'app.kubernetes.io/instance': 'signet' },
      ports: [{ name: 'https', port: 443, targetPort: 'https', appProtocol: 'https' }],
    });
    expect(named(objects, 'ServiceAccount', 'signet-keys-controller').metadata.annotations).toEqual(
      { role: 'arn' },
    );
    expect(named(objects, 'ServiceMonitor', 'signet-keys').spec).toMatchObject({
      endpoints: [{ interval: '1m30s' }, { interval: '1m30s' }],
    });
  });

  test('keeps to the namespaces given: Roles there, and no ClusterRole that writes', async () => {
    const objects = await render({ values: ['watchNamespaces={identity,shop}'] });
    const roles = objects.filter(
      ({ kind, metadata }) => kind === 'Role' && metadata.name.endsWith('-sets'),
    );
    expect(roles.map(({ metadata }) => metadata.namespace)).toEqual(['identity', 'shop']);
    const { rules } = named(objects, 'ClusterRole', 'signet-controller');
    expect(rules).toEqual([
      { apiGroups: [''], resources: ['namespaces'], verbs: ['list', 'watch'] },
    ]);
    expect(
      container(await podSpec({ values: ['watchNamespaces={identity,shop}'] }), 'controller').args,
    ).toContain('--watch-namespaces=identity,shop');
  });
});

const NOT_A_DURATION = 'is not a duration: type a number with a unit, such as 5m or 1h30m';

describe('A wrong value is refused:', () => {
  test.each([
    ['replica=2', "at '': additional properties 'replica' not allowed"],
    ['issuer.service.prot=80', "at '/issuer/service': additional properties 'prot' not allowed"],
    ['replicas=0', "at '/replicas': minimum: got 0, want 1"],
    ['logLevel=loud', "at '/logLevel': value must be one of 'debug', 'info'"],
    ['replicas=two', "at '/replicas': got string, want integer"],
    ['clockSkew=null', "at '': missing property 'clockSkew'"],
    ['clockSkew=5 minutes', `clockSkew "5 minutes" ${NOT_A_DURATION}`],
    ['maxStaleness=soon', `maxStaleness "soon" ${NOT_A_DURATION}`],
    ['drainDelay=soon', `drainDelay "soon" ${NOT_A_DURATION}`],
    ['tls.secretname=x', "at '/tls': additional properties 'secretname' not allowed"],
    ['clockSkew=5', 'clockSkew 5 has no unit: type 5s for seconds, 5m for minutes or 5h for hours'],
    ['clockSkew=0s', 'clockSkew 0s is no time at all: type a longer duration, such as 5m'],
    ['maxStaleness=0', 'maxStaleness 0 is no time at all'],
    ['tls.secretName=A_B', 'tls.secretName "A_B" is not the name of a Secret: type lower case'],
    ['watchNamespaces={a,B}', 'watchNamespaces[1] "B" is not the name of a namespace: type lower'],
    ['fullnameOverride=Foo', 'fullnameOverride "Foo" is not a name: type lower case letters'],
    ['nameOverride=Foo', 'nameOverride "Foo" is not a name: type lower case letters'],
    [
      `image.repository=keys/signet@sha256:${'0'.repeat(64)}`,
      'is not a repository: type it without tag and digest, such as registry.example.com/signet',
    ],
    ['image.repository=keys/signet:v9', 'is not a repository: type it without tag and digest'],
    ['issuer.service.httpPort=443', 'and issuer.service.httpsPort are both 443: type another'],
    ['publicUrl=https://Tokens.example.com', 'has capitals, and clients compare an issuer byte'],
    [
      'tls.certManager.enabled=true,tls.certManager.issuerRef.name=a,tls.certManager.serviceNames=false',
      'tls.certManager has no name to certify: type publicUrl, tls.certManager.dnsNames or',
    ],
    ['podDisruptionBudget=null', "at '': missing property 'podDisruptionBudget'"],
    ['podDisruptionBudget.maxUnavailable=null', "missing property 'maxUnavailable'"],
    ['tls.certManager=null', "at '/tls': missing property 'certManager'"],
    ['issuer.service=null', "at '/issuer': missing property 'service'"],
    ['watchNamespaces=null', "at '': missing property 'watchNamespaces'"],
    ['image.digest=abc', 'image.digest "abc" is not a digest: type sha256: and 64 digits'],
    ['ingress.hosts={https://a}', 'ingress.hosts[0] "https://a" is not a host: type its name'],
    ['serviceMonitor.interval=often', 'serviceMonitor.interval "often" is not an interval: type'],
    ['commonLabels.app\\.kubernetes\\.io/name=x', 'commonLabels has app.kubernetes.io/name, which'],
    [
      'podLabels.app\\.kubernetes\\.io/instance=x',
      'podLabels has app.kubernetes.io/instance, which',
    ],
    ['networkPolicy.enabled=true', 'networkPolicy.enabled needs networkPolicy.apiServerTo, where'],
    ['podDisruptionBudget.maxUnavailable=half', 'maxUnavailable "half" is not a number of pods'],
    ['issuer.service.loadBalancerIP=192.0.2.1', 'type issuer.service.type=LoadBalancer too'],
    ['podDisruptionBudget.maxUnavailable=0', "at '/podDisruptionBudget/maxUnavailable': minimum"],
    ['networkPolicy.apiServerPorts={x}', "at '/networkPolicy/apiServerPorts/0': got string"],
    [
      'publicUrl=https://tokens.example.com/',
      'publicUrl "https://tokens.example.com/" is not the URL of an issuer: type http:// or https://, a host and a path if there is one, without query, fragment or a slash at the end, such as https://tokens.example.com',
    ],
    ['ingress.enabled=true', 'ingress.enabled needs publicUrl, whose host it is for'],
    ['httpRoute.enabled=true', 'httpRoute.enabled needs httpRoute.parentRefs'],
    ['tls.certManager.enabled=true', 'needs tls.certManager.issuerRef, who signs it'],
    ['terminationGracePeriodSeconds=10', 'terminationGracePeriodSeconds 10 is shorter than'],
  ])('%s', async (value, message) => {
    await expect(template({ values: [value] })).rejects.toMatchObject({
      stderr: expect.stringContaining(message),
    });
  });
});

test('No pattern is in the schema: its message would be a regular expression', () => {
  expect(readFileSync(join(CHART, 'values.schema.json'), 'utf8')).not.toContain('"pattern"');
});
