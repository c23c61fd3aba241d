/**
 * A real etcd, kube-apiserver and kube-controller-manager for demo, dev, tests and benchmarks.
 *
 *   const plane = await startControlPlane();
 *   await plane.kubectl(['apply', '-f', '-'], { input: manifest });   // {stdout, stderr}
 *   await plane.serviceAccountCredentials(dir, 'ns', 'name');          // as a kubelet mounts them
 *   await plane.components.apiserver.restart();                        // kill, pause, resume
 *   countWrites(auditEvents(plane.auditLog, { user }));                // audit.ts
 *   await plane.stop();
 *
 * It takes 3 seconds, listens on loopback only, keeps all its state in one folder, and dies with
 * the process that started it, however that ends.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { keepUses } from '../permissions/uses.ts';
import { type Binaries, findBinaries } from './binaries.ts';
import { type Cluster, connectCluster, SERVICE_ACCOUNT_ISSUER } from './cluster.ts';
import { type Component, component, withFreePorts } from './component.ts';
import { type ClusterCredentials, type KeyPairPem, makeCredentials } from './credentials.ts';
import { compact, etcdArguments, etcdIsHealthy, etcdSocket } from './etcd.ts';
import { freePort } from './port.ts';
import { temporaryDirectory } from './supervise.ts';

/** Every request is one line when it is complete (a watch also when it begins). */
const AUDIT_POLICY = {
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived'],
  rules: [{ level: 'Metadata' }],
};

export interface ControlPlaneOptions {
  /** Given to kube-apiserver after our own, such as `--service-account-max-token-expiration=1h`. */
  readonly apiserverArgs?: readonly string[];
  /** False: kube-controller-manager is not started (`components.controllerManager.restart()`). */
  readonly controllerManager?: boolean;
}

interface Etcd extends Component {
  /**
   * Forgets all history. A watch that resumes from before gets 410 once kube-apiserver, which
   * keeps recent events of its own, has been restarted too.
   */
  compact(): Promise<void>;
}

export interface ControlPlane extends Cluster {
  /** The folder with all state and the logs `<component>.log`; gone after `stop()`. */
  readonly dir: string;
  /** Path of the audit log, one JSON event a line. */
  readonly auditLog: string;
  readonly components: {
    readonly etcd: Etcd;
    readonly apiserver: Component;
    readonly controllerManager: Component;
  };
  /** Kills everything and removes the folder. */
  stop(): Promise<void>;
}

/**
 * Starts a control plane on free ports and waits until it serves.
 *
 * @throws StartError with the end of the log of the component that failed.
 */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const binaries = await findBinaries();
  return withFreePorts(() => start(binaries, options));
}

async function start(binaries: Binaries, options: ControlPlaneOptions): Promise<ControlPlane> {
  const directory = temporaryDirectory('signet-');
  const dir = directory.path;
  const [credentials, apiserverPort, controllerManagerPort] = await Promise.all([
    makeCredentials(dir),
    freePort(),
    freePort(),
  ]);
  const site: Site = { dir, credentials, apiserverPort, controllerManagerPort };
  const components = {
    etcd: makeEtcd(site, binaries),
    apiserver: makeApiserver(site, binaries, options.apiserverArgs ?? []),
    controllerManager: makeControllerManager(site, binaries),
  };
  const stop = async (): Promise<void> => {
    await Promise.all(Object.values(components).map((each) => each.kill('SIGKILL')));
    keepUses(join(dir, 'audit.log'));
    directory.remove();
  };
  try {
    await components.etcd.restart();
    await components.apiserver.restart();
    if (options.controllerManager !== false) await components.controllerManager.restart();
    const cluster = await connectCluster({
      kubeconfig: writeKubeconfig(site, 'admin', credentials.admin),
      server: serverOf(site),
      caPem: credentials.caPem,
      scratch: join(dir, 'clients'),
      serviceAccountKey: credentials.serviceAccountKeyFile,
    });
    return { ...cluster, dir, auditLog: join(dir, 'audit.log'), components, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

interface Site {
  readonly dir: string;
  readonly credentials: ClusterCredentials;
  readonly apiserverPort: number;
  readonly controllerManagerPort: number;
}

function makeEtcd({ dir }: Site, binaries: Binaries): Etcd {
  const cwd = join(dir, 'etcd');
  mkdirSync(cwd, { mode: 0o700 });
  const etcd = component({
    name: 'etcd',
    command: binaries.etcd,
    args: etcdArguments(cwd),
    logFile: join(dir, 'etcd.log'),
    cwd,
    ready: () => etcdIsHealthy(cwd),
  });
  return Object.assign(etcd, { compact: () => compact(cwd) });
}

function makeApiserver(site: Site, binaries: Binaries, extra: readonly string[]): Component {
  const { dir, credentials, apiserverPort } = site;
  const policy = join(dir, 'audit-policy.json');
  writeFileSync(policy, JSON.stringify(AUDIT_POLICY));
  return component({
    name: 'kube-apiserver',
    command: binaries['kube-apiserver'],
    args: [
      `--etcd-servers=unix://${etcdSocket(join(dir, 'etcd'))}`,
      '--bind-address=127.0.0.1',
      `--secure-port=${apiserverPort}`,
      // Nothing reaches us by the Service network, and loopback is refused as an endpoint.
      '--endpoint-reconciler-type=none',
      '--service-cluster-ip-range=10.96.0.0/24',
      `--tls-cert-file=${credentials.serverCertificateFile}`,
      `--tls-private-key-file=${credentials.serverKeyFile}`,
      `--client-ca-file=${credentials.caFile}`,
      '--authorization-mode=RBAC',
      `--service-account-issuer=${SERVICE_ACCOUNT_ISSUER}`,
      `--service-account-key-file=${credentials.serviceAccountPublicKeyFile}`,
      `--service-account-signing-key-file=${credentials.serviceAccountKeyFile}`,
      `--audit-log-path=${join(dir, 'audit.log')}`,
      `--audit-policy-file=${policy}`,
      `--cert-dir=${dir}`,
      ...extra,
    ],
    logFile: join(dir, 'kube-apiserver.log'),
    cwd: dir,
    ready: () => isOk(apiserverPort, '/readyz', credentials.caPem, credentials.admin),
  });
}

function makeControllerManager(site: Site, binaries: Binaries): Component {
  const { dir, credentials, controllerManagerPort } = site;
  const kubeconfig = writeKubeconfig(
    site,
    'kube-controller-manager',
    credentials.controllerManager,
  );
  return component({
    name: 'kube-controller-manager',
    command: binaries['kube-controller-manager'],
    args: [
      `--kubeconfig=${kubeconfig}`,
      '--bind-address=127.0.0.1',
      `--secure-port=${controllerManagerPort}`,
      `--tls-cert-file=${credentials.serverCertificateFile}`,
      `--tls-private-key-file=${credentials.serverKeyFile}`,
      '--leader-elect=false',
      '--use-service-account-credentials',
      `--service-account-private-key-file=${credentials.serviceAccountKeyFile}`,
      `--root-ca-file=${credentials.caFile}`,
    ],
    logFile: join(dir, 'kube-controller-manager.log'),
    cwd: dir,
    ready: () => isOk(controllerManagerPort, '/healthz', credentials.caPem),
  });
}

function serverOf(site: Site): string {
  return `https://127.0.0.1:${site.apiserverPort}`;
}

/** JSON is YAML. @returns the file's path. */
function writeKubeconfig(site: Site, name: string, client: KeyPairPem): string {
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const path = join(site.dir, `${name}.kubeconfig`);
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'signet',
    contexts: [{ name: 'signet', context: { cluster: 'signet', user: name } }],
    clusters: [
      {
        name: 'signet',
        cluster: {
          server: serverOf(site),
          'certificate-authority-data': base64(site.credentials.caPem),
        },
      },
    ],
    users: [
      {
        name,
        user: {
          'client-certificate-data': base64(client.certificate),
          'client-key-data': base64(client.key),
        },
      },
    ],
  };
  writeFileSync(path, JSON.stringify(config, undefined, 2), { mode: 0o600 });
  return path;
}

function isOk(port: number, path: string, ca: string, client?: KeyPairPem): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const options = {
      host: '127.0.0.1',
      port,
      path,
      ca,
      agent: false,
      timeout: 1_000,
      ...(client === undefined ? {} : { cert: client.certificate, key: client.key }),
    };
    const probe = request(options, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    probe.on('timeout', () => probe.destroy(new Error('no answer')));
    probe.on('error', reject).end();
  });
}
