import { describe, expect, test } from 'vitest';
import * as the from '../../test/support/model/happenings.ts';
import { live } from '../../test/support/model/histories.ts';
import type { Universe } from '../../test/support/model/universe.ts';
import { DAY, HOUR, MINUTE } from '../api/constants.ts';
import { currentKey, nextKey } from './situation.ts';

const ROTATE = the.annotate({ rotate: 'now' });
const RESTORE = the.annotate({ 'signet.dev/restore': 'backup' });

/** Looks at the world in the midst of a history. */
function see(look: (universe: Universe) => void): the.Happening {
  return { what: 'somebody looks', run: look };
}

function current({ secret }: Universe): string {
  if (secret === undefined) throw new Error('there is no keyring');
  return currentKey(secret).kid;
}

/** Histories that broke a rule once; each was found by the model, or by thinking about it. */
describe('no rule is broken when', () => {
  test('a set is deleted and made again twice, and the controller crashed before it tidied up (I1)', () => {
    let signs = '';
    live([
      the.fault({ after: 2, kind: 'fails' }),
      the.remove,
      the.make,
      the.up,
      ROTATE,
      see((universe) => {
        signs = current(universe);
      }),
      the.sign(0),
      the.remove,
      the.make,
      see((universe) => expect(current(universe)).toBe(signs)),
    ]);
  });

  test('a key that was previous in the backup had signed again since (I1, I15)', () => {
    const universe = live([
      ROTATE,
      the.backUp,
      the.annotate({ rollback: 'now' }),
      the.wait(20 * HOUR),
      the.sign(0),
      the.damage,
      RESTORE,
      the.wait(10 * HOUR),
    ]);
    expect(universe.told).toContain('KeysRestoredFromBackup');
  });

  test('the next key of the backup had signed since, and the spec asks for another kind (I5)', () => {
    live([
      the.backUp,
      ROTATE,
      the.sign(0),
      the.damage,
      RESTORE,
      the.spec({ algorithm: 'ES256' }),
      the.wait(HOUR),
    ]);
  });

  test('keys are lost while the clock is wrong: no new ones until it is right, and the next waits (I1, I16)', () => {
    live([
      the.down,
      the.lose,
      the.clock(-2 * HOUR),
      the.up,
      see(({ secret }) => expect(secret).toBeUndefined()),
      the.clock(0),
      see(({ secret, told }) => {
        expect(told).toContain('KeysLost');
        expect(secret && nextKey(secret).inFirstJwks).toBe(false);
      }),
      ROTATE,
      the.sign(0),
    ]);
  });

  test('the first keys would have been made by a clock that is a year ahead (I9)', () => {
    live([the.remove, the.wait(2 * DAY), the.clock(400 * DAY), the.make, the.clock(0), ROTATE]);
  });

  test('L becomes shorter while a process runs that began with its clock behind (I15)', () => {
    live([
      the.sign(0),
      the.clock(-10 * HOUR),
      the.up,
      the.spec({ maxLifetime: HOUR }),
      the.clock(0),
      ROTATE,
      the.wait(20 * HOUR),
    ]);
  });

  test('R becomes shorter, and a replica of before is cut off (I15)', () => {
    live([
      the.spec({ maxLifetime: MINUTE }),
      ROTATE,
      the.wait(2 * DAY),
      the.spec({ maxStaleness: 5 * MINUTE, clockSkew: 1_000 }),
      the.cut(0),
      ROTATE,
      the.wait(50 * MINUTE),
      the.sign(0),
    ]);
  });

  test('a replica is cut off while a key is published, lapses, and comes back (I1)', () => {
    const universe = live([
      ROTATE,
      the.cut(0),
      the.annotate({ revoke: '<next>' }),
      the.wait(HOUR),
      see(({ secret }) => expect(secret && nextKey(secret).publishedAt).toBeUndefined()),
      the.wait(5 * MINUTE),
      see(({ secret }) => expect(secret && nextKey(secret).publishedAt).toBeDefined()),
      the.heal,
      the.sign(0),
    ]);
    expect(universe.told).not.toContain('RotationForced');
  });

  test('keys are lost, and another next key is made while copies of the lost JWKS live (I1)', () => {
    live([
      the.down,
      the.spec({ propagationDelay: 0 }),
      the.lose,
      the.up,
      the.spec({ propagationDelay: 90_000, algorithm: 'ES256' }),
      the.wait(2 * MINUTE),
      ROTATE,
      the.sign(0),
    ]);
  });

  test('a set is made again, and a replica that was cut off as it was deleted filled caches for R (I1)', () => {
    live([
      the.spec({ maxLifetime: MINUTE, clockSkew: 1_000 }),
      ROTATE,
      the.wait(2 * DAY),
      the.cut(0),
      the.remove,
      the.wait(62.5 * MINUTE),
      the.stop(0),
      the.make,
      the.sign(0),
    ]);
  });

  test('the answer to the write of a rotation is lost, and the request is typed again (I9)', () => {
    const universe = live([
      the.fault({ after: 1, kind: 'lost' }),
      ROTATE,
      the.up,
      see(({ isPending, secret }) => {
        expect(isPending).toBe(false);
        expect(secret?.requests.number).toBe(1);
      }),
      ROTATE,
    ]);
    expect(universe.secret?.requests.number).toBe(2);
  });
});
