import { randomUUID } from 'node:crypto';
import { decodeProtectedHeader } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { secretName } from '../../../src/api/constants.ts';
import { encodeKeyring } from '../../../src/keys/codec.ts';
import type { Keyring, SigningKey } from '../../../src/keys/keyring.ts';
import { eventually } from '../../support/eventually.ts';
import { aKeyring } from '../../support/keyrings.ts';
import { json, startWorld, type World } from './world.ts';

let world: World;

beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.[Symbol.asyncDispose]());

/** What stands at a set: the kids that verify, and the one that signs or why none does. */
async function look({ owner, issuer }: Keyring) {
  const at = `/${world.tenant}/${owner.name}`;
  const published = await world.fetch(`${at}/.well-known/jwks.json`);
  const { keys = [], code } = await json<{ keys?: { kid: string }[]; code?: string }>(published);
  const signed = await world.fetch(`${at}/sign`, {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      Authorization: `Bearer ${await world.token('authority', issuer)}`,
    },
    body: '{"claims":{}}',
  });
  const reply = await json<{ token?: string; code?: string }>(signed);
  return {
    jwks: code ?? keys.map(({ kid }) => kid),
    signs: reply.token === undefined ? reply.code : decodeProtectedHeader(reply.token).kid,
    status: signed.status,
    retryAfter: signed.headers.get('retry-after'),
  };
}

const kids = ({ keys }: Keyring) => keys.map(({ kid }) => kid);
const build = (name: string) => aKeyring().with(world.identity(name)).build();

/** One rotation, as the controller writes it. */
async function rotated(ring: Keyring): Promise<Keyring> {
  const [current, next] = ring.keys;
  const fresh = await aKeyring().keysFrom(20).build();
  const after = fresh.keys.find((key) => key.state === 'next');
  if (current === undefined || next === undefined || after === undefined)
    throw new Error('no keys');
  const now = Date.now();
  const keys: SigningKey[] = [
    { ...next, state: 'current', promotedAt: now },
    after,
    { ...current, state: 'previous', demotedAt: now, revokeAt: now + ring.maxLifetime },
  ];
  return { ...ring, keys };
}

describe('a keyring', () => {
  it('that was rotated is served, and its new key signs', async () => {
    const before = await world.store(await build('rotated'));
    const after = await rotated(before);
    expect(await look(before)).toMatchObject({ jwks: kids(before), signs: kids(before)[0] });
    await world.replace(after);
    const seen = async () => expect(await look(after)).toMatchObject({ signs: kids(after)[0] });
    await eventually(seen);
    expect(await look(after)).toMatchObject({ jwks: kids(after) });
  });

  it('that was damaged leaves the last good copy in use until it is mended', async () => {
    const good = await world.store(await build('damaged'));
    const secret = secretName(good.owner.uid);
    await world.replace(good, { 'keyring.json': '{' });
    const told = 'A key Secret is damaged; the last good copy is in use.';
    await eventually(() => world.heard(told, secret));
    expect(await look(good)).toMatchObject({ jwks: kids(good), signs: kids(good)[0] });
    expect(await world.registry.metrics()).toContain('signet_keyrings{standing="damaged"} 1');
    const mended = await rotated(good);
    await world.replace(mended);
    await eventually(async () => expect((await look(mended)).signs).toBe(kids(mended)[0]));
  });

  it('that was never read whole is not available, which is another thing than unknown', async () => {
    const ring = await build('never-read');
    await world.create(ring, { [`${kids(ring)[0]}.key`]: 'not a key' });
    const told = 'A key Secret is damaged; the set is not served.';
    await eventually(() => world.heard(told, secretName(ring.owner.uid)));
    expect(await look(ring)).toEqual({
      jwks: 'keyring_unavailable',
      signs: 'keyring_unavailable',
      status: 503,
      retryAfter: '5',
    });
  });

  it('whose Secret is deleted goes on verifying, and signs again when it is back', async () => {
    const ring = await world.store(await build('lost'));
    await world.delete(ring);
    await eventually(async () => expect((await look(ring)).signs).toBe('keyring_unavailable'));
    expect(await look(ring)).toMatchObject({ jwks: kids(ring), status: 503, retryAfter: '5' });
    await world.create(ring, {});
    await eventually(async () => expect((await look(ring)).signs).toBe(kids(ring)[0]));
  });

  it('that was lost gives way to the new keys of the same set', async () => {
    const lost = await world.store(await build('replaced'));
    await world.delete(lost);
    await eventually(async () => expect((await look(lost)).signs).toBe('keyring_unavailable'));
    const keys = (await aKeyring().keysFrom(30).build()).keys;
    const fresh = await world.store({ ...lost, ...world.identity('replaced'), keys });
    expect(await look(fresh)).toMatchObject({ jwks: kids(fresh), signs: kids(fresh)[0] });
  });

  it('of a deleted set verifies and does not sign; deleting it too ends the set', async () => {
    const ring = await world.store(await build('retired'));
    await world.replace({ ...ring, retiredAt: Date.now() });
    await eventually(async () => expect((await look(ring)).signs).toBe('set_deleted'));
    expect(await look(ring)).toMatchObject({ jwks: kids(ring), status: 410 });
    await world.delete(ring);
    await eventually(async () => expect((await look(ring)).jwks).toBe('set_unknown'));
  });

  it('that resumes a retired one takes its place while both are there', async () => {
    const old = await world.store({ ...(await build('resumed')), retiredAt: 1 });
    const uid = randomUUID();
    const { retiredAt: _, ...kept } = await rotated(old);
    const resumed: Keyring = {
      ...kept,
      owner: { ...old.owner, uid },
      formerUids: [old.owner.uid],
    };
    await world.store(resumed);
    expect(await look(resumed)).toMatchObject({ jwks: kids(resumed), signs: kids(resumed)[0] });
    await world.delete(old);
    await eventually(() => world.heard('A key Secret is gone.', secretName(old.owner.uid)));
    expect(await look(resumed)).toMatchObject({ jwks: kids(resumed), signs: kids(resumed)[0] });
  });

  it('that was copied to another Secret is not served from there', async () => {
    const ring = await world.store(await build('copied'));
    const copy = await rotated({ ...ring, owner: { ...ring.owner, uid: randomUUID() } });
    await world.create(copy, encodeKeyring({ ...copy, owner: ring.owner }));
    const told = 'A key Secret is damaged; the set is not served.';
    await eventually(() => world.heard(told, secretName(copy.owner.uid)));
    expect(await look(ring)).toMatchObject({ jwks: kids(ring), signs: kids(ring)[0] });
  });

  it('is never shown with a private member, in no reply and no line of the log', () => {
    expect(world.leaks()).toEqual([]);
  });
});
