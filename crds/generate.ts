/**
 * `npm run generate`: writes everything that follows from the CRD.
 * `npm run generate -- --check`: writes nothing, and exits 1 with the names of what is stale.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { readResource } from './generator/schema.ts';
import { renderTypes } from './generator/types.ts';

const ROOT = new URL('../', import.meta.url);
const CRD = new URL('crds/signet.dev_signingkeysets.yaml', ROOT);

const resource = await readResource(CRD);
const outputs: ReadonlyMap<string, string> = new Map([
  ['src/api/signingkeyset.generated.ts', await renderTypes(resource)],
]);

const stale: string[] = [];
for (const [path, text] of outputs) {
  const url = new URL(path, ROOT);
  const present = await readFile(url, 'utf8').catch(() => undefined);
  if (present !== text) stale.push(path);
}

if (process.argv.includes('--check')) {
  for (const path of stale) console.error(`${path} is stale: run npm run generate`);
  process.exitCode = stale.length > 0 ? 1 : 0;
} else {
  for (const path of stale) {
    await writeFile(new URL(path, ROOT), outputs.get(path) ?? '');
    console.log(`wrote ${fileURLToPath(new URL(path, ROOT))}`);
  }
}
