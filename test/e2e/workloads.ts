/** What tenants run: a client and a gateway, in a namespace that enforces `restricted`. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../support/eventually.ts';
import { OPERATOR, RELEASE } from './life.ts';
import type { Site } from './site.ts';

export const TENANT = 'identity';
export const SET = 'login';
const CONFIG_MAP = 'login-verification-keys';
const ISSUER = `https://${RELEASE}-issuer.${OPERATOR}.svc/${TENANT}/${SET}`;
const AUDIENCE = 'https://orders.example.com';
const PODS = join(import.meta.dirname, 'pods');

/** Seconds, so that a life fits into a test; P leaves room for a kubelet's refresh of a volume. */
export const SET_MANIFEST = {
  apiVersion: 'signet.dev/v1alpha1',
  kind: 'SigningKeySet',
  metadata: { name: SET, namespace: TENANT },
  spec: {
    rotation: { propagationDelay: '40s' },
    tokens: { maxLifetime: '20m' },
    revocation: { gracePeriod: '20m' },
    publish: { configMaps: [{ name: CONFIG_MAP }] },
  },
};

const SECURITY = {
  pod: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: 'RuntimeDefault' } },
  container: {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  },
};

interface Mount {
  readonly name: string;
  readonly mountPath: string;
}

function pod(name: string, image: string, program: readonly string[], options: PodOptions) {
  const { env = {}, volumes = [], account } = options;
  const mounts: readonly Mount[] = volumes.map(({ name: volume, at }) => ({
    name: volume,
    mountPath: at,
  }));
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: TENANT, labels: { app: name } },
    spec: {
      ...(account === undefined ? {} : { serviceAccountName: account }),
      automountServiceAccountToken: false,
      securityContext: SECURITY.pod,
      terminationGracePeriodSeconds: 5,
      containers: [
        {
          name,
          image,
          command: ['node', ...program],
          env: Object.entries(env).map(([key, value]) => ({ name: key, value })),
          securityContext: SECURITY.container,
          volumeMounts: [{ name: 'programs', mountPath: '/programs' }, ...mounts],
        },
      ],
      volumes: [
        { name: 'programs', configMap: { name: 'programs' } },
        ...volumes.map(({ name: volume, source }) => ({ name: volume, ...source })),
      ],
    },
  };
}

interface PodOptions {
  readonly account?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly volumes?: readonly {
    readonly name: string;
    readonly at: string;
    readonly source: object;
  }[];
}

/** @param image has Node in it. */
export function workloads(image: string): readonly object[] {
  const keys = { name: 'keys', at: '/keys', source: { configMap: { name: CONFIG_MAP } } };
  const projected = {
    sources: [{ serviceAccountToken: { path: 'token', audience: ISSUER, expirationSeconds: 600 } }],
  };
  const identity = { name: 'identity', at: '/var/run/secrets/signet', source: { projected } };
  const meta = { namespace: TENANT };
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { ...meta, name: 'shop' } },
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { ...meta, name: 'programs' },
      data: Object.fromEntries(
        ['agent.mjs', 'gateway.mjs'].map((name) => [name, readFileSync(join(PODS, name), 'utf8')]),
      ),
    },
    pod('client', image, ['/programs/agent.mjs', 'serve'], {
      account: 'shop',
      env: { ISSUER, AUDIENCE, NODE_EXTRA_CA_CERTS: '/keys/ca.crt' },
      volumes: [identity, keys],
    }),
    pod('gateway', image, ['/programs/gateway.mjs'], { volumes: [keys] }),
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { ...meta, name: 'gateway' },
      spec: { selector: { app: 'gateway' }, ports: [{ port: 8080 }] },
    },
  ];
}

/** Asks the client pod; `path` is a route of pods/agent.mjs. */
async function ask<T>({ kubectl }: Site, path: string): Promise<T> {
  const program = ['node', '/programs/agent.mjs', path];
  const { stdout } = await kubectl(['exec', '-n', TENANT, 'client', '--', ...program]);
  return JSON.parse(stdout);
}

interface LoadReport {
  readonly counts: Readonly<Record<string, number>>;
  readonly failures: readonly string[];
}

/** The client pod, by what it can be asked. */
export const client = {
  token: (site: Site) => ask<string>(site, '/token'),
  verify: (site: Site, token: string) => ask<string>(site, `/verify?token=${token}`),
  kids: (site: Site) => ask<readonly string[]>(site, '/kids'),
  /** The status with which the gateway answers a request with this token. */
  gateway: (site: Site, token: string) => ask<number>(site, `/gateway?token=${token}`),
  startLoad: (site: Site) => ask<string>(site, '/load/start'),
  loadReport: (site: Site) => ask<LoadReport>(site, '/load/report'),
  stopLoad: (site: Site) => ask<LoadReport>(site, '/load/stop'),
};

export function kidOf(token: string): string {
  const header: { kid: string } = JSON.parse(
    Buffer.from(token.split('.')[0] ?? '', 'base64url').toString(),
  );
  return header.kid;
}

/** Waits for as long as a busy node needs. */
export function soon<T>(probe: () => T | Promise<T>, seconds = 120) {
  return eventually(probe, { timeout: seconds * 1_000, interval: 500 });
}

/** JWKS and gateway take each token. */
export async function verifiesEverywhere(site: Site, tokens: readonly string[]): Promise<void> {
  for (const token of tokens) {
    await soon(async () => {
      assert.equal(await client.verify(site, token), 'verifies');
      assert.equal(await client.gateway(site, token), 200);
    });
  }
}

/** Of each kind: with fewer, that none failed says little. */
const FEWEST_REQUESTS = 20;
/** As many as pods/agent.mjs knows. */
const KINDS_OF_REQUESTS = 5;

interface Tolerance {
  /** For so many seconds after the first failure others may follow; default: none may fail. */
  readonly mayFailFor?: number;
}

/** Tokens are asked for and verified all the while, old and new. @throws AssertionError with the first failures. */
export async function underLoad(
  site: Site,
  work: () => Promise<void>,
  { mayFailFor = 0 }: Tolerance = {},
): Promise<void> {
  await client.startLoad(site);
  let report: LoadReport;
  try {
    await work();
    await soon(async () => {
      const { counts, failures } = await client.loadReport(site);
      const asked = Object.values(counts);
      assert.ok(asked.length === KINDS_OF_REQUESTS || failures.length > 0);
      assert.ok(asked.every((count) => count >= FEWEST_REQUESTS) || failures.length > 0);
    });
  } finally {
    report = await client.stopLoad(site);
  }
  const { counts, failures } = report;
  console.log(`    ${JSON.stringify(counts)}, ${failures.length} failed`);
  if (mayFailFor === 0) return assert.deepEqual(failures.slice(0, 10), []);
  const times = failures.map((failure) => Date.parse(failure.split(' ')[0] ?? ''));
  const lasted = (Math.max(...times) - Math.min(...times)) / 1_000;
  assert.ok(failures.length === 0 || lasted <= mayFailFor, failures.slice(0, 10).join('\n'));
}
