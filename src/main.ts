import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { SECOND } from './api/constants.ts';
import { parseDuration } from './api/duration.ts';
import { Controller } from './controller/controller.ts';
import { handOverIssuerCredentials } from './controller/issuer-credentials.ts';
import { startIssuer } from './issuer/issuer.ts';
import { connect, type Kube } from './kube/client.ts';
import { CredentialsError } from './kube/errors.ts';
import { startTelemetry } from './telemetry/http.ts';
import { createLog, LOG_LEVELS, type Log, type LogLevel } from './telemetry/log.ts';
import { createRegistry } from './telemetry/metrics.ts';

/** Where the kubelet puts a pod's credentials. */
const POD_CREDENTIALS = '/var/run/secrets/kubernetes.io/serviceaccount';

interface FlagHelp {
  readonly help: string;
  readonly default?: string;
  /** The one command that has it. */
  readonly only?: 'controller' | 'issuer';
}

/** Every flag: its default (none: required where the command uses it) and what it is for. */
const FLAGS = {
  namespace: { help: 'the namespace of the operator, where the key Secrets are' },
  'public-url': { help: 'default issuers are <public URL>/<namespace>/<name>', only: 'controller' },
  'listen-address': { help: 'host:port of the issuer', default: '0.0.0.0:8080', only: 'issuer' },
  'metrics-address': { help: 'host:port of /healthz, /readyz, /metrics', default: '0.0.0.0:9090' },
  'clock-skew': { help: 'S: how far clocks may differ', default: '5m' },
  'max-staleness': { help: 'R: how long an issuer signs on what it last confirmed', default: '1h' },
  'credentials-dir': { help: 'token, ca.crt and namespace', default: POD_CREDENTIALS },
  'issuer-service-account': {
    help: 'whose token the sidecar gets',
    only: 'controller',
    default: '',
  },
  'issuer-credentials-dir': {
    help: 'where the sidecar looks for it',
    only: 'controller',
    default: '',
  },
  'log-level': { help: LOG_LEVELS.join(', '), default: 'info' },
} as const satisfies Record<string, FlagHelp>;

type Flag = keyof typeof FLAGS;
type Values = { readonly [name in Flag]?: string };

/** What every command is given. */
interface Context {
  readonly values: Values;
  readonly log: Log;
  readonly signal: AbortSignal;
}

const COMMANDS: Readonly<Record<string, (context: Context) => Promise<void>>> = {
  controller: runController,
  issuer: runIssuer,
};

async function runController({ values, log, signal }: Context): Promise<void> {
  const registry = createRegistry();
  const state: { controller?: Controller } = {};
  const telemetry = await startTelemetry({
    listenAddress: text(values, 'metrics-address'),
    registry,
    ready: { caches: () => state.controller?.ready() ?? 'no credentials yet' },
  });
  const kube = await connectWhenPossible(values, 'signet-controller', log, signal);
  if (kube !== undefined) {
    const namespace = text(values, 'namespace');
    const controller = new Controller({
      kube,
      namespace,
      publicUrl: publicUrl(values),
      flags: flags(values),
      log,
      registry,
      clock: Date.now,
    });
    state.controller = controller;
    const issuerDir = text(values, 'issuer-credentials-dir');
    const handover =
      issuerDir === ''
        ? Promise.resolve()
        : handOverIssuerCredentials({
            kube,
            namespace,
            serviceAccount: text(values, 'issuer-service-account'),
            ownDir: text(values, 'credentials-dir'),
            issuerDir,
            log,
            signal,
          });
    await Promise.all([controller.run(signal), handover]);
    kube.close();
  }
  await telemetry.close(0);
}

async function runIssuer({ values, log, signal }: Context): Promise<void> {
  const registry = createRegistry();
  const state: { ready?: () => true | string } = {};
  const telemetry = await startTelemetry({
    listenAddress: text(values, 'metrics-address'),
    registry,
    ready: { keyrings: () => state.ready?.() ?? 'no credentials yet' },
  });
  const kube = await connectWhenPossible(values, 'signet-issuer', log, signal);
  if (kube !== undefined) {
    const issuer = await startIssuer({
      kube,
      namespace: text(values, 'namespace'),
      listenAddress: text(values, 'listen-address'),
      ...flags(values),
      log,
      registry,
      clock: Date.now,
      signal,
    });
    state.ready = issuer.ready;
    await aborted(signal);
    await issuer.close();
    kube.close();
  }
  await telemetry.close(0);
}

/** Credentials may come a moment later: the sidecar's are handed over by the controller. */
async function connectWhenPossible(
  values: Values,
  userAgent: string,
  log: Log,
  signal: AbortSignal,
): Promise<Kube | undefined> {
  let told = '';
  while (!signal.aborted) {
    try {
      return connect({ credentialsDir: text(values, 'credentials-dir'), userAgent });
    } catch (error) {
      if (!(error instanceof CredentialsError)) throw error;
      if (told !== error.message) log.warn({ err: error }, 'Waiting for credentials.');
      told = error.message;
    }
    await delay(SECOND / 5, undefined, { signal }).catch(() => {});
  }
  return undefined;
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function text(values: Values, name: Flag): string {
  const flag: FlagHelp = FLAGS[name];
  const value = values[name] ?? flag.default;
  if (value === undefined) throw new UsageError(`--${name} is missing: ${FLAGS[name].help}`);
  return value;
}

function flags(values: Values): { clockSkew: number; maxStaleness: number } {
  return {
    clockSkew: duration(values, 'clock-skew'),
    maxStaleness: duration(values, 'max-staleness'),
  };
}

function duration(values: Values, name: Flag): number {
  try {
    return parseDuration(text(values, name));
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(`--${name}: ${error.message}`);
    throw error;
  }
}

function publicUrl(values: Values): string {
  const url = text(values, 'public-url');
  const { protocol = '', search = '', hash = '' } = URL.canParse(url) ? new URL(url) : {};
  if (!/^https?:$/.test(protocol) || search !== '' || hash !== '') {
    throw new UsageError(
      `--public-url: "${url}" is not a URL of an issuer: type one such as https://tokens.example.com`,
    );
  }
  return url.replace(/\/+$/, '');
}

/** What was typed cannot be run; the message says what to type instead. */
class UsageError extends Error {
  override readonly name = 'UsageError';
}

function usage(): string {
  const lines = Object.entries(FLAGS).map(([name, flag]: [string, FlagHelp]) => {
    const command = flag.only === undefined ? '' : ` (${flag.only})`;
    const fallback = flag.default ? ` [${flag.default}]` : '';
    return `  --${name.padEnd(24)} ${flag.help}${command}${fallback}`;
  });
  return `usage: signet ${Object.keys(COMMANDS).join(' | ')} [flags]\n\n${lines.join('\n')}\n`;
}

function read(args: string[]) {
  const names = Object.keys(FLAGS).map((name) => [name, { type: 'string' }] as const);
  const options = { ...Object.fromEntries(names), help: { type: 'boolean' } } as const;
  try {
    return parseArgs({ args, options, allowPositionals: true });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : 'the flags cannot be read');
  }
}

async function main(): Promise<void> {
  const { positionals, values } = read(process.argv.slice(2));
  const [name = ''] = positionals;
  const command = COMMANDS[name];
  if (values.help === true || command === undefined) {
    if (values.help === true) process.stdout.write(usage());
    else throw new UsageError(`"${name}" is not a command\n${usage()}`);
    return;
  }
  const given = values as Values;
  const level = text(given, 'log-level');
  const known = LOG_LEVELS.find((candidate) => candidate === level);
  if (known === undefined) throw new UsageError(`--log-level: one of ${LOG_LEVELS.join(', ')}`);
  const log = createLog({ component: name, level: known satisfies LogLevel });
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort());
  await command({ values: given, log, signal: stop.signal });
}

try {
  await main();
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`signet: ${error.message}\n`);
  process.exitCode = 2;
}
