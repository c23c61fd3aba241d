import { availableParallelism, hostname } from 'node:os';
import { SECOND } from './api/constants.ts';
import { Controller } from './controller/controller.ts';
import { handOverIssuerCredentials } from './controller/issuer-credentials.ts';
import type { IssuerTlsOptions } from './controller/issuer-tls.ts';
import { type Flags, readCommandLine, UsageError, usage } from './flags.ts';
import { startIssuer } from './issuer/issuer.ts';
import { connectionsFor } from './issuer/limits.ts';
import type { ListenerOptions } from './issuer/listeners.ts';
import type { ReplicaIdentity } from './issuer/replica-lease.ts';
import { SIGNING_THREADS } from './keys/signing-threads.ts';
import { sleep } from './kube/backoff.ts';
import { connect, type Kube } from './kube/client.ts';
import { CredentialsError } from './kube/errors.ts';
import { startTelemetry } from './telemetry/http.ts';
import { createLog, type Log } from './telemetry/log.ts';
import { createRegistry } from './telemetry/metrics.ts';

/** What every command is given. */
interface Context {
  readonly flags: Flags;
  readonly log: Log;
  readonly signal: AbortSignal;
}

const COMMANDS: Readonly<Record<string, (context: Context) => Promise<void>>> = {
  controller: runController,
  issuer: runIssuer,
};

async function runController(context: Context): Promise<void> {
  const { flags, log, signal } = context;
  const registry = createRegistry();
  const options = {
    namespace: flags.text('namespace'),
    publicUrl: flags.url('public-url'),
    watchNamespaces: flags.list('watch-namespaces'),
    flags: protocolFlags(flags),
    issuerTls: certificateSource(flags),
    log,
    registry,
    clock: Date.now,
  };
  const state: { controller?: Controller } = {};
  const telemetry = await startTelemetry({
    listenAddress: flags.text('metrics-address'),
    registry,
    ready: { caches: () => state.controller?.ready() ?? 'no credentials yet' },
  });
  const kube = await connectWhenPossible('signet-controller', context);
  if (kube !== undefined) {
    const controller = new Controller({ kube, ...options });
    state.controller = controller;
    const issuerDir = flags.text('issuer-credentials-dir');
    const handover =
      issuerDir === ''
        ? Promise.resolve()
        : handOverIssuerCredentials({
            kube,
            namespace: options.namespace,
            serviceAccount: flags.text('issuer-service-account'),
            ownDir: flags.text('credentials-dir'),
            issuerDir,
            log,
            signal,
          });
    await Promise.all([controller.run(signal), handover]);
    kube.close();
  }
  await telemetry.close(0);
}

async function runIssuer(context: Context): Promise<void> {
  const { flags, log, signal } = context;
  const registry = createRegistry();
  const options = {
    namespace: flags.text('namespace'),
    replica: replica(flags),
    listeners: listeners(flags),
    drainDelay: flags.duration('drain-delay'),
    limits: { connections: connectionsFor(flags.count('max-connections-per-address')) },
    ...protocolFlags(flags),
    log,
    registry,
    clock: Date.now,
    signal,
  };
  const state: { ready?: () => true | string } = {};
  const telemetry = await startTelemetry({
    listenAddress: flags.text('metrics-address'),
    registry,
    ready: { keyrings: () => state.ready?.() ?? 'no credentials yet' },
  });
  const kube = await connectWhenPossible('signet-issuer', context);
  if (kube !== undefined) {
    const issuer = await startIssuer({ kube, ...options });
    state.ready = issuer.ready;
    await aborted(signal);
    await issuer.close();
    kube.close();
  }
  await telemetry.close(0);
}

/** Credentials may come a moment later: the sidecar's are handed over by the controller. */
async function connectWhenPossible(
  userAgent: string,
  { flags, log, signal }: Context,
): Promise<Kube | undefined> {
  let told = '';
  while (!signal.aborted) {
    try {
      const kubeconfig = flags.text('kubeconfig');
      const credentialsDir = flags.text('credentials-dir');
      return await connect({ userAgent, ...(kubeconfig ? { kubeconfig } : { credentialsDir }) });
    } catch (error) {
      if (!(error instanceof CredentialsError)) throw error;
      if (told !== error.message) log.warn({ err: error }, 'Waiting for credentials.');
      told = error.message;
    }
    await sleep(SECOND / 5, signal);
  }
  return undefined;
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function protocolFlags(flags: Flags): { clockSkew: number; maxStaleness: number } {
  return {
    clockSkew: flags.duration('clock-skew'),
    maxStaleness: flags.duration('max-staleness'),
  };
}

/** Outside of a pod: a name that no other process here has, and no owner. */
function replica(flags: Flags): ReplicaIdentity {
  const uid = flags.text('pod-uid');
  const host = hostname()
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-');
  const name = flags.text('pod-name') || `${host}-${process.pid}`;
  return { name, ...(uid === '' ? {} : { uid }) };
}

function certificateSource(flags: Flags): IssuerTlsOptions {
  const dir = flags.text('issuer-tls-dir');
  const caFile = flags.text('ca-file');
  if (dir !== '' && caFile !== '') {
    throw new UsageError(
      '--issuer-tls-dir and --ca-file exclude each other: give the first for a certificate from our own CA, the second for one of yours',
    );
  }
  if (dir !== '') return { handover: { dir, names: flags.list('issuer-dns-names') } };
  return caFile === '' ? {} : { caFile };
}

function listeners(flags: Flags): ListenerOptions {
  const credentials = flags.isOn('allow-http-credentials');
  const certificateDir = flags.text('tls-dir');
  if (certificateDir === '' && !credentials) {
    throw new UsageError(
      '--tls-dir is missing: give the folder with tls.crt and tls.key, or, behind a mesh that encrypts, --allow-http-credentials',
    );
  }
  const plain = { address: flags.text('plain-listen-address'), credentials };
  const address = flags.text('listen-address');
  return certificateDir === '' ? { plain } : { plain, https: { address, certificateDir } };
}

/** The controller makes keys on the pool, while other work waits for hardly anything. */
const GENERATING_THREADS = Math.max(2, availableParallelism());

async function main(): Promise<void> {
  const { command: name, help, flags } = readCommandLine(process.argv.slice(2));
  // Read when the thread pool is first used, which nothing has done yet.
  process.env['UV_THREADPOOL_SIZE'] ??= String(
    name === 'issuer' ? SIGNING_THREADS : GENERATING_THREADS,
  );
  const command = COMMANDS[name];
  const commands = Object.keys(COMMANDS);
  if (help) return void process.stdout.write(usage(commands));
  if (command === undefined) throw new UsageError(`"${name}" is not a command\n${usage(commands)}`);
  const log = createLog({ component: name, level: flags.logLevel() });
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort());
  await command({ flags, log, signal: stop.signal });
}

try {
  await main();
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`signet: ${error.message}\n`);
  process.exitCode = 2;
}
