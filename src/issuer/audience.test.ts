import { describe, expect, it } from 'vitest';
import { chooseAudience, isReserved } from './audience.ts';

const open = { issuer: 'https://login.example.com/t/', audiences: [] };
const strict = { ...open, audiences: ['https://api.example.com', 'billing'] };

describe('the audience of a token', () => {
  it.each([
    ['the issuer, where the set has no list', open, [], open.issuer],
    ['the first of the list', strict, [], 'https://api.example.com'],
    ['what was asked for', strict, ['billing'], 'billing'],
    [
      'several, each once',
      strict,
      ['billing', 'https://api.example.com', 'billing'],
      ['billing', 'https://api.example.com'],
    ],
    ['anything that is not reserved, where the set has no list', open, ['x'], 'x'],
  ])('is %s', (_what, ring, requested, expected) => {
    expect(chooseAudience(ring, requested)).toEqual(expected);
  });

  it.each([
    ['audience_not_allowed', strict, ['billing', 'other']],
    ['audience_not_allowed', strict, ['https://api.example.com/']],
    ['audience_invalid', open, ['']],
    ['audience_invalid', open, Array.from({ length: 17 }, (_, index) => `a${index}`)],
    ['audience_reserved', open, ['x', 'https://login.example.com/t/api/v2/']],
    [
      'audience_reserved',
      { ...open, audiences: ['https://login.example.com/t/api/v2/'] },
      ['https://login.example.com/t/api/v2/'],
    ],
  ])('is refused with %s', (code, ring, requested) => {
    expect(() => chooseAudience(ring, requested)).toThrow(expect.objectContaining({ code }));
  });
});

describe('the management API of an issuer is seen through', () => {
  it.each([
    'https://login.example.com/t/api/v2/',
    'https://login.example.com/t/api/v2',
    'HTTPS://LOGIN.EXAMPLE.COM/t/API/v2/',
    'https://login.example.com:443/t/api/v2/',
    'http://login.example.com:80/t/api/v2/',
    'https://login.example.com./t/api/v2/',
    'https://user@login.example.com/t/api/v2/',
    'https://login.example.com//t///api/v2/',
    'https://login.example.com/t/x/../api/v2/',
    'https://login.example.com/t/%61pi/v2/',
    'https://login.example.com/t/%2561pi%252fv2/',
    'https://login.example.com/t/%252525252561pi/v2/',
    'https://login.example.com/t/%61pi/v2/%zz',
    'https://login.example.com/t/%61pi/v2/%ff/x',
    'https://login.example.com/t/api/v2%3Fx',
    'https://login.example.com\\t\\api\\v2\\',
    ' https://login.example.com/t/api/v2/\n',
    'https://login.example.com/t/api/v2/?x#y',
    'https://login.example.com/t/api/v2/keys/signing',
  ])('%s', (audience) => expect(isReserved(open.issuer, audience)).toBe(true));

  it.each([
    'https://login.example.com/t/',
    'https://login.example.com/t/api/v20/',
    'https://login.example.com/u/api/v2/',
    'https://login.example.com:8443/t/api/v2/',
    'https://api.example.com/t/api/v2/',
    'billing',
  ])('and %s is another audience', (audience) =>
    expect(isReserved(open.issuer, audience)).toBe(false),
  );
});
