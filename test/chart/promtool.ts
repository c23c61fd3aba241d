import { existsSync } from 'node:fs';
import { mkdtemp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheDirectory, withLock } from '../controlplane/cache.ts';
import { invoke, type Output } from '../controlplane/clients.ts';

const HOME = join(cacheDirectory(), 'promtool');
const PROGRAM = join(HOME, 'usr', 'bin', 'promtool');

/** Runs Prometheus' own checker. @throws CommandError with what it found wrong. */
export async function promtool(args: readonly string[], cwd: string): Promise<Output> {
  return invoke(await findPromtool(), args, process.env, { cwd });
}

/** The one on the path, else Debian's, unpacked into the cache: no Prometheus is installed. */
async function findPromtool(): Promise<string> {
  if (await runs('promtool')) return 'promtool';
  if (!existsSync(PROGRAM)) await withLock(`${HOME}.lock`, unpack);
  return PROGRAM;
}

async function unpack(): Promise<void> {
  if (existsSync(PROGRAM)) return;
  const draft = await mkdtemp(`${HOME}.`);
  const run = (program: string, ...args: readonly string[]) =>
    invoke(program, args, process.env, { cwd: draft });
  try {
    const fetched = await run('apt-get', 'download', '-qq', 'prometheus').catch(async () => {
      await run('apt-get', 'update', '-qq');
      return run('apt-get', 'download', '-qq', 'prometheus');
    });
    if (fetched.stderr.includes('E:')) throw new Error(fetched.stderr);
    await run('sh', '-c', 'dpkg-deb -x prometheus_*.deb unpacked');
    await rename(join(draft, 'unpacked'), HOME);
  } catch (cause) {
    throw new Error('promtool is missing, and apt-get did not bring it: install Prometheus', {
      cause,
    });
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

async function runs(program: string): Promise<boolean> {
  try {
    await invoke(program, ['--version'], process.env);
    return true;
  } catch {
    return false;
  }
}
