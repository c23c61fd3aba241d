import { expect } from 'vitest';
import { PENDING_ANNOTATION } from '../../../src/api/constants.ts';
import { eventually } from '../../support/eventually.ts';
import { ES256, LONG_GRACE, type Tenant, type TenantSet } from './world.ts';

/** Its next key may sign as soon as it is published, and previous ones stay. */
export const AT_ONCE = { ...ES256, ...LONG_GRACE, rotation: { propagationDelay: '0s' } };
/** The ConfigMap of a set called `login`. */
export const TARGET = 'login-keys';

/** A set with a ConfigMap, once all is published. */
export async function makePublished(tenant: Tenant, name = 'login'): Promise<TenantSet> {
  const publish = { configMaps: [{ name: `${name}-keys` }] };
  const set = await tenant.applyReady({ ...AT_ONCE, publish }, { name });
  await set.until('Published', 'True');
  return set;
}

/** Types `rotate=now` without kubectl, which takes longer than the rotation. */
export async function request(set: TenantSet): Promise<void> {
  await set.tenant.admin.patch(set.path, { metadata: { annotations: { rotate: 'now' } } });
}

/** Waits until nothing is left to do. */
export async function settled(set: TenantSet): Promise<void> {
  await set.until('RotationPending', 'NoRequest');
  await set.until('Published', 'True');
}

/** Exactly so many promotions: each leaves one previous key, and the record is of the last. */
export async function expectPromotions(set: TenantSet, times: number): Promise<void> {
  await eventually(async () => {
    const { requests, keys } = await set.keyring();
    expect(requests.number).toBe(times);
    expect(keys.every(({ publishedAt }) => publishedAt !== undefined)).toBe(true);
  });
  await settled(set);
  const { keys, revoked, lastRotation } = await set.keyring();
  const previous = keys.filter(({ state }) => state === 'previous');
  expect(previous).toHaveLength(times);
  expect(revoked).toEqual([]);
  expect(lastRotation).toMatchObject({ from: previous[0]?.kid, to: await set.kid('current') });
  expect(Object.keys(await set.annotations())).not.toContain(PENDING_ANNOTATION);
}
