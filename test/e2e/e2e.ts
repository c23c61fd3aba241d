/**
 * `npm run e2e`: Signet on a real cluster, as a user would. site.ts says how to give one; with none
 * it makes one of kind. The last line is `N passed, N failed`.
 */
import { dump } from './dump.ts';
import type { Life } from './life.ts';
import { type Previous, previousVersion } from './previous.ts';
import { findSite, NoClusterError, type Site } from './site.ts';
import { STEPS } from './steps.ts';

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

try {
  const site = await findSite();
  const before = await previousVersion();
  const passed = await play(site, before);
  before?.remove();
  await site.leave();
  const failed = passed === STEPS.length ? 0 : 1;
  console.log(`\n${passed} passed, ${failed} failed`);
  process.exitCode = failed;
} catch (error) {
  if (!(error instanceof NoClusterError)) throw error;
  console.error(`e2e: ${error.message}`);
  process.exitCode = 2;
}
