import { decodeProtectedHeader } from 'jose';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { MINUTE, SECOND } from '../../../src/api/constants.ts';
import type { Keyring, KeyState } from '../../../src/keys/keyring.ts';
import { sharedCluster } from '../../support/cluster.ts';
import { eventually } from '../../support/eventually.ts';
import { aKeyring } from '../../support/keyrings.ts';
import { type FaultyNetwork, startProxy } from '../kube/proxy.ts';
import { json, startWorld, type World } from './world.ts';

const R = 8 * SECOND;

let network: FaultyNetwork;
let world: World;
let login: Keyring;

beforeAll(async () => {
  const cluster = await sharedCluster();
  network = await startProxy(cluster.server);
  world = await startWorld({ maxStaleness: R, clockSkew: MINUTE, apiPort: network.port });
  login = await world.store(await aKeyring().with(world.identity('login')).build());
});
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  await network?.[Symbol.asyncDispose]();
});

interface Attempt {
  readonly startedAt: number;
  readonly status: number;
  readonly kid: string | undefined;
}

async function sign(): Promise<Attempt> {
  const startedAt = performance.now();
  const response = await world.fetch(`/${world.tenant}/login/sign`, {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      Authorization: `Bearer ${await world.token('authority', login.issuer)}`,
    },
    body: '{"claims":{}}',
  });
  const { token } = await json<{ token?: string }>(response);
  const kid = token === undefined ? undefined : decodeProtectedHeader(token).kid;
  return { startedAt, status: response.status, kid };
}

const kidOf = (ring: Keyring, state: KeyState) => ring.keys.find((key) => key.state === state)?.kid;

/** What a rotation leaves: next has become current. */
function rotated(ring: Keyring): Keyring {
  const after = { next: 'current', current: 'next', previous: 'previous' } as const;
  return { ...ring, keys: ring.keys.map((key) => ({ ...key, state: after[key.state] })) };
}

it('a watch that is dead but looks quiet confirms nothing: no old key signs after R, the new one does', async () => {
  const [before, after] = [kidOf(login, 'current'), kidOf(login, 'next')];
  expect(await sign()).toMatchObject({ status: 200, kid: before });
  network.swallow();
  const changedAt = performance.now();
  await world.replace(rotated(login));

  const attempts: Attempt[] = [];
  await eventually(
    async () => {
      const attempt = await sign();
      attempts.push(attempt);
      return attempt.kid === after;
    },
    { timeout: MINUTE, interval: 100 },
  );
  const late = attempts.filter(({ startedAt }) => startedAt > changedAt + R);
  expect(late.filter(({ kid }) => kid === before)).toEqual([]);
  expect(attempts.filter(({ kid }) => kid === before)).not.toEqual([]);
  await eventually(() => expect(world.issuer.ready()).toBe(true));
});
