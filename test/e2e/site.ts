/** Where the e2e runs: a cluster that somebody gave, or one of kind that is deleted afterwards. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { findClients, type InvokeOptions, invoke, type Output } from '../controlplane/clients.ts';
import { temporaryDirectory } from '../controlplane/supervise.ts';

const ROOT = join(import.meta.dirname, '..', '..');

export interface Site {
  kubectl(args: readonly string[], options?: InvokeOptions): Promise<Output>;
  helm(args: readonly string[], options?: InvokeOptions): Promise<Output>;
  /** Runs a script of bash with kubectl and helm for this cluster; it ends with the first failure. */
  shell(script: string, cwd: string): Promise<Output>;
  /** Builds `context` under this tag and brings it to the nodes. */
  image(tag: string, context: string): Promise<void>;
  /** In bytes, of an image that Docker has. */
  imageSize(image: string): Promise<number>;
  /** A tag that was never used: a node that has an older image of that name would run that one. */
  readonly tag: string;
}

/** Takes what undoes a thing that was done or begun: called before the thing is. */
type OnLeave = (undo: () => Promise<void>) => void;

/** What is missing for a run, and what to type instead. */
export class NoClusterError extends Error {
  override readonly name = 'NoClusterError';
}

const HOW_TO_GIVE =
  "give a cluster instead: KUBECONFIG=<file> E2E_LOAD_IMAGE='<command that takes an image to its nodes>' npm run e2e";

/**
 * `KUBECONFIG` and `E2E_LOAD_IMAGE` name a cluster and the command that brings an image to it;
 * `E2E_BUILD_ARGS` is given to `docker build`.
 *
 * @param onLeave is given what removes the images that were built, and a cluster made for this.
 * @throws NoClusterError saying what to set or to install.
 */
export async function findSite(onLeave: OnLeave): Promise<Site> {
  const { KUBECONFIG, E2E_LOAD_IMAGE, E2E_BUILD_ARGS = '' } = process.env;
  await present('docker', ['version'], 'Docker is needed to build the image: start it');
  if (KUBECONFIG && E2E_LOAD_IMAGE) {
    return site(KUBECONFIG, E2E_LOAD_IMAGE, E2E_BUILD_ARGS, onLeave);
  }
  if (E2E_LOAD_IMAGE)
    throw new NoClusterError('E2E_LOAD_IMAGE is set, KUBECONFIG is not: set both');
  if (KUBECONFIG) {
    throw new NoClusterError(
      "KUBECONFIG is set, E2E_LOAD_IMAGE is not: set it to the command that takes an image to the nodes, such as 'kind load docker-image' (or unset both for a kind cluster)",
    );
  }
  return kindSite(E2E_BUILD_ARGS, onLeave);
}

/** A cluster of a name that nobody has: what is deleted in the end, or after a failure, is ours. */
async function kindSite(buildArgs: string, onLeave: OnLeave): Promise<Site> {
  await present('kind', ['version'], `kind is not installed: install it, or ${HOW_TO_GIVE}`);
  const folder = temporaryDirectory('signet-kind-');
  const kubeconfig = join(folder.path, 'kubeconfig');
  const cluster = `signet-e2e-${randomBytes(4).toString('hex')}`;
  const named = ['--name', cluster, '--kubeconfig', kubeconfig];
  onLeave(async () => {
    await run('kind', ['delete', 'cluster', ...named]);
    folder.remove();
  });
  try {
    await run('kind', ['create', 'cluster', ...named, '--wait', '120s']);
  } catch (error) {
    throw new NoClusterError(
      `kind made no cluster (the image of its node comes from a registry): ${HOW_TO_GIVE}\n${String(error)}`,
      { cause: error },
    );
  }
  return site(kubeconfig, `kind load docker-image --name ${cluster}`, buildArgs, onLeave);
}

async function site(
  kubeconfig: string,
  load: string,
  buildArgs: string,
  onLeave: OnLeave,
): Promise<Site> {
  const clients = await findClients();
  const env = { ...process.env, KUBECONFIG: kubeconfig };
  const built: string[] = [];
  onLeave(async () => {
    if (built.length > 0) await run('docker', ['image', 'rm', ...built]);
  });
  return {
    kubectl: (args, options) => invoke(clients.kubectl, args, env, options),
    helm: (args, options) => invoke(clients.helm, args, env, options),
    shell(script, cwd) {
      const path = [...new Set(Object.values(clients).map(dirname))].join(':');
      const within = { ...env, PATH: `${path}:${process.env['PATH']}` };
      return invoke('bash', ['-euo', 'pipefail', '-c', script], within, { cwd });
    },
    async image(tag, context) {
      await run('docker', ['build', ...words(buildArgs), '-t', tag, context]);
      built.push(tag);
      // As a shell would: a command of several words, then the image.
      await run('sh', ['-c', `${load} "$1"`, 'load', tag]);
    },
    async imageSize(image) {
      const size = ['image', 'inspect', '--format', '{{.Size}}', image];
      return Number((await run('docker', size)).stdout);
    },
    tag: `e2e-${randomBytes(4).toString('hex')}`,
  };
}

function words(text: string): readonly string[] {
  return text.split(/\s+/).filter((word) => word !== '');
}

async function run(program: string, args: readonly string[]): Promise<Output> {
  return invoke(program, args, process.env, { cwd: ROOT });
}

async function present(program: string, args: readonly string[], otherwise: string): Promise<void> {
  try {
    await promisify(execFile)(program, args);
  } catch (error) {
    throw new NoClusterError(otherwise, { cause: error });
  }
}
