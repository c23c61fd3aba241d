import { beforeEach, describe, expect, it } from 'vitest';
import { aKeyring, NOW } from '../../test/support/keyrings.ts';
import { DAY, secretName } from '../api/constants.ts';
import { encodeKeyring } from '../keys/codec.ts';
import type { Keyring } from '../keys/keyring.ts';
import { type KeySecret, readKeySecret } from './key-secret.ts';
import { Keyrings } from './keyrings.ts';
import { requestedLocations } from './location.ts';

function secretOf(ring: Keyring, createdAt = 0): KeySecret {
  const data = Object.entries(encodeKeyring(ring)).map(([name, text]) => [
    name,
    Buffer.from(text).toString('base64'),
  ]);
  return readKeySecret({
    metadata: { name: secretName(ring.owner.uid), creationTimestamp: new Date(createdAt) },
    data: Object.fromEntries(data),
  });
}

/** The Secret of a set, of which nothing can be read. */
function damagedSecretOf(uid: string, resourceVersion = '1'): KeySecret {
  return readKeySecret({ metadata: { name: secretName(uid), resourceVersion }, data: {} });
}

const ring = (uid: string, changes: Partial<Keyring> = {}, name = 'login') =>
  aKeyring()
    .with({ owner: { namespace: 'identity', name, uid, namespaceUid: 'n' }, ...changes })
    .build();

let keyrings: Keyrings;
beforeEach(() => {
  keyrings = new Keyrings();
});

const at = (host: string, ...segments: string[]) =>
  keyrings.find(requestedLocations(host, segments))?.set?.ring.owner.uid;

describe('a set', () => {
  it('is found by the host and path of its issuer, and by its name on any host', async () => {
    keyrings.load(secretOf(await ring('one', { issuer: 'https://a.example.com:8443/t' })));
    keyrings.load(secretOf(await ring('two', { issuer: 'http://b.example.com/' }, 'two')));
    expect(at('a.example.com:8443', 't')).toBe('one');
    expect(at('A.example.com:8443', 't', '')).toBe('one');
    expect(at('b.example.com:80')).toBe('two');
    expect(at('anything', 'identity', 'two')).toBe('two');
    expect(at('a.example.com', 't')).toBeUndefined();
    expect(at('b.example.com', 'identity')).toBeUndefined();
  });

  it('that signs comes before one that does not, and the newer before the older', async () => {
    const [retired, older, newer] = await Promise.all([
      ring('retired', { retiredAt: 1 }),
      ring('older'),
      ring('newer'),
    ]);
    keyrings.load(secretOf(older, 1));
    keyrings.load(secretOf(newer, 2));
    keyrings.load(secretOf(retired, 3));
    expect(at('login.example.com')).toBe('newer');
    keyrings.load(secretOf({ ...newer, retiredAt: 2 }, 2));
    expect(at('login.example.com')).toBe('older');
  });

  it('that continues another comes before it, though it is stored as long', async () => {
    keyrings.load(secretOf(await ring('former'), 5));
    keyrings.load(secretOf(await ring('later', { formerUids: ['former'] }), 5));
    expect(at('login.example.com')).toBe('later');
  });
});

describe('what is kept of a Secret', () => {
  it('has of the private keys only the one that signs', async () => {
    const ring = await aKeyring().previous(2).build();
    expect(ring.keys.filter(({ privateKey }) => privateKey !== undefined)).toHaveLength(3);
    const { content } = secretOf(ring);
    const kept = 'keys' in content ? content.keys : [];
    expect(kept).toHaveLength(4);
    const [current, ...others] = kept;
    expect(current).toMatchObject({ state: 'current', privateKey: expect.anything() });
    for (const key of others) expect(key).not.toHaveProperty('privateKey');
  });
});

describe('a damaged Secret', () => {
  it('is named as one that could not be loaded, until it is mended or gone', async () => {
    const good = secretOf(await ring('one'));
    keyrings.load(good);
    keyrings.load(damagedSecretOf('one', '7'));
    keyrings.load(damagedSecretOf('two', '8'));
    expect(keyrings.unloadable()).toEqual([
      { uid: 'one', version: 7n },
      { uid: 'two', version: 8n },
    ]);
    keyrings.load(good);
    keyrings.remove(secretName('two'), 0);
    expect(keyrings.unloadable()).toEqual([]);
  });

  it('leaves a copy as old as the confirmation before the first damage (I14)', async () => {
    const [then, later] = [1, 2].map((at) => ({ wall: at, monotonic: at }));
    const good = secretOf(await ring('one'));
    expect(keyrings.load(good, then).kept).toBeUndefined();
    keyrings.load(damagedSecretOf('one', '7'), then);
    expect(keyrings.load(damagedSecretOf('one', '8'), later).kept).toEqual({ confirmed: then });
    expect(keyrings.load(good, later).kept).toBeUndefined();
  });
});

describe('the oldest signing key', () => {
  it('is looked for among sets that sign', async () => {
    expect(keyrings.oldestSigningSince()).toBeUndefined();
    const young = await aKeyring().at(NOW).build();
    const old = await aKeyring()
      .with({ owner: { ...young.owner, uid: 'old' } })
      .at(NOW - DAY)
      .build();
    keyrings.load(secretOf(young));
    const since = keyrings.oldestSigningSince() ?? 0;
    keyrings.load(secretOf(old));
    expect(keyrings.oldestSigningSince()).toBe(since - DAY);
    keyrings.load(secretOf({ ...old, retiredAt: NOW }));
    expect(keyrings.oldestSigningSince()).toBe(since);
  });
});

describe('a set whose Secret is gone', () => {
  it('is kept for a day', async () => {
    keyrings.load(secretOf(await ring('lost')));
    keyrings.remove(secretName('lost'), 0);
    keyrings.expire(DAY - 1);
    expect(at('login.example.com')).toBe('lost');
    expect(keyrings.count()).toMatchObject({ active: 0, orphaned: 1 });
    keyrings.expire(DAY);
    expect(at('login.example.com')).toBeUndefined();
    expect(keyrings.count()).toMatchObject({ orphaned: 0 });
  });

  it('gives way to the same set with other keys, not to another one', async () => {
    keyrings.load(secretOf(await ring('lost')));
    keyrings.remove(secretName('lost'), 0);
    keyrings.load(secretOf(await ring('other', { issuer: 'https://other.example.com/' })));
    expect(keyrings.count()).toMatchObject({ active: 1, orphaned: 1 });
    keyrings.load(secretOf(await ring('same')));
    expect(keyrings.count()).toMatchObject({ active: 2, orphaned: 0 });
    expect(at('login.example.com')).toBe('same');
  });

  it('is not kept where another Secret goes on with it', async () => {
    keyrings.load(secretOf(await ring('former')));
    keyrings.load(secretOf(await ring('resumed', { formerUids: ['former'] })));
    keyrings.remove(secretName('former'), 0);
    expect(keyrings.count()).toMatchObject({ active: 1, orphaned: 0 });
    expect(at('login.example.com')).toBe('resumed');
  });

  it('does not sign again for a damaged one in its place', async () => {
    const lost = secretOf(await ring('lost'));
    keyrings.load(lost);
    keyrings.remove(secretName('lost'), 0);
    const { standing, damage } = keyrings.load(damagedSecretOf('lost'));
    expect(standing).toBe('orphaned');
    expect(damage).toMatch(/keyring.json/);
    expect(keyrings.load(lost).standing).toBe('active');
  });

  it('is one of a thousand at most', async () => {
    const template = await ring('template');
    for (let index = 0; index <= 1_000; index += 1) {
      const uid = `lost-${index}`;
      const owner = { ...template.owner, uid, name: uid };
      keyrings.load(secretOf({ ...template, owner, issuer: `https://${uid}.example.com/` }));
      keyrings.remove(secretName(uid), index);
    }
    expect(keyrings.count()).toMatchObject({ orphaned: 1_000 });
    expect(at('lost-0.example.com')).toBeUndefined();
    expect(at('lost-1000.example.com')).toBe('lost-1000');
  });
});
