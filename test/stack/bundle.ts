import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..', '..');

export interface Bundle {
  readonly main: string;
  /** What the image tells Node: memory depends on it. */
  readonly env: { readonly NODE_ENV: string; readonly NODE_OPTIONS: string };
}

/** Builds what the image holds, to be run as it does. */
export async function buildBundle(): Promise<Bundle> {
  await import('../../build.ts');
  const dockerfile = readFileSync(join(ROOT, 'Dockerfile'), 'utf8');
  const [, nodeEnv, nodeOptions] =
    /^ENV NODE_ENV=(\S+) NODE_OPTIONS="([^"]+)"$/m.exec(dockerfile) ?? [];
  if (nodeEnv === undefined || nodeOptions === undefined) {
    throw new Error('the Dockerfile has no line ENV NODE_ENV=… NODE_OPTIONS="…"');
  }
  return {
    main: join(ROOT, 'dist', 'main.mjs'),
    env: { NODE_ENV: nodeEnv, NODE_OPTIONS: nodeOptions },
  };
}
