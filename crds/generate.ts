/**
 * `npm run generate`: writes everything that follows from the CRD.
 * `npm run generate -- --check`: writes nothing, and exits 1 with the names of what is stale.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { renderChartTemplate } from './generator/chart.ts';
import { renderReference } from './generator/reference.ts';
import { readResource } from './generator/schema.ts';
import { renderTypes } from './generator/types.ts';
import { renderValues } from './generator/values.ts';

const ROOT = new URL('../', import.meta.url);
const CRD = new URL('crds/signet.dev_signingkeysets.yaml', ROOT);

const resource = await readResource(CRD);
const outputs: Readonly<Record<string, string>> = {
  'src/api/signingkeyset.generated.ts': await renderTypes(resource),
  'docs/api-reference.md': renderReference(resource),
  'charts/signet/templates/crd.yaml': renderChartTemplate(await readFile(CRD, 'utf8')),
  'charts/signet/README.md': renderValues(
    await readFile(new URL('charts/signet/values.yaml', ROOT), 'utf8'),
  ),
};

const check = process.argv.includes('--check');
for (const [path, text] of Object.entries(outputs)) {
  const url = new URL(path, ROOT);
  if ((await present(url)) === text) continue;
  if (check) {
    console.error(`${path} is stale: run npm run generate`);
    process.exitCode = 1;
  } else {
    await mkdir(new URL('./', url), { recursive: true });
    await writeFile(url, text);
    console.log(`wrote ${path}`);
  }
}

async function present(url: URL): Promise<string | undefined> {
  try {
    return await readFile(url, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
