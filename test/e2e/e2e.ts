/**
 * `npm run e2e`: Signet on a real cluster, as a user would. site.ts says how to give one; with none
 * it makes one of kind. The last line is `N passed, N failed`.
 */
import assert from 'node:assert/strict';
import { dump } from './dump.ts';
import { clearAway } from './leftovers.ts';
import type { Life } from './life.ts';
import { type Previous, previousVersion } from './previous.ts';
import { findSite, NoClusterError, type Site } from './site.ts';
import { STEPS, type Step } from './steps.ts';

const BASE = 'node:26-bookworm-slim';
const MOST_ADDED = 90_000_000;

interface Tally {
  readonly passed: number;
  readonly failed: number;
}

/** Plays the steps; the first that fails ends the run. What is skipped counts as neither. */
async function play(site: Site, before: Previous | undefined): Promise<Tally> {
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
  let passed = 0;
  for (const step of STEPS) {
    if (step.only !== undefined && step.only !== (previous ? 'with-previous' : 'without')) {
      if (step.only === 'with-previous') console.log(`- ${step.name}: SKIPPED`);
      continue;
    }
    if (!(await passes(step, life))) return { passed, failed: 1 };
    passed += 1;
  }
  return { passed, failed: 0 };
}

async function passes({ name, run }: Step, life: Life): Promise<boolean> {
  const started = performance.now();
  try {
    await run(life);
  } catch (error) {
    console.log(`✗ ${name}`);
    console.error(error);
    await dump(life.site);
    return false;
  }
  console.log(`✓ ${name} (${((performance.now() - started) / 1_000).toFixed(1)} s)`);
  return true;
}

/** Undone when the run ends, also by Ctrl-C: the last first. */
const cleanups: (() => Promise<void>)[] = [];

async function cleanUp(): Promise<void> {
  for (const undo of cleanups.splice(0).reverse()) await undo();
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void cleanUp().finally(() => process.exit(1)));
}
try {
  const site = await findSite((undo) => cleanups.push(undo));
  await clearAway(site);
  const before = await previousVersion();
  if (before) cleanups.push(async () => before.remove());
  const { passed, failed } = await play(site, before);
  console.log(`\n${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
} catch (error) {
  if (!(error instanceof NoClusterError)) throw error;
  console.error(`e2e: ${error.message}`);
  process.exitCode = 2;
} finally {
  await cleanUp();
}
