import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DAY, HOUR, MINUTE, SECOND } from '../../../src/api/constants.ts';
import type { Keyring } from '../../../src/keys/keyring.ts';
import { type ControlPlane, startControlPlane } from '../../controlplane/controlplane.ts';
import { eventually } from '../../support/eventually.ts';
import { aKeyring } from '../../support/keyrings.ts';
import { type Account, json, startWorld, type World } from './world.ts';

let plane: ControlPlane;
let world: World;
let login: Keyring;
/** In milliseconds; a quarter of it is what a busy API server has to answer a list. */
const R = 10 * SECOND;
/** How far this issuer's clock is off. */
let skew = 0;

beforeAll(async () => {
  plane = await startControlPlane();
  const options = { maxStaleness: R, clockSkew: MINUTE, clock: () => Date.now() + skew };
  world = await startWorld(options, plane);
  login = await world.store(await aKeyring().with(world.identity('login')).build());
});
afterAll(async () => {
  plane?.components.apiserver.resume();
  await world?.[Symbol.asyncDispose]();
  await plane?.stop();
});

async function sign(account: Account = 'authority') {
  const response = await world.fetch(`/${world.tenant}/login/sign`, {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      Authorization: `Bearer ${await world.token(account, login.issuer)}`,
    },
    body: '{"claims":{}}',
  });
  const { code } = await json<{ code?: string }>(response);
  return { status: response.status, code, retryAfter: response.headers.get('retry-after') };
}

const lapsed = { status: 503, code: 'replica_lapsed', retryAfter: '10' };

describe('a replica', () => {
  it('goes on signing while nothing changes, far beyond R', async () => {
    const until = Date.now() + 1.5 * R;
    await eventually(async () => {
      expect((await sign()).status).toBe(200);
      return Date.now() > until;
    });
  });

  it('that is cut off publishes but signs no more after R, and recovers by itself', async () => {
    plane.components.apiserver.pause();
    const pausedAt = performance.now();
    let lastSigned = pausedAt;
    await eventually(async () => {
      const askedAt = performance.now();
      const answer = await sign();
      if (answer.status === 200) lastSigned = askedAt;
      expect(answer).toEqual(lapsed);
    });
    // Its threads stop one after another.
    expect(lastSigned - pausedAt).toBeLessThan(R + 250);
    await eventually(() => expect(world.issuer.ready()).toMatch(/last confirmed \d+ s ago/));
    const jwks = await world.fetch(`/${world.tenant}/login/.well-known/jwks.json`);
    expect(jwks.status).toBe(200);
    plane.components.apiserver.resume();
    await eventually(async () => expect((await sign()).status).toBe(200));
    await eventually(() => expect(world.issuer.ready()).toBe(true));
  });

  it('that is refused by an API server that answers signs no more after R, and stays ready to publish', async () => {
    const kept = async () => {
      const jwks = await world.fetch(`/${world.tenant}/login/.well-known/jwks.json`);
      return `${jwks.status} ${jwks.headers.get('cache-control')}`;
    };
    expect(await kept()).toBe('200 public, max-age=300');
    await world.forbid('secrets');
    await eventually(async () => expect(await sign()).toEqual(lapsed));
    expect(world.issuer.ready()).toBe(true);
    // Nobody waits for it before a key signs: no cache is to keep what it gives (I1).
    expect(await kept()).toBe('200 no-cache');
    await world.allow();
    await eventually(async () => expect((await sign()).status).toBe(200));
    expect(await kept()).toBe('200 public, max-age=300');
  });

  it('that cannot ask who calls lets nobody new in', async () => {
    await world.token('both', login.issuer);
    await plane.components.apiserver.kill();
    try {
      expect(await sign('both')).toEqual({
        status: 503,
        code: 'authorization_unavailable',
        retryAfter: '2',
      });
    } finally {
      await plane.components.apiserver.restart();
    }
    const recovered = async () => expect((await sign('both')).status).toBe(200);
    await eventually(recovered);
  });

  it('signs no more after R with the last good copy of a Secret that is damaged, and serves it (I14)', async () => {
    await world.replace(login, { 'keyring.json': '{' });
    const unavailable = { status: 503, code: 'keyring_unavailable' };
    await eventually(async () => expect(await sign()).toMatchObject(unavailable));
    expect(world.issuer.ready()).toBe(true);
    const jwks = await world.fetch(`/${world.tenant}/login/.well-known/jwks.json`);
    expect((await json<{ keys: unknown[] }>(jwks)).keys).toHaveLength(2);
    await world.replace(login);
    await eventually(async () => expect((await sign()).status).toBe(200));
  });

  it('whose clock jumps by more than S signs nothing at once, and publishes (I16)', async () => {
    await eventually(async () => expect((await sign()).status).toBe(200));
    for (const jump of [50 * MINUTE, 2 * DAY, -HOUR]) {
      skew = jump;
      const jwks = await world.fetch(`/${world.tenant}/login/.well-known/jwks.json`);
      expect(jwks.status).toBe(200);
      expect(await sign()).toEqual(lapsed);
      expect(world.issuer.ready()).toBe(true);
      skew = 0;
      await eventually(async () => expect((await sign()).status).toBe(200));
    }
  });

  it('does not sign while its clock and the API server’s differ by more than S, and says so', async () => {
    skew = -HOUR;
    await eventually(async () => expect(await sign()).toEqual(lapsed));
    const told = expect.objectContaining({
      msg: 'Signs nothing, and goes on publishing.',
      reason: expect.stringMatching(/the clock differs from the API server's by \d+ s/),
    });
    await eventually(() => expect(world.lines).toContainEqual(told));
    expect(world.issuer.ready()).toBe(true);
    skew = 0;
    await eventually(async () => expect((await sign()).status).toBe(200));
  });
});
