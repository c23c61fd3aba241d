import { beforeEach, describe, expect, it } from 'vitest';
import { aKeyring } from '../../test/support/keyrings.ts';
import { signJwt } from '../keys/jwt.ts';
import { Authorizer, type Caller, type Power, type ReviewResult } from './authorize.ts';

const ring = await aKeyring().build();
const other = await aKeyring().with({ issuer: 'https://other.example.com/' }).build();
const alice: Caller = { username: 'alice', groups: [], extra: {} };

/** An API server of which the test says what it answers, and how often it was asked. */
class Cluster {
  readonly tokens = new Map([['alice’s token', alice]]);
  readonly powers = new Set<Power>(['claims']);
  asked = 0;
  down = false;

  async authenticate(token: string): Promise<Caller | undefined> {
    this.asked += 1;
    if (this.down) throw new Error('connection refused');
    return this.tokens.get(token);
  }

  async mayCreate(_caller: Caller, power: Power): Promise<boolean> {
    return this.powers.has(power);
  }
}

let cluster: Cluster;
let now: number;
let results: ReviewResult[];
let authorizer: Authorizer;

beforeEach(() => {
  cluster = new Cluster();
  now = 0;
  results = [];
  authorizer = new Authorizer(
    cluster,
    () => now,
    (result) => results.push(result),
    () => 0.4,
  );
});

const ask = (token = 'alice’s token', power: Power = 'claims', of = ring) =>
  authorizer.authorize(token, power, of);

/** Everything that was asked has been answered. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('an authorization', () => {
  it('is never given by a token of the set itself, though the API server trusts it', async () => {
    const key = ring.keys.find(({ state }) => state === 'current')?.privateKey;
    if (key === undefined) throw new Error('the ring cannot sign');
    const claims = { iss: ring.issuer, aud: ring.issuer };
    const { algorithm, kid } = ring.keys[0] ?? expect.fail('no key');
    const own = await signJwt({ algorithm, kid, privateKey: key, type: 'JWT', claims });
    cluster.tokens.set(own, alice);
    await expect(ask(own)).rejects.toMatchObject({ code: 'token_invalid' });
    expect(await ask(own, 'claims', other)).toEqual(alice);
  });

  it('counts for ten seconds and no longer, though the binding was revoked at once', async () => {
    expect(await ask()).toEqual(alice);
    cluster.powers.clear();
    now = 9_999;
    expect(await ask()).toEqual(alice);
    now = 10_000;
    await expect(ask()).rejects.toMatchObject({ code: 'permission_denied' });
    expect(results.at(-1)).toBe('denied');
  });

  it('is renewed before it ends, here after eight seconds, so that a caller who goes on waits for nothing', async () => {
    for (const time of [0, 7_999, 8_000, 15_999]) {
      now = time;
      expect(await ask()).toEqual(alice);
      await settled();
    }
    expect(cluster.asked).toBe(2);
    expect(results).toEqual(['allowed', 'cached', 'cached', 'allowed', 'cached']);
  });

  it('that is refused when it is renewed counts no more', async () => {
    await ask();
    cluster.powers.clear();
    now = 8_000;
    expect(await ask()).toEqual(alice);
    await settled();
    await expect(ask()).rejects.toMatchObject({ code: 'permission_denied' });
  });

  it('that was refused is asked for again after two seconds', async () => {
    cluster.powers.clear();
    await expect(ask()).rejects.toMatchObject({ code: 'permission_denied' });
    cluster.powers.add('claims');
    now = 1_999;
    await expect(ask()).rejects.toMatchObject({ code: 'permission_denied' });
    now = 2_000;
    expect(await ask()).toEqual(alice);
  });

  it('is asked for once by equal requests at the same time', async () => {
    await Promise.all(Array.from({ length: 50 }, () => ask()));
    expect(cluster.asked).toBe(1);
  });

  it.each([
    ['token', () => ask('another token'), 'token_invalid'],
    ['power', () => ask(undefined, 'token'), 'permission_denied'],
  ])('is worth nothing for another %s', async (_what, asking, code) => {
    await ask();
    await expect(asking()).rejects.toMatchObject({ code });
  });

  it('is asked for again for another issuer', async () => {
    await ask();
    await ask(undefined, 'claims', other);
    expect(cluster.asked).toBe(2);
  });

  it('that cannot be had is a refusal, and no decision that is kept', async () => {
    cluster.down = true;
    const atOnce = await Promise.allSettled([ask(), ask(), ask()]);
    const refused = { reason: expect.objectContaining({ code: 'authorization_unavailable' }) };
    expect(atOnce).toEqual(atOnce.map(() => expect.objectContaining(refused)));
    await expect(ask()).rejects.toMatchObject({ code: 'authorization_unavailable' });
    cluster.down = false;
    expect(await ask()).toEqual(alice);
    expect(results).toEqual(['cached', 'cached', 'failed', 'failed', 'allowed']);
  });

  it('that is known outlives the API server by its seconds, then nobody may', async () => {
    await ask();
    cluster.down = true;
    now = 9_000;
    expect(await ask()).toEqual(alice);
    now = 10_000;
    await expect(ask()).rejects.toMatchObject({ code: 'authorization_unavailable' });
  });
});
