import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { temporaryDirectory } from '../controlplane/supervise.ts';
import { eventually } from '../support/eventually.ts';

const ROOT = join(import.meta.dirname, '..', '..');

/** A program of ours as npm starts it, without a terminal, all of its files in a folder of its own. */
export interface Program {
  /** Its TMPDIR. */
  readonly folder: string;
  /** What it has printed so far, both outputs. */
  output(): string;
  signal(signal: NodeJS.Signals): void;
  /** Resolves when it has ended, with its exit code. */
  readonly ended: Promise<number | null>;
  /** Whatever it started and that runs now. */
  started(): readonly RunningProcess[];
  /** Passes once it has left neither a process nor a file. */
  leftNothing(): Promise<void>;
}

interface RunningProcess {
  readonly pid: number;
  readonly command: readonly string[];
}

/** @param env added to ours. */
export function start(
  path: string,
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Program {
  const { path: folder, remove } = temporaryDirectory('signet-program-');
  const child = spawn(process.execPath, ['test/bootstrap.mjs', path, ...args], {
    cwd: ROOT,
    env: { ...process.env, ...env, TMPDIR: folder },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      printed += text;
    });
  }
  const ended = once(child, 'close').then(([code]: (number | null)[]) => code ?? null);
  onTestFinished(async () => {
    child.kill('SIGTERM');
    await ended;
    remove();
  });
  const started: Program['started'] = () => processesOf(folder);
  return {
    folder,
    output: () => printed,
    signal: (signal) => child.kill(signal),
    ended,
    started,
    async leftNothing() {
      // What watches over a folder goes right after it.
      await eventually(() => started().length === 0);
      await eventually(() => readdirSync(folder).length === 0);
    },
  };
}

/** proc(5); whoever was started by one with this TMPDIR has it too. */
function processesOf(folder: string): readonly RunningProcess[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => read(`/proc/${pid}/environ`).split('\0').includes(`TMPDIR=${folder}`))
    .map((pid) => ({ pid: Number(pid), command: read(`/proc/${pid}/cmdline`).split('\0') }));
}

/** Empty for a process that is gone, or somebody else's. */
function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
