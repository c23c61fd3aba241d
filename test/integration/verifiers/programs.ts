import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheDirectory, withLock } from '../../controlplane/cache.ts';
import { invoke } from '../../controlplane/clients.ts';

const HERE = import.meta.dirname;
const GO_MODULE = join(HERE, 'go-oidc');

/** The command of a verifier, to which issuer and audience are added. */
export type Command = readonly [program: string, ...args: string[]];

/** The verifiers at their pinned versions, installed when first asked for. */
export const VERIFIERS: Readonly<Record<string, () => Promise<Command>>> = {
  'jose with openid-client': async () => [process.execPath, join(HERE, 'jose.ts')],
  'coreos/go-oidc': goOidc,
  'PyJWT with PyJWKClient': pyjwt,
};

/** @throws Error saying to install Go. */
async function goOidc(): Promise<Command> {
  const sources = ['main.go', 'go.mod', 'go.sum'].map((name) => join(GO_MODULE, name));
  const folder = await keep('go-oidc', sources, async (draft) => {
    const env = { ...process.env, GOWORK: 'off', GOFLAGS: '-mod=readonly', CGO_ENABLED: '0' };
    await mkdir(draft, { recursive: true });
    await orInstall('Go 1.25 or newer, with access to its modules', () =>
      invoke('go', ['build', '-o', join(draft, 'verifier'), '.'], env, { cwd: GO_MODULE }),
    );
  });
  return [join(folder, 'verifier')];
}

/** @throws Error saying to install Python. */
async function pyjwt(): Promise<Command> {
  const requirements = join(HERE, 'requirements.txt');
  const folder = await keep('pyjwt', [requirements], async (draft) => {
    const target = ['--target', draft, '--no-deps', '--disable-pip-version-check'];
    await orInstall('Python 3.10 or newer with pip, and access to its packages', () =>
      invoke('python3', ['-m', 'pip', 'install', ...target, '-r', requirements], process.env),
    );
  });
  return ['env', `PYTHONPATH=${folder}`, 'python3', join(HERE, 'pyjwt.py')];
}

/** A folder of the cache, filled once for these `sources`. */
async function keep(
  name: string,
  sources: readonly string[],
  fill: (draft: string) => Promise<unknown>,
): Promise<string> {
  const hash = createHash('sha256');
  for (const source of sources) hash.update(readFileSync(source));
  const folder = join(cacheDirectory(), 'verifiers', `${name}-${hash.digest('hex').slice(0, 16)}`);
  await withLock(`${folder}.lock`, async () => {
    if (existsSync(folder)) return;
    const draft = `${folder}.draft`;
    await rm(draft, { recursive: true, force: true });
    await fill(draft);
    await rename(draft, folder);
  });
  return folder;
}

async function orInstall(what: string, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    throw new Error(`a verifier of the tests cannot be made: install ${what}`, { cause: error });
  }
}
