import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HOUR, SECOND } from '../../../src/api/constants.ts';
import { eventually } from '../../support/eventually.ts';
import type { TenantSet } from '../controller/world.ts';
import { FAULT, P, PATIENCE, Site } from './site.ts';

const MOVED_CLOCK = join(import.meta.dirname, '..', '..', 'support', 'moved-clock.ts');
const dir = mkdtempSync(join(tmpdir(), 'signet-clock-'));
const files = { controller: join(dir, 'controller'), issuer: join(dir, 'issuer') };

let site: Site;
let set: TenantSet;

/** Moves the wall clock of one process, in milliseconds from the real one. */
function move(role: keyof typeof files, by: number): void {
  writeFileSync(files[role], `${by}`);
}

beforeAll(async () => {
  move('controller', 0);
  move('issuer', 0);
  const movable = (file: string) => ({
    NODE_OPTIONS: `--import=${MOVED_CLOCK}`,
    MOVED_CLOCK: file,
  });
  site = await Site.start(async () => ({
    env: { controller: movable(files.controller), issuer: movable(files.issuer) },
  }));
  set = await site.set();
}, FAULT.timeout);
afterAll(async () => {
  await site?.stop();
  rmSync(dir, { recursive: true });
});

/** From when the controller says that the clocks differ, for longer than P. */
async function standsStill(): Promise<void> {
  await set.until('ClockSkew', 'True', PATIENCE.timeout);
  const before = (await set.keyring()).keys.map(({ kid, state }) => [kid, state]);
  await delay(2 * P * SECOND);
  expect((await set.keyring()).keys.map(({ kid, state }) => [kid, state])).toEqual(before);
}

describe('the clock of the controller', FAULT, () => {
  it.each([
    ['forward', HOUR],
    ['back', -HOUR],
  ])(
    'jumps %s by an hour: nothing is promoted or revoked until it is right again (I16), no token is refused',
    async (_, by) => {
      await site.inMidRotation(set, async () => {
        move('controller', by);
        await standsStill();
        move('controller', 0);
        await set.until('ClockSkew', 'False', PATIENCE.timeout);
      });
    },
  );

  it('is wrong when it starts: nothing is promoted or revoked until it is right (I16), no token is refused', async () => {
    await site.inMidRotation(set, async () => {
      await site.stack.controller.kill('SIGTERM');
      move('controller', HOUR);
      await site.stack.controller.restart();
      await standsStill();
      move('controller', 0);
    });
  });
});

describe('the clock of the issuer', FAULT, () => {
  it.each([
    ['forward', HOUR],
    ['back', -HOUR],
  ])(
    'jumps %s by an hour: it signs nothing until it is right again and never stops publishing, no token is refused',
    async (_, by) => {
      const { unpublished } = await site.traffic.tally();
      await site.inMidRotation(set, async () => {
        move('issuer', by);
        await site.lapses();
        await eventually(async () => {
          const { signed } = await site.traffic.tally();
          await delay(SECOND);
          return (await site.traffic.tally()).signed === signed;
        }, PATIENCE);
        move('issuer', 0);
      });
      expect((await site.traffic.tally()).unpublished).toBe(unpublished);
    },
  );
});

it('afterwards nothing but Leases is written (I20)', FAULT, () => site.fallsSilent());
