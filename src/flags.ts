import { parseArgs } from 'node:util';
import { parseDuration } from './api/duration.ts';
import { LOG_LEVELS, type LogLevel } from './telemetry/log.ts';

/** Where the kubelet puts a pod's credentials. */
const POD_CREDENTIALS = '/var/run/secrets/kubernetes.io/serviceaccount';

interface FlagHelp {
  readonly help: string;
  readonly default?: string;
  /** The one command that has it. */
  readonly only?: 'controller' | 'issuer';
  /** Takes no value: it is there or not. */
  readonly isSwitch?: true;
}

/** Every flag: its default (none: required where the command uses it) and what it is for. */
const FLAGS = {
  namespace: { help: 'the namespace of the operator, where the key Secrets are' },
  'public-url': { help: 'default issuers are <public URL>/<namespace>/<name>', only: 'controller' },
  'watch-namespaces': {
    help: 'namespaces whose sets are seen to, with commas; none: all',
    default: '',
    only: 'controller',
  },
  'listen-address': { help: 'host:port of HTTPS', default: '0.0.0.0:8443', only: 'issuer' },
  'plain-listen-address': {
    help: 'host:port of plain HTTP, with public documents only',
    default: '0.0.0.0:8080',
    only: 'issuer',
  },
  'tls-dir': { help: 'tls.crt and tls.key of HTTPS', default: '', only: 'issuer' },
  'allow-http-credentials': {
    help: 'tokens on plain HTTP too: only behind a mesh that encrypts',
    only: 'issuer',
    isSwitch: true,
  },
  'drain-delay': {
    help: 'how long to go on serving, not ready, after SIGTERM',
    default: '5s',
    only: 'issuer',
  },
  'max-connections-per-address': {
    help: 'open at once to one port; more are closed',
    default: '1024',
    only: 'issuer',
  },
  'pod-name': { help: 'its pod: the name of its Lease', default: '', only: 'issuer' },
  'pod-uid': { help: 'with which the Lease goes', default: '', only: 'issuer' },
  'metrics-address': { help: 'host:port of /healthz, /readyz, /metrics', default: '0.0.0.0:9090' },
  'clock-skew': { help: 'S: how far clocks may differ', default: '5m' },
  'max-staleness': { help: 'R: how long an issuer signs on what it last confirmed', default: '1h' },
  'credentials-dir': { help: 'token, ca.crt and namespace', default: POD_CREDENTIALS },
  kubeconfig: { help: 'instead of --credentials-dir, outside a cluster', default: '' },
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
  'issuer-tls-dir': {
    help: 'where the sidecar looks for a certificate from a CA of ours',
    only: 'controller',
    default: '',
  },
  'issuer-dns-names': {
    help: 'names in that certificate besides the host of --public-url, with commas',
    only: 'controller',
    default: '',
  },
  'ca-file': {
    help: 'published as ca.crt where the certificate is not ours; may be missing',
    only: 'controller',
    default: '',
  },
  'log-level': { help: LOG_LEVELS.join(', '), default: 'info' },
} as const satisfies Record<string, FlagHelp>;

type Flag = keyof typeof FLAGS;

/** What was typed cannot be run; the message says what to type instead. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** The flags that were given. Every way to read one throws UsageError. */
export class Flags {
  readonly #values: Readonly<Record<string, string | boolean | undefined>>;

  constructor(values: Readonly<Record<string, string | boolean | undefined>>) {
    this.#values = values;
  }

  text(name: Flag): string {
    const flag: FlagHelp = FLAGS[name];
    const value = this.#values[name] ?? flag.default;
    if (typeof value !== 'string') throw new UsageError(`--${name} is missing: ${flag.help}`);
    return value;
  }

  isOn(name: Flag): boolean {
    return this.#values[name] === true;
  }

  /** In milliseconds. */
  duration(name: Flag): number {
    try {
      return parseDuration(this.text(name));
    } catch (error) {
      if (error instanceof RangeError) throw new UsageError(`--${name}: ${error.message}`);
      throw error;
    }
  }

  /** A whole number above 0. */
  count(name: Flag): number {
    const text = this.text(name);
    if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
    throw new UsageError(`--${name}: "${text}" is not a number above 0: type one such as 1024`);
  }

  /** What stands between commas. */
  list(name: Flag): readonly string[] {
    const items = this.text(name).split(',');
    return items.map((item) => item.trim()).filter((item) => item !== '');
  }

  /** An http or https URL, without the slash at its end. */
  url(name: Flag): string {
    const url = this.text(name);
    const { protocol = '', search = '', hash = '' } = URL.canParse(url) ? new URL(url) : {};
    if (!/^https?:$/.test(protocol) || search !== '' || hash !== '') {
      throw new UsageError(
        `--${name}: "${url}" is not a URL of an issuer: type one such as https://tokens.example.com`,
      );
    }
    return url.replace(/\/+$/, '');
  }

  logLevel(): LogLevel {
    const level = this.text('log-level');
    const known = LOG_LEVELS.find((candidate) => candidate === level);
    if (known === undefined) throw new UsageError(`--log-level: one of ${LOG_LEVELS.join(', ')}`);
    return known;
  }
}

interface CommandLine {
  /** Empty where none was typed. */
  readonly command: string;
  readonly help: boolean;
  readonly flags: Flags;
}

/** @throws UsageError when a flag is not known, or lacks its value. */
export function readCommandLine(args: string[]): CommandLine {
  const options = Object.entries(FLAGS).map(([name, flag]: [string, FlagHelp]) => {
    return [name, { type: flag.isSwitch ? 'boolean' : 'string' }] as const;
  });
  try {
    const { positionals, values } = parseArgs({
      args,
      options: { ...Object.fromEntries(options), help: { type: 'boolean' } },
      allowPositionals: true,
    });
    const given = values as Readonly<Record<string, string | boolean | undefined>>;
    const [command = ''] = positionals;
    return { command, help: given['help'] === true, flags: new Flags(given) };
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : 'the flags cannot be read');
  }
}

export function usage(commands: readonly string[]): string {
  const lines = Object.entries(FLAGS).map(([name, flag]: [string, FlagHelp]) => {
    const command = flag.only === undefined ? '' : ` (${flag.only})`;
    const fallback = flag.default ? ` [${flag.default}]` : '';
    return `  --${name.padEnd(24)} ${flag.help}${command}${fallback}`;
  });
  return `usage: signet ${commands.join(' | ')} [flags]\n\n${lines.join('\n')}\n`;
}
