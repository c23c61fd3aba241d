import { type DestinationStream, pino } from 'pino';

/** What a line says besides its message. Secrets are types that cannot be logged (I12). */
type LogFields = Readonly<Record<string, unknown>>;

type Write = (fields: LogFields, message: string) => void;

/** The logger that everything in a process is given. Fields first, then one sentence. */
export interface Log {
  readonly debug: Write;
  readonly info: Write;
  readonly warn: Write;
  readonly error: Write;
  /** What has to be known afterwards: written at every level, as info. */
  readonly audit: Write;
  /** Whether a line of this level is written at all: where making one costs. */
  isLevelEnabled(level: LogLevel): boolean;
  /** A logger whose lines all carry `fields`. */
  child(fields: LogFields): Log;
}

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LogOptions {
  /** Which process writes, such as `controller` or `issuer`. */
  readonly component: string;
  readonly level?: LogLevel;
  /** Where lines go; default: standard output. */
  readonly destination?: { write(line: string): void };
}

/** Members that can hold a credential. The types already keep them out; this is the belt. */
const CREDENTIALS: ReadonlySet<string> = new Set([
  'token',
  'access_token',
  'assertion',
  'client_assertion',
  'subject_token',
  'authorization',
  'Authorization',
  'cookie',
  'privateKey',
  'data',
  'stringData',
]);
const REDACTED_DEPTH = 4;

/** By hand, because pino's own redaction with wildcards takes 40 µs a line, this less than 1. */
function redact(fields: object, depth = 0): Record<string, unknown> {
  const shown: Record<string, unknown> = { ...fields };
  for (const name in shown) {
    const value = shown[name];
    if (CREDENTIALS.has(name)) shown[name] = '[redacted]';
    else if (isPlain(value) && depth < REDACTED_DEPTH) shown[name] = redact(value, depth + 1);
  }
  return shown;
}

function isPlain(value: unknown): value is object {
  return (
    typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype
  );
}

/**
 * Only what an error says of itself: API client errors carry whole requests, credentials included,
 * as further members, and those stay out.
 */
function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return String(error);
  const { name, message, stack, cause } = error;
  return {
    type: name,
    message,
    ...('code' in error && { code: error.code }),
    ...(cause !== undefined && { cause: describeError(cause) }),
    stack,
  };
}

const AUDIT = 'audit';

let writtenAt = 0;
let written = '';

/** As `pino.stdTimeFunctions.isoTime`, but written once for all lines of a millisecond. */
function timestamp(): string {
  const now = Date.now();
  if (now !== writtenAt) {
    writtenAt = now;
    written = `,"time":"${new Date(now).toISOString()}"`;
  }
  return written;
}

/** JSON lines with RFC 3339 times, on standard output unless told otherwise. */
export function createLog({ component, level = 'info', destination }: LogOptions): Log {
  const options = {
    // The one level above all others: what is silent writes audit lines and nothing else.
    level: level === 'silent' ? AUDIT : level,
    customLevels: { [AUDIT]: 100 },
    base: { component },
    timestamp,
    formatters: {
      level: (label: string) => ({ level: label === AUDIT ? 'info' : label }),
      log: redact,
    },
    serializers: { err: describeError, error: describeError },
  };
  return pino(options, destination ?? standardOutput());
}

/** In characters: with more waiting, lines are written at once. */
const MOST_WAITING = 64 * 1024;

/**
 * Standard output, with one write for all lines of one turn of the event loop. Writes are
 * synchronous, so a reader that is slow slows us down, and no line is dropped.
 */
function standardOutput(): DestinationStream {
  const output = pino.destination({ fd: 1, sync: true });
  let waiting = '';
  const flush = () => {
    const lines = waiting;
    waiting = '';
    if (lines !== '') output.write(lines);
  };
  process.on('exit', flush);
  return {
    write(line) {
      if (waiting === '') setImmediate(flush);
      waiting += line;
      if (waiting.length > MOST_WAITING) flush();
    },
  };
}
