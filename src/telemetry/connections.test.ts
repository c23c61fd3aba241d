import { describe, expect, it } from 'vitest';
import { peerOf } from './connections.ts';
import { Shares } from './shares.ts';

it.each([
  ['192.0.2.7', '192.0.2.7'],
  ['::ffff:192.0.2.7', '192.0.2.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['fe80::1:2:3:4', 'fe80:0:0:0::/64'],
])('the peer %s counts as %s', (address, peer) => {
  expect(peerOf(address)).toBe(peer);
});

describe('what is shared', () => {
  it('is given to one up to its share, to all up to what there is, and comes back', () => {
    const shares = new Shares({ total: 10, each: 6 });
    const taken = [shares.take('a', 6), shares.take('a', 1), shares.take('b', 5)];
    expect(taken).toEqual([true, false, false]);
    expect(shares.take('b', 4)).toBe(true);
    expect(shares.take('c', 1)).toBe(false);
    shares.giveBack('a', 4);
    expect([shares.take('c', 3), shares.take('a', 2), shares.take('a', 1)]).toEqual([
      true,
      false,
      true,
    ]);
  });
});
