import { describe, expect, test } from 'vitest';
import { claimIssuer } from './issuer-claim.ts';
import { IssuerHolders } from './issuer-holders.ts';

const holder = (issuer: string, namespaceUid = 'ns-other', name = 'other') => ({
  issuer,
  owner: { namespace: 'identity', name, uid: `uid-of-${name}`, namespaceUid },
});

function claim(asked: string | undefined, holders = [holder('https://h.example/abc')]) {
  const index = new IssuerHolders();
  for (const one of holders) index.set(one.owner.uid, one);
  return claimIssuer({
    namespace: 'identity',
    namespaceUid: 'ns-1',
    name: 'login',
    ...(asked === undefined ? {} : { asked }),
    allowed: 'https://h.example/',
    publicUrl: 'https://tokens.example',
    holders: index,
  });
}

describe('an issuer that another set has', () => {
  test.each([
    ['as it is', 'https://h.example/abc'],
    ['in another case', 'https://H.example/ABC'],
    ['with an encoded letter', 'https://h.example/a%62c'],
    ['with an empty segment', 'https://h.example//abc'],
    ['with the default port and a slash', 'https://h.example:443/abc/'],
    ['one level down', 'https://h.example/abc/d'],
    ['one level up', 'https://h.example/'],
  ])('is refused %s', (_how, asked) => {
    expect(claim(asked)).toMatchObject({ granted: false, reason: 'IssuerConflict' });
  });

  test('is refused to a namespace made again under the same name: its tokens still verify', () => {
    const before = [holder('https://tokens.example/identity/login', 'ns-0', 'login')];
    const retired = before.map((ring) => ({ ...ring, retiredAt: 1 }));
    expect(claim(undefined, retired)).toMatchObject({
      reason: 'IssuerConflict',
      message: expect.stringContaining('when the last of them has expired'),
    });
    expect(claim(undefined, before)).toMatchObject({ granted: false, reason: 'IssuerConflict' });
  });

  test('is granted to the set itself, made again or not', () => {
    const own = [holder('https://tokens.example/identity/login', 'ns-1', 'login')];
    expect(claim(undefined, own)).toMatchObject({ granted: true, source: 'default' });
  });
});

test.each(['https://h.example/sign', 'https://h.example/%73ign', 'https://h.example/x/API'])(
  '%s is refused: the segment is an endpoint',
  (asked) => {
    expect(claim(asked)).toMatchObject({
      granted: false,
      message: expect.stringContaining('endpoint of every issuer'),
    });
  },
);

test.each(['https://h.example/%zz', 'https://10.0.0.256/', 'https://a.1/'])(
  '%s, which clients cannot read, is refused for that reason, not for what the namespace allows',
  (asked) => {
    expect(claim(asked)).toMatchObject({
      reason: 'IssuerNotAllowed',
      message: expect.stringContaining(`${asked} is no URL that clients can read`),
    });
  },
);

test('an issuer is free again when its holder has another one, or none', () => {
  const index = new IssuerHolders();
  const overlapping = (issuer: string) =>
    [...index.overlapping(issuer)].map(({ owner }) => owner.uid);
  index.set('one', holder('https://h.example/a/b'));
  index.set('two', holder('https://h.example/a/c'));
  expect(overlapping('https://h.example/a')).toEqual(['uid-of-other', 'uid-of-other']);
  expect(overlapping('https://h.example/a/b/c')).toHaveLength(1);
  expect(overlapping('https://h.example/a/bc')).toEqual([]);
  index.set('one', holder('https://h.example/d'));
  index.delete('two');
  expect(overlapping('https://h.example/a')).toEqual([]);
  expect(overlapping('https://h.example/')).toHaveLength(1);
});
