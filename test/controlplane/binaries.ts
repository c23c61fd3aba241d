import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, readFileSync, renameSync } from 'node:fs';
import { chmod, glob, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { buildTools } from './build.ts';
import { cacheDirectory, withLock } from './cache.ts';
import { ARCHIVES, type Archive, download } from './download.ts';
import { startProgress } from './progress.ts';

export const PROGRAMS = ['etcd', 'kube-apiserver', 'kube-controller-manager'] as const;
export type Program = (typeof PROGRAMS)[number];

/** Paths of the programs that make a control plane. */
export type Binaries = Readonly<Record<Program, string>>;

/**
 * Finds the programs: in `KUBEBUILDER_ASSETS`, in the cache, by a download, by `go build`; the
 * first that has all of them. What is downloaded or built goes into the cache.
 *
 * @throws Error saying what to install when there is no way to get them.
 */
export async function findBinaries(): Promise<Binaries> {
  const { KUBEBUILDER_ASSETS } = process.env;
  if (KUBEBUILDER_ASSETS) return inAssets(KUBEBUILDER_ASSETS);
  const homes = cacheHomes(ARCHIVES);
  const kept = () => Object.values(homes).find((home) => existsSync(home));
  const found =
    kept() ??
    (await withLock(
      `${homes.built}.lock`,
      async () => kept() ?? (await fill(homes)),
      (holder) => console.error(`Waiting for process ${holder}, which makes the control plane.`),
    ));
  return inFolder(found);
}

function inAssets(folder: string): Binaries {
  const binaries = inFolder(folder);
  const missing = PROGRAMS.filter((program) => !isExecutable(binaries[program]));
  if (missing.length === 0) return binaries;
  throw new Error(
    `KUBEBUILDER_ASSETS=${folder} holds no ${missing.join(', no ')}: put ${PROGRAMS.join(', ')} there, or unset it to have them downloaded or built`,
  );
}

/** Folders of the cache. */
interface Homes {
  /** Of programs that were all built here. */
  readonly built: string;
  /** Of programs some of which were downloaded: those are of another version. */
  readonly downloaded: string;
}

/** Another version, in go.mod and go.sum or of a download, is another folder. */
export function cacheHomes(archives: readonly Archive[]): Homes {
  const hash = createHash('sha256').update(`${process.platform} ${process.arch}`);
  for (const name of ['go.mod', 'go.sum']) {
    hash.update(readFileSync(join(import.meta.dirname, name)));
  }
  const pins = hash.copy().update(JSON.stringify(archives));
  const [built = '', downloaded = ''] = [hash, pins].map((each) =>
    join(cacheDirectory(), each.digest('hex').slice(0, 16)),
  );
  return { built, downloaded };
}

/**
 * Called by the holder of the lock, so a draft that is there was left by a run that was killed.
 *
 * @returns the folder that has all of them now.
 */
async function fill({ built, downloaded }: Homes): Promise<string> {
  for await (const abandoned of glob(`${built}.??????`)) await rm(abandoned, { recursive: true });
  const draft = await mkdtemp(`${built}.`);
  const progress = startProgress('Control plane');
  const missing = () => PROGRAMS.filter((program) => !isExecutable(join(draft, program)));
  try {
    for (const archive of ARCHIVES) {
      const problem = await download(archive, draft, progress).catch((error: Error) => error);
      if (problem === undefined) continue;
      progress.say(`No download of ${archive.name}: ${problem.message}`);
      break;
    }
    const home = missing().length === PROGRAMS.length ? built : downloaded;
    if (missing().length > 0) await buildTools(missing(), draft, progress);
    await chmod(draft, 0o755);
    renameSync(draft, home);
    progress.say(`Control plane kept in ${home}`);
    return home;
  } finally {
    progress.stop();
    await rm(draft, { recursive: true, force: true });
  }
}

function inFolder(folder: string): Binaries {
  return {
    etcd: join(folder, 'etcd'),
    'kube-apiserver': join(folder, 'kube-apiserver'),
    'kube-controller-manager': join(folder, 'kube-controller-manager'),
  };
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
