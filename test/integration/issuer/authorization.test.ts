import { afterAll, beforeAll, expect, it } from 'vitest';
import { SECOND } from '../../../src/api/constants.ts';
import type { Keyring } from '../../../src/keys/keyring.ts';
import { eventually } from '../../support/eventually.ts';
import { aKeyring } from '../../support/keyrings.ts';
import { startWorld, type World } from './world.ts';

let world: World;
let login: Keyring;

beforeAll(async () => {
  world = await startWorld();
  login = await world.store(await aKeyring().with(world.identity('login')).build());
});
afterAll(() => world?.[Symbol.asyncDispose]());

async function sign(): Promise<number> {
  const token = await world.token('authority', login.issuer);
  const response = await world.fetch(`/${world.tenant}/login/sign`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` },
    body: '{"claims":{}}',
  });
  return response.status;
}

async function reviews(): Promise<number> {
  const text = await world.registry.metrics();
  const counts = text.matchAll(/signet_authorizations_total\{result="(?:allowed|denied)"\} (\d+)/g);
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
}

it('equal requests at once ask the API server once', async () => {
  const statuses = await Promise.all(Array.from({ length: 20 }, sign));
  expect(new Set(statuses)).toEqual(new Set([200]));
  expect(await reviews()).toBe(1);
});

it('a role binding that is taken away stops counting within ten seconds', async () => {
  expect(await sign()).toBe(200);
  await world.cluster.kubectl(['delete', 'rolebinding', 'authority', '-n', world.tenant]);
  const may = ['auth', 'can-i', 'create', 'signingkeysets.signet.dev/claims', '-n', world.tenant];
  const asked = [...may, `--as=${world.username('authority')}`];
  // The API server's own view of its roles lags a little.
  await eventually(async () => expect(world.cluster.kubectl(asked)).rejects.toThrow());
  const takenAt = performance.now();
  let lastAllowed = takenAt;
  await eventually(async () => {
    const askedAt = performance.now();
    const status = await sign();
    if (status === 200) lastAllowed = askedAt;
    expect(status).toBe(403);
  });
  expect(lastAllowed - takenAt).toBeLessThan(10 * SECOND);
});
