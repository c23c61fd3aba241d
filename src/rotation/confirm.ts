import type { Instant, RevokedKey, SigningKey } from '../keys/keyring.ts';
import { behind } from './gate.ts';
import type { Situation, Transition } from './situation.ts';

/**
 * Writes down what was seen everywhere: that every live replica has loaded this keyring or a newer
 * one, and that every ConfigMap carries a key, or does not carry a revoked one any more.
 */
export function confirmPublication({ ring, observed, stamp }: Situation): Transition | undefined {
  if (behind(observed.replicas).length > 0) return undefined;
  const carried = observed.publishers.map(({ kids }) => new Set(kids));
  const keys = ring.keys.map((key) =>
    carried.every((kids) => kids.has(key.kid)) ? publishedAt(key, stamp) : key,
  );
  const revoked = ring.revoked.map((key) =>
    carried.some((kids) => kids.has(key.kid)) ? key : goneAt(key, stamp),
  );
  const isUnchanged =
    keys.every((key, index) => key === ring.keys[index]) &&
    revoked.every((key, index) => key === ring.revoked[index]);
  if (isUnchanged) return undefined;
  return { kind: 'Publish', keyring: { ...ring, keys, revoked }, confirm: false, notices: [] };
}

function publishedAt(key: SigningKey, stamp: Instant): SigningKey {
  return key.publishedAt === undefined ? { ...key, publishedAt: stamp } : key;
}

function goneAt(key: RevokedKey, stamp: Instant): RevokedKey {
  return key.revokedEverywhereAt === undefined ? { ...key, revokedEverywhereAt: stamp } : key;
}
