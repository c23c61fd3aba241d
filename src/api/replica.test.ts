import { describe, expect, it } from 'vitest';
import { HOUR } from './constants.ts';
import { claimLoaded, readReplica, writeReplica } from './replica.ts';

const REPORT = {
  pod: 'signet-0',
  watermark: 2n ** 63n,
  unloadable: ['a', 'b'],
  maxStaleness: HOUR,
};
const confirmedAt = Date.UTC(2026, 0, 1);

describe('the Lease of a replica', () => {
  it('is read as it was written', () => {
    const { metadata, spec } = writeReplica(REPORT);
    const lease = { metadata, spec: { ...spec, renewTime: new Date(confirmedAt).toISOString() } };
    expect(readReplica(lease)).toEqual({ ...REPORT, confirmedAt });
    expect(readReplica(writeReplica(REPORT))).toBeUndefined();
  });

  it.each([
    ['no watermark', { 'signet.dev/watermark': '' }],
    ['a watermark that is no version', { 'signet.dev/watermark': '-1' }],
    ['no R', { 'signet.dev/max-staleness': 'soon' }],
  ])('with %s counts as none', (_, annotations) => {
    const { metadata, spec } = writeReplica(REPORT);
    const edited = { ...metadata, annotations: { ...metadata.annotations, ...annotations } };
    const renewTime = new Date(confirmedAt);
    expect(readReplica({ metadata: edited, spec: { ...spec, renewTime } })).toBeUndefined();
  });

  it('claims to have loaded nothing that it could not, though only twenty fit', () => {
    const failed = Array.from({ length: 25 }, (_, n) => ({
      uid: `${n}`,
      version: BigInt(100 + n),
    }));
    const { watermark, unloadable } = claimLoaded(500n, failed.toReversed());
    expect(unloadable).toHaveLength(20);
    const counted = failed.filter(({ uid, version }) => {
      return version <= watermark && !unloadable.includes(uid);
    });
    expect(counted).toEqual([]);
    expect(watermark).toBe(119n);
    expect(claimLoaded(500n, failed.slice(0, 20)).watermark).toBe(500n);
  });
});
