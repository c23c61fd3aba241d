import type { Instant, RevokedKey, SigningKey } from '../keys/keyring.ts';
import { behind } from './gate.ts';
import { nextKey, type Situation, type Transition } from './situation.ts';
import { toPublish } from './transitions.ts';

/**
 * Writes down what was seen everywhere: that every live replica has loaded this keyring or a newer
 * one, and that every ConfigMap carries a key, or does not carry a revoked one any more.
 */
export function confirmPublication({ ring, observed, stamp }: Situation): Transition | undefined {
  if (behind(observed.replicas).length > 0) return undefined;
  const { publishers } = observed;
  const keys = ring.keys.map((key) =>
    publishers.every(({ kids, isLeaving }) => isLeaving || kids.includes(key.kid))
      ? publishedAt(key, stamp)
      : key,
  );
  const revoked = ring.revoked.map((key) =>
    publishers.some(({ kids }) => kids.includes(key.kid)) ? key : goneAt(key, stamp),
  );
  const isUnchanged =
    keys.every((key, index) => key === ring.keys[index]) &&
    revoked.every((key, index) => key === ring.revoked[index]);
  if (isUnchanged) return undefined;
  return { kind: 'Publish', keyring: { ...ring, keys, revoked }, confirm: false, notices: [] };
}

/**
 * Somebody took the next key out of a ConfigMap, as by writing an older one back: gateways go on with
 * that for a while after it is written again, so the key is published anew (I1, I3).
 */
export function unpublishLost({ ring, observed }: Situation): Transition | undefined {
  const isLost = observed.publishers.some(({ lacksNext }) => lacksNext);
  if (!isLost || nextKey(ring).publishedAt === undefined) return undefined;
  const keys = ring.keys.map((key) => (key.state === 'next' ? toPublish(key) : key));
  return { kind: 'Unpublish', keyring: { ...ring, keys }, confirm: false, notices: [] };
}

function publishedAt(key: SigningKey, stamp: Instant): SigningKey {
  return key.publishedAt === undefined ? { ...key, publishedAt: stamp } : key;
}

function goneAt(key: RevokedKey, stamp: Instant): RevokedKey {
  return key.revokedEverywhereAt === undefined ? { ...key, revokedEverywhereAt: stamp } : key;
}
