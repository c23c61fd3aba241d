/**
 * The whole of Signet from source, on a control plane: CRD and RBAC from the chart, controller and
 * issuer as processes of their own with the chart's ServiceAccounts and nothing more.
 *
 *   const stack = await startStack();
 *   stack.cluster.kubectl([...]);  stack.issuerUrl;  stack.controller.metricsUrl;
 *   await stack.controller.kill();  await stack.controller.restart();
 *   await stack.stop();
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Component, component, withFreePorts } from '../controlplane/component.ts';
import { type ControlPlane, startControlPlane } from '../controlplane/controlplane.ts';
import { freePort } from '../controlplane/port.ts';
import { trust } from '../support/trust.ts';
import { installPermissions, NAMESPACE, SERVICE_ACCOUNTS } from './permissions.ts';

const ROOT = join(import.meta.dirname, '..', '..');
/** Instead of TLS. */
const PLAIN = '--allow-http-credentials';
/** The kubelet renews a token at 80 % of its life. */
const TOKEN_SECONDS = 3_600;
const RENEW_EVERY = TOKEN_SECONDS * 800;
const RETRY_AFTER = 5_000;
const GRACEFUL_STOP = 5_000;

export interface StackOptions {
  /** Used, and not stopped in the end; default: one of its own. */
  readonly controlPlane?: ControlPlane;
  /** HTTPS with a certificate from the controller's own CA; default true. Else all on plain HTTP. */
  readonly tls?: boolean;
  /** Whether plain HTTP has everything too, where there is HTTPS; default false. */
  readonly plainCredentials?: boolean;
  /** Whether this process trusts that CA from then on; default true. */
  readonly trust?: boolean;
  /** Default `https://<address of the issuer>`. */
  readonly publicUrl?: string;
  /** S; default 1s. */
  readonly clockSkew?: string;
  /** R; default 2s. */
  readonly maxStaleness?: string;
  /** The program; default: `src/main.ts`, as it is. */
  readonly main?: string;
  /** Whose sets are seen to; they have to be there already. Default: all. */
  readonly watchNamespaces?: readonly string[];
  /** Given to both, such as `--log-level=debug`. */
  readonly args?: readonly string[];
  /** Where a process finds the API server, such as a proxy; default: the API server itself. */
  readonly servers?: ByRole<string>;
  /** Added to the environment of a process. */
  readonly env?: ByRole<Readonly<Record<string, string>>>;
  /** Where `controller.log` and `issuer.log` go; default: the control plane's folder. */
  readonly logDirectory?: string;
}

/** Something for each of the two. */
interface ByRole<T> {
  readonly controller?: T;
  readonly issuer?: T;
}

export interface StackProcess extends Component {
  /** `http://127.0.0.1:<port>/metrics` */
  readonly metricsUrl: string;
}

/** An issuer of its own; `restart()` starts it, and it is to be ended by who asked for it. */
export interface Replica extends StackProcess {
  /** Where `/<namespace>/<name>` answers: HTTPS, unless the stack has none. */
  readonly url: string;
  /** The same on plain HTTP, with public documents only where there is HTTPS. */
  readonly plainUrl: string;
}

/** What may be different for one process. */
interface Surroundings {
  /** Where it finds the API server. */
  readonly server?: string;
  readonly env?: Readonly<Record<string, string>>;
}

export interface Stack {
  readonly controlPlane: ControlPlane;
  /** Where `/<namespace>/<name>` answers. */
  readonly issuerUrl: string;
  /** The same on plain HTTP, with public documents only. */
  readonly plainUrl: string;
  /** What clients of `issuerUrl` are to trust, PEM; absent on plain HTTP. */
  readonly caFile?: string;
  /** The operator's own namespace. */
  readonly namespace: string;
  readonly controller: StackProcess;
  readonly issuer: Replica;
  /** Another issuer beside the first. @param flags win over those of the first. */
  replica(name: string, flags: readonly string[], place?: Surroundings): Promise<Replica>;
  /** Another controller beside the first; `restart()` starts it. */
  secondController(name: string, place?: Surroundings): Promise<StackProcess>;
  stop(): Promise<void>;
}

/**
 * Starts everything and waits until controller and issuer are ready.
 *
 * @throws StartError with the end of the log of what failed.
 */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const controlPlane = options.controlPlane ?? (await startControlPlane());
  const stopControlPlane = async (): Promise<void> => {
    if (options.controlPlane === undefined) await controlPlane.stop();
  };
  try {
    await installPermissions(controlPlane, options.watchNamespaces);
    const stack = await withFreePorts(() => startProcesses(controlPlane, options));
    return {
      ...stack,
      async stop() {
        await stack.stop();
        await stopControlPlane();
      },
    };
  } catch (error) {
    await stopControlPlane();
    throw error;
  }
}

async function startProcesses(controlPlane: ControlPlane, options: StackOptions): Promise<Stack> {
  const dir = join(controlPlane.dir, 'signet');
  mkdirSync(dir, { recursive: true });
  const credentials = join(dir, 'controller');
  const issuerCredentials = join(dir, 'issuer');
  const renewal = await mountCredentials(controlPlane, credentials);
  const tls = options.tls ?? true;
  const issuerTls = join(dir, 'tls');
  const flags = [
    ...['--namespace', NAMESPACE],
    ...['--clock-skew', options.clockSkew ?? '1s'],
    ...['--max-staleness', options.maxStaleness ?? '2s'],
    ...(options.args ?? []),
  ];
  const place = {
    controlPlane,
    logDirectory: options.logDirectory ?? controlPlane.dir,
    main: options.main ?? join(ROOT, 'src', 'main.ts'),
  };
  const { servers = {}, env = {} } = options;
  const ofIssuer = surroundings(servers.issuer, env.issuer);
  const ofController = surroundings(servers.controller, env.controller);
  const replica: Stack['replica'] = async (name, more, around = ofIssuer) => {
    const address = `127.0.0.1:${await freePort()}`;
    const plainAddress = `127.0.0.1:${await freePort()}`;
    const started = await signet({ ...place, ...around }, name, [
      ...['issuer', ...flags, '--credentials-dir', issuerCredentials, '--pod-name', name],
      ...['--plain-listen-address', plainAddress, '--drain-delay', '0s'],
      ...(tls ? ['--listen-address', address, '--tls-dir', issuerTls] : []),
      ...(tls && !options.plainCredentials ? [] : [PLAIN]),
      ...more,
    ]);
    const plainUrl = `http://${plainAddress}`;
    return Object.assign(started, { url: tls ? `https://${address}` : plainUrl, plainUrl });
  };
  const issuer = await replica('issuer', []);
  const { url: issuerUrl, plainUrl } = issuer;
  const secondController: Stack['secondController'] = (name, around = ofController) =>
    signet({ ...place, ...around }, name, [
      ...['controller', ...flags],
      ...['--public-url', options.publicUrl ?? issuerUrl],
      ...['--credentials-dir', credentials],
      ...['--issuer-service-account', SERVICE_ACCOUNTS.issuer],
      ...['--issuer-credentials-dir', issuerCredentials],
      ...(tls ? ['--issuer-tls-dir', issuerTls, '--issuer-dns-names', 'localhost'] : []),
      ...['--watch-namespaces', (options.watchNamespaces ?? []).join(',')],
    ]);
  const controller = await secondController('controller');
  const processes = [controller, issuer];
  const stop = async (): Promise<void> => {
    renewal.stop();
    await Promise.all(processes.map(end));
  };
  const started = await Promise.allSettled(processes.map((process) => process.restart()));
  const failed = started.find((result) => result.status === 'rejected');
  if (failed !== undefined) {
    await stop();
    throw failed.reason;
  }
  const running = { controlPlane, issuerUrl, plainUrl, namespace: NAMESPACE, controller, issuer };
  if (!tls) return { ...running, replica, secondController, stop };
  const caFile = join(dir, 'ca.crt');
  const bundle = await readAuthority(controlPlane);
  writeFileSync(caFile, bundle);
  if (options.trust ?? true) trust(bundle);
  return { ...running, caFile, replica, secondController, stop };
}

async function readAuthority({ kubectl }: ControlPlane): Promise<string> {
  const { stdout } = await kubectl([
    ...['get', 'secret', 'signet-ca', '-n', NAMESPACE, '-o', 'jsonpath={.data.ca\\.crt}'],
  ]);
  return Buffer.from(stdout, 'base64').toString();
}

/** As a pod would be ended: SIGTERM, and SIGKILL for one that does not go. */
async function end(process: Component): Promise<void> {
  const late = setTimeout(() => void process.kill('SIGKILL'), GRACEFUL_STOP);
  process.resume();
  await process.kill('SIGTERM');
  clearTimeout(late);
}

function surroundings(server?: string, env?: Surroundings['env']): Surroundings {
  return { ...(server !== undefined && { server }), ...(env !== undefined && { env }) };
}

interface Place extends Surroundings {
  readonly controlPlane: ControlPlane;
  readonly logDirectory: string;
  readonly main: string;
}

async function signet(
  { controlPlane, logDirectory, main, server = controlPlane.server, env = {} }: Place,
  name: string,
  args: readonly string[],
): Promise<StackProcess> {
  const metrics = `127.0.0.1:${await freePort()}`;
  const { hostname, port } = new URL(server);
  const program = component({
    name: `the ${name}`,
    command: process.execPath,
    args: [main, ...args, '--metrics-address', metrics],
    env: { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port, ...env },
    logFile: join(logDirectory, `${name}.log`),
    patience: GRACEFUL_STOP,
    ready: async () => (await fetch(`http://${metrics}/readyz`)).ok,
  });
  return Object.assign(program, { metricsUrl: `http://${metrics}/metrics` });
}

/** Does for the controller what the kubelet does for a pod, until stopped. */
async function mountCredentials(
  controlPlane: ControlPlane,
  dir: string,
): Promise<{ stop(): void }> {
  const mount = (): Promise<void> =>
    controlPlane.serviceAccountCredentials(dir, NAMESPACE, SERVICE_ACCOUNTS.controller, {
      seconds: TOKEN_SECONDS,
    });
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  const renewIn = (milliseconds: number): void => {
    timer = setTimeout(async () => {
      const renewed = await mount().then(
        () => true,
        () => false,
      );
      if (!stopped) renewIn(renewed ? RENEW_EVERY : RETRY_AFTER);
    }, milliseconds);
    timer.unref();
  };
  await mount();
  renewIn(RENEW_EVERY);
  return {
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
