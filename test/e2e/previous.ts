import { join } from 'node:path';
import { invoke } from '../controlplane/clients.ts';
import { temporaryDirectory } from '../controlplane/supervise.ts';

/** The last commit with chart 0.1.0. */
const COMMIT = 'ccc7353';
const ROOT = join(import.meta.dirname, '..', '..');

export interface Previous {
  /** The source of that version. */
  readonly folder: string;
  remove(): void;
}

/** @returns undefined, after saying so, where the history of this checkout does not reach so far. */
export async function previousVersion(): Promise<Previous | undefined> {
  const { path: folder, remove } = temporaryDirectory('signet-previous-');
  const run = (program: string, ...args: readonly string[]) =>
    invoke(program, args, process.env, { cwd: ROOT });
  try {
    const archive = join(folder, 'source.tar');
    await run('git', 'archive', '-o', archive, COMMIT);
    await run('tar', '-xf', archive, '-C', folder);
    return { folder, remove };
  } catch {
    console.log(
      `SKIPPED: the upgrade. The history of this checkout does not reach ${COMMIT}: type git fetch --unshallow`,
    );
    remove();
    return undefined;
  }
}
