import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { type Supervised, supervise, tail } from './supervise.ts';

const START_ATTEMPTS = 3;
/** The machine may be busy, and a test may have taken away what a program needs to start. */
const READY_TIMEOUT = 90_000;
const PROBE_EVERY = 25;
/** kube-apiserver would wait a minute for the watches that it serves. */
const RESTART_PATIENCE = 500;
const PAUSE_PATIENCE = 1_000;

/** One program of the control plane, which a test may hurt. */
export interface Component {
  readonly name: string;
  readonly logFile: string;
  /** Undefined while it does not run. */
  readonly pid: number | undefined;
  /** Sends a signal and, for one that ends it, waits until it has ended. Default SIGKILL. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Freezes it, and returns once it stands still: connections stay open and nothing answers. */
  pause(): void;
  resume(): void;
  /** Starts it again, with the same port and data, and waits until it is ready. */
  restart(): Promise<void>;
}

export interface ComponentSpec {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly logFile: string;
  readonly cwd?: string;
  /** Added to our environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** How long `restart()` waits after SIGTERM, in milliseconds; default 500. */
  readonly patience?: number;
  /** Resolves true when it serves; a rejection counts as false. */
  readonly ready: () => Promise<boolean>;
}

/** A program that did not start, with the end of its log. */
class StartError extends Error {
  override readonly name = 'StartError';
  /** Somebody took the port between our looking and the program's binding. */
  readonly portTaken: boolean;

  constructor(component: string, reason: string, log: string) {
    super(`${component} did not start (${reason}). The end of its log:\n${log}`);
    this.portTaken = log.includes('address already in use');
  }
}

/** A component that is not started yet: `restart()` does it. */
export function component(spec: ComponentSpec): Component {
  let current: Supervised | undefined;
  const start = async (): Promise<void> => {
    const env = { ...process.env, ...spec.env };
    current = supervise(spec.name, spec.command, spec.args, { ...spec, env });
    await untilReady(spec, current);
  };
  return {
    name: spec.name,
    logFile: spec.logFile,
    get pid() {
      return current?.running ? current.pid : undefined;
    },
    async kill(signal = 'SIGKILL') {
      current?.signal(signal);
      if (signal === 'SIGKILL' || signal === 'SIGTERM') await current?.ended;
    },
    pause() {
      current?.signal('SIGSTOP');
      if (current?.pid !== undefined) waitUntilStopped(current.pid);
    },
    resume: () => current?.signal('SIGCONT'),
    async restart() {
      await current?.end(spec.patience ?? RESTART_PATIENCE);
      await start();
    },
  };
}

async function untilReady(spec: ComponentSpec, process: Supervised): Promise<void> {
  const deadline = Date.now() + READY_TIMEOUT;
  while (process.running && Date.now() < deadline) {
    if (await spec.ready().catch(() => false)) return;
    await delay(PROBE_EVERY);
  }
  const reason = process.running
    ? `not ready within ${READY_TIMEOUT / 1_000} s`
    : await process.ended;
  await process.end(0);
  throw new StartError(spec.name, reason, tail(spec.logFile));
}

/** Runs `start`, which chooses free ports, again when somebody else took one of them meanwhile. */
export async function withFreePorts<T>(start: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await start();
    } catch (error) {
      const again = error instanceof StartError && error.portTaken && attempt < START_ATTEMPTS;
      if (!again) throw error;
    }
  }
}

/** Threads stop one after another; until the last one has, something may still be answered. */
function waitUntilStopped(pid: number): void {
  const tasks = `/proc/${pid}/task`;
  const deadline = performance.now() + PAUSE_PATIENCE;
  while (existsSync(tasks) && performance.now() < deadline) {
    const states = readdirSync(tasks).map((task) => stateOf(`${tasks}/${task}/stat`));
    if (states.every((state) => state === 'T')) return;
  }
}

/** proc(5): the letter after the name in brackets; a task that has ended counts as stopped. */
function stateOf(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').split(') ').at(-1)?.[0];
  } catch {
    return 'T';
  }
}
