import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HOUR, MINUTE } from '../../../src/api/constants.ts';
import { eventually } from '../../support/eventually.ts';
import {
  startWatchedController,
  takeLeaseAway,
  type WatchedController,
} from './watched-controller.ts';
import { ES256, LONG_GRACE, startWorld, type TenantSet, type World } from './world.ts';

/** How far the controller's clock is off; it has S = 1 s, and dates have whole seconds. */
let skew = 0;
let world: World;
let controller: WatchedController;

beforeAll(async () => {
  world = await startWorld();
  await world.stack.controller.kill('SIGKILL');
  await takeLeaseAway(world);
  controller = await startWatchedController(world, 'skewed-controller', () => Date.now() + skew);
});
afterAll(async () => {
  await controller?.stop();
  await world?.stop();
});

async function make(): Promise<TenantSet> {
  const set = await (await world.tenant()).applyReady({ ...ES256, ...LONG_GRACE });
  await set.until('Published', 'True');
  return set;
}

/** The other clocks are right: whatever the controller wrote while its own was wrong must hold. */
describe('a controller whose clock is off by more than S', () => {
  it.each([
    ['ahead', HOUR],
    ['behind', -HOUR],
  ])('(%s) promotes and revokes nothing, says so, and goes on when it is right', async (_, off) => {
    const set = await make();
    const [first, second] = [await set.kid('current'), await set.kid('next')];
    await set.annotate('rotate=now');
    await set.promoted(first);
    await set.until('Published', 'True');
    const { metadata } = (await set.secret()) ?? {};
    skew = off;
    await set.until('ClockSkew', 'True', MINUTE);
    await set.annotate('rotate=now', 'revoke=previous');
    await set.until('RotationPending', 'ClockSkew');
    expect(await set.kid('current')).toBe(second);
    expect(await set.kids('previous')).toEqual([first]);
    expect((await set.secret())?.metadata.resourceVersion).toBe(metadata?.resourceVersion);
    skew = 0;
    await set.promoted(second, MINUTE);
    await set.until('ClockSkew', 'False');
    const { promotedAt = 0 } = (await set.keyring()).keys[0] ?? {};
    await eventually(() => expect(Date.now()).toBeGreaterThanOrEqual(promotedAt));
    expect(await set.kids('previous')).toEqual([second]);
  });
});
