import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * A child must not outlive us, whatever ends us: an exception, SIGTERM, SIGKILL. The kernel closes
 * our end of the pipe in every case, so a shell that waits on it knows. A line on it means that
 * the child has ended by itself and its process id may belong to somebody else by now.
 * The program replaces the outer shell, so signals and the process id are its own.
 */
const GUARDED = `exec 3<&0
(read -r _ <&3 || kill -KILL $$) >/dev/null 2>&1 &
exec 3<&-
exec "$@" </dev/null`;

/** Removes a folder once we are gone; waits for the children in it to be killed first. */
const SWEEP = `read -r _ && exit
sleep 1
rm -rf "$1"`;

export interface ProcessOptions {
  /** Standard output and error are appended here. */
  readonly logFile: string;
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
}

/** A running program that dies with us. */
export interface Supervised {
  readonly name: string;
  readonly pid: number;
  readonly logFile: string;
  /** False as soon as it has ended. */
  readonly running: boolean;
  /** Resolves when it has ended, with its exit code or signal. */
  readonly ended: Promise<string>;
  /** Sends a signal; does nothing when the program has ended. */
  signal(signal: NodeJS.Signals): void;
  /** SIGTERM, then SIGKILL after `patience` milliseconds; resolves when it has ended. */
  end(patience?: number): Promise<void>;
}

/** Starts a program that is killed when this process ends, however it ends. */
export function supervise(
  name: string,
  command: string,
  args: readonly string[],
  options: ProcessOptions,
): Supervised {
  const log = openSync(options.logFile, 'a', 0o600);
  const child = spawnGuarded(command, args, { ...options, output: log });
  closeSync(log);
  const pid = child.pid;
  if (pid === undefined) throw new Error(`cannot start ${name}: /bin/sh did not start`);
  const ended = once(child, 'exit').then(([code, signal]: unknown[]) => {
    return signal === null ? `exit code ${code}` : `${signal}`;
  });
  const signal = (sent: NodeJS.Signals): void => {
    if (isRunning(child)) child.kill(sent);
  };
  return {
    name,
    pid,
    logFile: options.logFile,
    get running() {
      return isRunning(child);
    },
    ended,
    signal,
    async end(patience = 3_000) {
      signal('SIGCONT');
      signal('SIGTERM');
      const timer = setTimeout(signal, patience, 'SIGKILL');
      await ended;
      clearTimeout(timer);
    },
  };
}

export interface GuardedOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Where both of its outputs go: a file's descriptor, or pipes to us. */
  readonly output: number | 'pipe';
}

/** The same for a program whose end and output the caller follows. */
export function spawnGuarded(
  command: string,
  args: readonly string[],
  options: GuardedOptions,
): ChildProcess {
  const child = spawn('/bin/sh', ['-c', GUARDED, 'sh', command, ...args], {
    cwd: options.cwd,
    env: options.env ?? process.env,
    stdio: ['pipe', options.output, options.output],
    // Out of the terminal's group: Ctrl-C reaches us, and we end the children in order.
    detached: true,
  });
  child.stdin?.on('error', ignoreClosedPipe);
  child.on('exit', () => child.stdin?.end('\n'));
  return child;
}

function isRunning(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}

/** The other end of the pipe may be gone before us; there is nothing to tell it then. */
function ignoreClosedPipe(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE' && error.code !== 'ECONNRESET') throw error;
}

export interface TemporaryDirectory {
  readonly path: string;
  remove(): void;
}

/** A private folder that goes with `remove()`, and also when this process ends without it. */
export function temporaryDirectory(prefix: string): TemporaryDirectory {
  const path = mkdtempSync(join(tmpdir(), prefix));
  const sweeper = spawn('/bin/sh', ['-c', SWEEP, 'sh', path], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  sweeper.stdin.on('error', ignoreClosedPipe);
  sweeper.unref();
  return {
    path,
    remove() {
      rmSync(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
      sweeper.stdin.end('\n');
    },
  };
}

/** The last lines of a log file, for the message of a failed start. */
export function tail(file: string, lines = 20): string {
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
}

/** Whether there is a process of this id, of whomever. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return isCode(error, 'EPERM');
  }
}

/** Whether this is an error of the system with that code, such as ENOENT. */
export function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
