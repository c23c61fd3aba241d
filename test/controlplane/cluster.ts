import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { importPKCS8, SignJWT } from 'jose';
import { findClients, type InvokeOptions, invoke, type Output } from './clients.ts';

/** The TokenRequest API makes no token shorter than this. */
const SHORTEST_REQUEST = 600;

/** How to reach a cluster. */
export interface Connection {
  /** Path of an admin kubeconfig. */
  readonly kubeconfig: string;
  /** `https://host:port` */
  readonly server: string;
  readonly caPem: string;
  /** A folder for caches of kubectl and Helm. */
  readonly scratch: string;
  /** Path of the ServiceAccount signing key, where the cluster is ours. */
  readonly serviceAccountKey?: string;
}

interface TokenOptions {
  /** Lifetime; below 600 only where the cluster is ours. Default 3600. */
  readonly seconds?: number;
  /** Default: the API server's own. */
  readonly audiences?: readonly string[];
}

/** A cluster as a user and as a kubelet see it. */
export interface Cluster extends Connection {
  /** @throws CommandError with what kubectl wrote to standard error. */
  kubectl(args: readonly string[], options?: InvokeOptions): Promise<Output>;
  /** @throws CommandError with what Helm wrote to standard error. */
  helm(args: readonly string[], options?: InvokeOptions): Promise<Output>;
  /**
   * A ServiceAccount's token. The API server takes one for a minute after it has expired, so
   * `seconds: -55` makes one that stops working in 5 seconds, and -120 one that never works.
   */
  token(namespace: string, serviceAccount: string, options?: TokenOptions): Promise<string>;
  /**
   * Writes `token`, `ca.crt` and `namespace` to `dir` as a kubelet mounts them at
   * /var/run/secrets/kubernetes.io/serviceaccount: all swapped at once, behind symbolic links.
   */
  serviceAccountCredentials(
    dir: string,
    namespace: string,
    serviceAccount: string,
    options?: TokenOptions,
  ): Promise<void>;
}

/** Wraps a connection in the commands that users type. */
export async function connectCluster(connection: Connection): Promise<Cluster> {
  const clients = await findClients();
  const env = {
    ...process.env,
    KUBECONFIG: connection.kubeconfig,
    // Discovery is cached by host and port, and ours come back for other clusters.
    KUBECACHEDIR: join(connection.scratch, 'kubectl'),
    HELM_CACHE_HOME: join(connection.scratch, 'helm-cache'),
    HELM_CONFIG_HOME: join(connection.scratch, 'helm-config'),
    HELM_DATA_HOME: join(connection.scratch, 'helm-data'),
  };
  const kubectl: Cluster['kubectl'] = (args, options) =>
    invoke(clients.kubectl, args, env, options);
  const token: Cluster['token'] = (namespace, serviceAccount, options = {}) =>
    (options.seconds ?? SHORTEST_REQUEST) < SHORTEST_REQUEST
      ? mintToken(connection, kubectl, namespace, serviceAccount, options)
      : requestToken(kubectl, namespace, serviceAccount, options);
  return {
    ...connection,
    kubectl,
    helm: (args, options) => invoke(clients.helm, args, env, options),
    token,
    async serviceAccountCredentials(dir, namespace, serviceAccount, options) {
      mountAtomically(dir, {
        token: await token(namespace, serviceAccount, options),
        'ca.crt': connection.caPem,
        namespace,
      });
    },
  };
}

async function requestToken(
  kubectl: Cluster['kubectl'],
  namespace: string,
  serviceAccount: string,
  { seconds = 3_600, audiences = [] }: TokenOptions,
): Promise<string> {
  const { stdout } = await kubectl([
    ...['create', 'token', serviceAccount, '-n', namespace, `--duration=${seconds}s`],
    ...audiences.map((audience) => `--audience=${audience}`),
  ]);
  return stdout.trim();
}

/** Signs what the API server would, with its own key: the only way to a token of a few seconds. */
async function mintToken(
  connection: Connection,
  kubectl: Cluster['kubectl'],
  namespace: string,
  name: string,
  { seconds = SHORTEST_REQUEST, audiences = [SERVICE_ACCOUNT_ISSUER] }: TokenOptions,
): Promise<string> {
  if (connection.serviceAccountKey === undefined) {
    throw new Error(`a token of ${seconds} s needs a control plane of our own`);
  }
  const key = await importPKCS8(readFileSync(connection.serviceAccountKey, 'utf8'), 'ES256');
  const account = [
    'get',
    'serviceaccount',
    name,
    '-n',
    namespace,
    '-o',
    'jsonpath={.metadata.uid}',
  ];
  const { stdout: uid } = await kubectl(account);
  const now = Math.floor(Date.now() / 1_000);
  return new SignJWT({ 'kubernetes.io': { namespace, serviceaccount: { name, uid } } })
    .setProtectedHeader({ alg: 'ES256' })
    .setIssuer(SERVICE_ACCOUNT_ISSUER)
    .setSubject(`system:serviceaccount:${namespace}:${name}`)
    .setAudience([...audiences])
    .setIssuedAt(now - SHORTEST_REQUEST)
    .setNotBefore(now - SHORTEST_REQUEST)
    .setExpirationTime(now + seconds)
    .sign(key);
}

/** `iss` of every ServiceAccount token, and the API server's own audience. */
export const SERVICE_ACCOUNT_ISSUER = 'https://kubernetes.default.svc.cluster.local';

/** What the kubelet does: a new folder, one rename of the link to it, the old folder removed. */
function mountAtomically(dir: string, files: Readonly<Record<string, string>>): void {
  mkdirSync(dir, { recursive: true });
  const old = readdirSync(dir).filter((name) => /^\.\.\d/.test(name));
  const fresh = `..${new Date().toISOString().replaceAll(/[:.]/g, '_')}`;
  mkdirSync(join(dir, fresh));
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(dir, fresh, name), content, { mode: 0o600 });
  }
  symlinkSync(fresh, join(dir, '..data_tmp'));
  renameSync(join(dir, '..data_tmp'), join(dir, '..data'));
  for (const name of Object.keys(files)) {
    const link = join(dir, name);
    rmSync(`${link}.tmp`, { force: true });
    symlinkSync(join('..data', name), `${link}.tmp`);
    renameSync(`${link}.tmp`, link);
  }
  for (const name of old) rmSync(join(dir, name), { recursive: true });
}
