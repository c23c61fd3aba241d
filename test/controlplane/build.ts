import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import type { Program } from './binaries.ts';
import type { Progress } from './progress.ts';
import { spawnGuarded } from './supervise.ts';

const MODULE = import.meta.dirname;
const KEPT_LINES = 15;
/** Measured: 7 minutes on 2 cores for the 2,522 of all three. They share most of them. */
const PACKAGES_PER_CORE_MINUTE = 180;

/** The `tool` directives of go.mod. */
const PACKAGES: Readonly<Record<Program, string>> = {
  etcd: 'go.etcd.io/etcd/server/v3',
  'kube-apiserver': 'k8s.io/kubernetes/cmd/kube-apiserver',
  'kube-controller-manager': 'k8s.io/kubernetes/cmd/kube-controller-manager',
};

const ENVIRONMENT = { ...process.env, GOWORK: 'off', GOFLAGS: '-mod=readonly', CGO_ENABLED: '0' };

/**
 * Builds the given programs of the pinned modules into `folder`.
 *
 * @throws Error with the last lines of the compiler, or saying that Go is missing.
 */
export async function buildTools(
  programs: readonly Program[],
  folder: string,
  progress: Progress,
): Promise<void> {
  await requireGo();
  progress.phase('fetching modules');
  const packages = programs.map((program) => PACKAGES[program]);
  const listed = await go(['list', '-deps', ...packages], () => undefined);
  const total = listed.length;
  const cores = availableParallelism();
  const minutes = Math.ceil(total / PACKAGES_PER_CORE_MINUTE / cores);
  progress.say(
    `Building ${programs.join(', ')} with go build: about ${minutes} minutes on ${cores} cores, once.`,
  );
  progress.phase('compiling');
  let compiled = 0;
  for (const program of programs) {
    const args = ['build', '-v', '-ldflags', linkerFlags(), '-o', join(folder, program)];
    await go([...args, PACKAGES[program]], () => {
      compiled += 1;
      progress.update(compiled / total, `${compiled} of at most ${total} packages,`);
    });
  }
}

/** A server that is not told its version says v0.0.0, and clients look at it. */
function linkerFlags(): string {
  const found = /k8s\.io\/kubernetes (v(\d+)\.(\d+)\.\d+)/.exec(
    readFileSync(join(MODULE, 'go.mod'), 'utf8'),
  );
  if (found === null)
    throw new Error('test/controlplane/go.mod names no version of k8s.io/kubernetes');
  const [, version, major, minor] = found;
  const values = { gitVersion: version, gitMajor: major, gitMinor: minor };
  const settings = Object.entries(values).map(
    ([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`,
  );
  return ['-s', '-w', ...settings].join(' ');
}

async function requireGo(): Promise<void> {
  await promisify(execFile)('go', ['version']).catch((error: Error) => {
    throw new Error(
      `the control plane cannot be built (${error.message}): install Go 1.26, or set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver and kube-controller-manager`,
    );
  });
}

/** @returns the lines of standard output; `onLine` sees those of standard error, which -v fills. */
function go(args: readonly string[], onLine: (line: string) => void): Promise<readonly string[]> {
  return new Promise((resolve, reject) => {
    const child = spawnGuarded('go', args, { cwd: MODULE, env: ENVIRONMENT, output: 'pipe' });
    if (child.stdout === null || child.stderr === null) throw new Error('go has no output');
    const answer: string[] = [];
    const last: string[] = [];
    createInterface({ input: child.stdout }).on('line', (line) => answer.push(line));
    createInterface({ input: child.stderr }).on('line', (line) => {
      if (last.push(line) > KEPT_LINES) last.shift();
      onLine(line);
    });
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) return resolve(answer);
      const command = `go ${args[0]}`;
      reject(
        new Error(
          `${command} failed (exit ${code}):\n${last.join('\n')}\nInstall Go 1.26 with access to its modules, or set KUBEBUILDER_ASSETS`,
        ),
      );
    });
  });
}
