/**
 * `npm run e2e`: Signet on a real cluster, as a user would. site.ts says how to give one; with none
 * it makes one of kind. The last line is `N passed, N failed`.
 */
import assert from 'node:assert/strict';
import { dump } from './dump.ts';
import { type Life, OPERATOR } from './life.ts';
import { type Previous, previousVersion } from './previous.ts';
import { findSite, NoClusterError, type Site } from './site.ts';
import { STEPS } from './steps.ts';
import { TENANT } from './workloads.ts';

const BASE = 'node:26-bookworm-slim';
const MOST_ADDED = 90_000_000;

/** @returns how many steps passed; the first that fails ends the run. */
async function play(site: Site, before: Previous | undefined): Promise<number> {
  const image = `signet:${site.tag}`;
  const previous = before && {
    image: `${image}-previous`,
    chart: `${before.folder}/charts/signet`,
  };
  const life: Life = {
    ...{ site, image, tokens: [] },
    ...(previous === undefined ? {} : { previous }),
    async bring() {
      await site.image(image, '.');
      const added = (await site.imageSize(image)) - (await site.imageSize(BASE));
      assert.ok(added < MOST_ADDED, `the image adds ${added} bytes to ${BASE}`);
      if (before && previous) await site.image(previous.image, before.folder);
    },
  };
  for (const [index, { name, run }] of STEPS.entries()) {
    const started = performance.now();
    try {
      await run(life);
    } catch (error) {
      console.log(`✗ ${name}`);
      console.error(error);
      await dump(site);
      return index;
    }
    console.log(`✓ ${name} (${((performance.now() - started) / 1_000).toFixed(1)} s)`);
  }
  return STEPS.length;
}

/** @throws NoClusterError where something is that the run would take for its own, and delete. */
async function requireEmpty({ kubectl }: Site): Promise<void> {
  const ours = [`namespace/${OPERATOR}`, `namespace/${TENANT}`, 'crd/signingkeysets.signet.dev'];
  const { stdout } = await kubectl(['get', ...ours, '--ignore-not-found', '-o', 'name']);
  const found = stdout.trim().split('\n').join(' ');
  if (found === '') return;
  throw new NoClusterError(
    `this cluster has ${found}, which the run would delete in the end: if nobody needs it, type\n` +
      `  helm uninstall signet -n ${OPERATOR}; kubectl delete ${found}`,
  );
}

try {
  const site = await findSite();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void site.leave().finally(() => process.exit(1)));
  }
  try {
    await requireEmpty(site);
    const before = await previousVersion();
    const passed = await play(site, before);
    before?.remove();
    const failed = passed === STEPS.length ? 0 : 1;
    console.log(`\n${passed} passed, ${failed} failed`);
    process.exitCode = failed;
  } finally {
    await site.leave();
  }
} catch (error) {
  if (!(error instanceof NoClusterError)) throw error;
  console.error(`e2e: ${error.message}`);
  process.exitCode = 2;
}
