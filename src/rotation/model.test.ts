import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { every, POLICY, World } from '../../test/support/situations.ts';
import { jwksMaxAge } from '../api/caching.ts';
import { DAY, HOUR, MINUTE, PENDING_ANNOTATION, SECOND } from '../api/constants.ts';
import type { Instant, Keyring, KeyState } from '../keys/keyring.ts';
import { currentKey, nextKey, type Policy, previousKeys } from './situation.ts';

const HISTORIES = 3_000;

/** The only ways between states (I7); `gone` is everything that leaves the keyring. */
const WAYS: Readonly<Record<KeyState, readonly (KeyState | 'gone')[]>> = {
  next: ['next', 'current', 'gone'],
  current: ['current', 'previous', 'gone'],
  previous: ['previous', 'gone'],
};

interface Token {
  readonly kid: string;
  readonly expiresAt: Instant;
}

/** What the issuer served from one moment to another, and what a cache may make of it. */
interface Served {
  readonly ring: Keyring;
  readonly from: Instant;
  to: Instant;
}

/**
 * A world in which every step is held against the rules, with everything that was ever served
 * remembered: a verifier that follows the cache headers may still hold any of it.
 */
class Watched extends World {
  readonly #history: Served[] = [];
  readonly #tokens: Token[] = [];
  readonly #revokedByRequest = new Set<string>();
  readonly #promisedDelay = new Map<string, number>();
  readonly #everPublished = new Set<string>();

  override step(): boolean {
    this.#remember();
    const before = this.#rings();
    const did = super.step();
    const after = this.#rings();
    for (const ring of after) this.#checkRing(ring, before);
    for (const ring of before) this.#checkLosses(ring, after);
    this.#remember();
    return did;
  }

  /** Signs as a replica would that confirmed its keyring `staleness` ago. */
  sign(staleness: number): void {
    const asOf = this.now - staleness;
    const seen = this.#history.findLast(({ from, to }) => from <= asOf && asOf <= to);
    if (seen === undefined || seen.ring.retiredAt !== undefined) return;
    const { kid } = currentKey(seen.ring);
    this.#tokens.push({ kid, expiresAt: this.now + seen.ring.maxLifetime });
  }

  /** I1: every token that is neither expired nor deliberately revoked verifies, for everybody. */
  verify(): void {
    this.#remember();
    const valid = this.#tokens.filter(
      ({ kid, expiresAt }) => expiresAt > this.now && !this.#revokedByRequest.has(kid),
    );
    // What is served now, and every copy that its max-age still allows; `no-cache` allows none.
    const served = this.#history.at(-1);
    const held = this.#history.filter(
      (one) => one === served || one.to + maxAgeOf(one.ring) > this.now,
    );
    for (const { kid } of valid) {
      for (const { ring } of held) {
        expect(
          ring.keys.map((key) => key.kid),
          'I1: a JWKS somebody may hold',
        ).toContain(kid);
      }
    }
  }

  revokeByRequest(kids: readonly string[]): void {
    for (const kid of kids) this.#revokedByRequest.add(kid);
  }

  #rings(): Keyring[] {
    return [...(this.ring === undefined ? [] : [this.ring]), ...this.former];
  }

  #remember(): void {
    const last = this.#history.at(-1);
    const [ring] = this.#rings();
    if (ring === undefined) return;
    if (
      last !== undefined &&
      ring.keys.some(({ kid }) => last.ring.keys.some((key) => key.kid === kid))
    )
      last.to = this.now;
    if (ring !== last?.ring) {
      this.#history.push({ ring, from: this.now, to: this.now });
    }
  }

  #checkRing(ring: Keyring, before: readonly Keyring[]): void {
    const count = (state: KeyState) => ring.keys.filter((key) => key.state === state).length;
    expect([count('current'), count('next')], 'I2, I21').toEqual([1, 1]);
    expect(count('previous'), 'I18').toBeLessThanOrEqual(3);
    const { kid } = nextKey(ring);
    const promised = Math.max(this.#promisedDelay.get(kid) ?? 0, ring.propagationDelay);
    if (ring.retiredAt === undefined) this.#promisedDelay.set(kid, promised);
    const old = before.find(({ keys }) =>
      keys.some((key) => ring.keys.some((k) => k.kid === key.kid)),
    );
    if (old !== undefined) this.#checkChange(old, ring);
    for (const key of ring.keys) {
      const isNew = old?.keys.every((other) => other.kid !== key.kid);
      if (isNew) expect(this.#everPublished, 'I8').not.toContain(key.kid);
      this.#everPublished.add(key.kid);
    }
  }

  #checkChange(old: Keyring, ring: Keyring): void {
    expect(ring.requests.number - old.requests.number, 'I9').toBeGreaterThanOrEqual(0);
    expect(ring.requests.number - old.requests.number, 'I9').toBeLessThanOrEqual(1);
    for (const key of ring.keys) {
      const was = old.keys.find(({ kid }) => kid === key.kid);
      if (was === undefined) continue;
      expect(WAYS[was.state], 'I7').toContain(key.state);
      expect(key.tokensUntil ?? 0, 'I22: tokensUntil').toBeGreaterThanOrEqual(was.tokensUntil ?? 0);
      expect(key.revokeAt ?? 0, 'I22: revokeAt').toBeGreaterThanOrEqual(was.revokeAt ?? 0);
      if (was.state === 'next' && key.state === 'current' && !key.inFirstJwks) {
        const waited = this.now - (key.publishedAt ?? Number.POSITIVE_INFINITY);
        expect(waited, 'I3').toBeGreaterThanOrEqual(this.#promisedDelay.get(key.kid) ?? 0);
      }
    }
  }

  /** A key leaves when its tokens have expired or somebody asked for it; a next key at any time. */
  #checkLosses(ring: Keyring, after: readonly Keyring[]): void {
    const left = after.flatMap(({ keys }) => keys).map(({ kid }) => kid);
    for (const key of ring.keys) {
      if (left.includes(key.kid) || key.state === 'next') continue;
      if (this.#revokedByRequest.has(key.kid)) continue;
      expect(this.now, 'I5').toBeGreaterThanOrEqual(key.tokensUntil ?? Number.POSITIVE_INFINITY);
    }
  }
}

/** What the issuer says in Cache-Control; a retired keyring is not to be cached. */
function maxAgeOf(ring: Keyring): number {
  if (ring.retiredAt !== undefined) return 0;
  return jwksMaxAge(Math.min(ring.propagationDelay, nextKey(ring).propagationDelay));
}

/** One thing that happens: to be read in a failure as a line of a history. */
interface Happening {
  readonly what: string;
  readonly run: (world: Watched) => void;
}

function happening(what: string, run: (world: Watched) => void): Happening {
  return { what, run };
}

const times = fc.oneof(
  fc.integer({ min: 1, max: 90 }).map((n) => n * SECOND),
  fc.integer({ min: 1, max: 90 }).map((n) => n * MINUTE),
  fc.integer({ min: 1, max: 72 }).map((n) => n * HOUR),
);

const specChange: fc.Arbitrary<Partial<Policy>> = fc.oneof(
  fc
    .constantFrom(0, MINUTE, 10 * MINUTE, 90 * MINUTE, 6 * HOUR)
    .map((propagationDelay) => ({ propagationDelay })),
  fc.constantFrom(MINUTE, HOUR, DAY).map((maxLifetime) => ({ maxLifetime })),
  fc.constantFrom(HOUR, 2 * DAY).map((gracePeriod) => ({ gracePeriod })),
  fc.constantFrom('RS256', 'ES256', 'EdDSA').map((algorithm) => ({ algorithm })),
  fc.boolean().map((suspend) => ({ suspend })),
  fc.constantFrom(DAY, 7 * DAY).map((age) => every(age)),
  fc.constantFrom(SECOND, 5 * MINUTE).map((clockSkew) => ({ clockSkew })),
);

const happenings: fc.Arbitrary<Happening> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constant(
      happening('rotate=now', (world) => world.set && world.annotate({ rotate: 'now' })),
    ),
  },
  {
    weight: 2,
    arbitrary: fc
      .integer({ min: 0, max: 3 })
      .map((id) =>
        happening(
          `rotate=id:${id}`,
          (world) => world.set && world.annotate({ rotate: `id:${id}` }),
        ),
      ),
  },
  { weight: 1, arbitrary: fc.constant(happening('revoke=previous', revokePrevious)) },
  { weight: 1, arbitrary: fc.constant(happening('rotate=now revoke=<current>', rotateAndRevoke)) },
  { weight: 1, arbitrary: fc.constant(happening('revoke=<next>', revokeNext)) },
  {
    weight: 1,
    arbitrary: fc.constant(
      happening('cancel', (world) => world.set && world.annotate({ [PENDING_ANNOTATION]: null })),
    ),
  },
  {
    weight: 3,
    arbitrary: specChange.map((change) =>
      happening(`spec ${JSON.stringify(change)}`, (world) => world.spec(change)),
    ),
  },
  {
    weight: 5,
    arbitrary: times.map((time) =>
      happening(`wait ${time / SECOND}s`, (world) => world.wait(time)),
    ),
  },
  {
    weight: 5,
    arbitrary: fc
      .double({ min: 0, max: 1, noNaN: true })
      .map((share) =>
        happening(`sign ${share}`, (world) => world.sign(Math.floor(share * POLICY.maxStaleness))),
      ),
  },
  { weight: 1, arbitrary: fc.constant(happening('ConfigMap lags', lag)) },
  {
    weight: 1,
    arbitrary: fc.constant(
      happening('ConfigMap follows', (world) => {
        world.lagging = [];
        world.settle();
      }),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constant(happening('delete', (world) => world.set && world.delete())),
  },
  {
    weight: 2,
    arbitrary: fc.constant(happening('make again', (world) => world.set ?? world.recreate())),
  },
);

function revokePrevious(world: Watched): void {
  if (world.ring === undefined || world.policy.suspend) return;
  world.revokeByRequest(previousKeys(world.ring).map(({ kid }) => kid));
  world.annotate({ revoke: 'previous' });
}

function rotateAndRevoke(world: Watched): void {
  if (world.ring === undefined) return;
  const { kid } = currentKey(world.ring);
  world.revokeByRequest([kid]);
  world.annotate({ rotate: 'now', revoke: kid });
}

function revokeNext(world: Watched): void {
  if (world.ring !== undefined) world.annotate({ revoke: nextKey(world.ring).kid });
}

function lag(world: Watched): void {
  if (world.ring === undefined) return;
  world.lagging = [{ name: 'ConfigMap gateway', kids: world.ring.keys.map(({ kid }) => kid) }];
}

describe('through any history of requests, spec changes and time', () => {
  test('I1 I2 I3 I5 I7 I8 I9 I18 I20 I21 I22 hold after every step', { timeout: 120_000 }, () => {
    fc.assert(
      fc.property(fc.array(happenings, { maxLength: 40 }), (history) => {
        const world = new Watched();
        world.settle();
        for (const { run } of history) {
          run(world);
          world.verify();
        }
      }),
      {
        numRuns: HISTORIES,
        reporter: (run) => {
          if (!run.failed) return;
          const lines = run.counterexample?.[0].map(({ what }, index) => `${index + 1}. ${what}`);
          throw new Error(`seed ${run.seed}\n${lines?.join('\n')}\n${run.errorInstance}`);
        },
      },
    );
  });
});
