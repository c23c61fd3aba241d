import { beforeEach, describe, expect, it } from 'vitest';
import { aKeyring } from '../../test/support/keyrings.ts';
import { SECRET_TYPE, secretName } from '../api/constants.ts';
import type { KeyStatus } from '../api/signingkeyset.generated.ts';
import { encodeKeyring } from '../keys/codec.ts';
import type { Keyring } from '../keys/keyring.ts';
import { Keyrings } from './keyrings.ts';
import { knownRevoked, toWriteBack } from './lost-keyring.ts';
import type { SecretObject } from './objects.ts';

let found: string[];
let keyrings: Keyrings;
beforeEach(() => {
  found = [];
  keyrings = new Keyrings(({ namespace, name }, { reason, message }) => {
    found.push(`${namespace}/${name} ${reason}`, message);
  });
});

function secretOf(ring: Keyring): SecretObject {
  const entries = Object.entries(encodeKeyring(ring));
  const data = entries.map(([name, text]) => [name, Buffer.from(text).toString('base64')]);
  const metadata = { name: secretName(ring.owner.uid) };
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type: SECRET_TYPE,
    metadata,
    data: Object.fromEntries(data),
  };
}

function load(ring: Keyring): SecretObject {
  const object = secretOf(ring);
  keyrings.take({ type: 'upsert', object });
  return object;
}

function status(ring: Keyring, state: KeyStatus['state']): KeyStatus[] {
  const [key] = ring.keys;
  const { kid = '', algorithm = 'ES256' } = key ?? {};
  return [{ kid, state, algorithm, createdAt: '2026-01-01T00:00:00Z' }];
}

describe('a Secret that is gone', () => {
  it('is written back as it was when its deletion was seen, whatever the status says', async () => {
    const ring = await aKeyring().build();
    keyrings.take({ type: 'delete', object: load(ring), isLast: true });
    const lost = keyrings.lost(ring.owner.uid);
    expect(lost?.isLast).toBe(true);
    expect(lost && toWriteBack(lost, { keys: status(ring, 'revoked') })).toBe(lost?.keyring);
  });

  it('and was only found missing, is written back unless that revives a key or lacks the one that signs', async () => {
    const [ring, other] = await Promise.all([aKeyring().build(), aKeyring().keysFrom(10).build()]);
    keyrings.take({ type: 'delete', object: load(ring), isLast: false });
    const lost = keyrings.lost(ring.owner.uid) ?? expect.fail('nothing is lost');
    expect(toWriteBack(lost, undefined)).toBe(lost.keyring);
    expect(toWriteBack(lost, { keys: status(ring, 'current') })).toBe(lost.keyring);
    expect(toWriteBack(lost, { keys: status(ring, 'revoked') })).toBeUndefined();
    expect(toWriteBack(lost, { keys: status(other, 'current') })).toBeUndefined();
  });

  it('of a set that was deleted is not written back', async () => {
    const ring = await aKeyring().with({ retiredAt: 1 }).build();
    keyrings.take({ type: 'delete', object: load(ring), isLast: true });
    expect(keyrings.lost(ring.owner.uid)).toBeUndefined();
  });
});

describe('what was revoked in a keyring that cannot be read', () => {
  it('is known from what was last read of it, and from the status, which outlives a controller', async () => {
    const ring = await aKeyring().revoked(1).build();
    const { uid } = ring.owner;
    keyrings.take({ type: 'upsert', object: { ...load(ring), data: {} } });
    expect(keyrings.of(uid)?.keyring).toBeUndefined();
    const named = { keys: [...status(ring, 'revoked'), ...status(ring, 'current')] };
    const kids = knownRevoked(keyrings.lastGood(uid), named).map(({ kid }) => kid);
    expect(kids).toEqual([ring.revoked[0]?.kid, ring.keys[0]?.kid]);
    expect(knownRevoked(undefined, named).map(({ kid }) => kid)).toEqual([ring.keys[0]?.kid]);
    expect(knownRevoked(undefined)).toEqual([]);
  });
});

describe('a Secret that was put back to an older state', () => {
  it('is known with what was read before, until somebody goes on from it', async () => {
    const before = await aKeyring().previous(1).build();
    const after = { ...before, requests: { number: 7, ids: [] } };
    const { uid } = before.owner;
    load(after);
    expect(keyrings.newer(uid)).toBeUndefined();
    load(before);
    load(before);
    expect(keyrings.newer(uid)?.requests.number).toBe(7);
    expect(keyrings.of(uid)?.keyring?.requests.number).toBe(before.requests.number);
    keyrings.take({ type: 'delete', object: load(before), isLast: true });
    expect(keyrings.lost(uid)?.keyring.requests.number).toBe(7);
    load(before);
    load({ ...before, requests: { number: 3, ids: [] } });
    expect(keyrings.newer(uid)).toBeUndefined();
    expect(found).toEqual([]);
  });

  it('or damaged still counts as it was last read, but not where a newer version wrote it', async () => {
    const ring = await aKeyring().build();
    const { namespace, name } = ring.owner;
    const object = { ...load(ring), data: {} };
    keyrings.take({ type: 'upsert', object });
    expect(keyrings.named(namespace, name)).toEqual([ring]);
    const newer = Buffer.from('{"format": 99}').toString('base64');
    keyrings.take({ type: 'upsert', object: { ...object, data: { 'keyring.json': newer } } });
    expect(keyrings.named(namespace, name)).toEqual([]);
  });

  it('or damaged is told of, and counted until it is mended', async () => {
    const ring = await aKeyring().build();
    const object = { ...load(ring), data: {} };
    keyrings.take({ type: 'upsert', object });
    expect(found[0]).toBe('identity/login KeyringDamaged');
    expect(found[1]).toContain(
      'until R (--max-staleness, 1h unless set) after they last confirmed',
    );
    expect(keyrings.damaged).toBe(1);
    load(ring);
    expect(keyrings.damaged).toBe(0);
    expect(found).toHaveLength(2);
  });
});
