import { DAY, SET_NAME_LABEL, SET_NAMESPACE_LABEL, setUidOf } from '../api/constants.ts';
import type { Unloadable } from '../api/replica.ts';
import type { Keyring } from '../keys/keyring.ts';
import type { KeySecret } from './key-secret.ts';
import { issuerLocation, type Location, nameLocation } from './location.ts';
import { type ServedSet, serve } from './served.ts';

/** A moment by two clocks: either may stand still or jump. */
export interface Stamp {
  /** Unix milliseconds. */
  readonly wall: number;
  /** Milliseconds of `performance.now()`. */
  readonly monotonic: number;
}

/** `active` signs; `retired` and `orphaned` only go on publishing; `damaged` can do neither. */
export type Standing = 'active' | 'retired' | 'orphaned' | 'damaged';

/** What this replica holds of one key Secret. */
export interface Holding {
  readonly secret: string;
  readonly createdAt: number;
  readonly standing: Standing;
  readonly locations: readonly Location[];
  /** Absent when damaged and never read before. */
  readonly set?: ServedSet;
  /** Why the newest version of the Secret is not in use; the last good copy is. */
  readonly damage?: string;
  /** The resourceVersion of the Secret that is damaged. */
  readonly damagedVersion?: bigint;
  /**
   * The last good copy of a damaged Secret: when it was last confirmed. What was done to the Secret
   * since, a promotion in a newer format perhaps, cannot be known (I14).
   */
  readonly kept?: { readonly confirmed: Stamp | undefined };
  /** When the Secret of a set that was still signing disappeared. */
  readonly orphanedAt?: number;
}

/** How long, in milliseconds, the last JWKS of a set is served after its Secret disappeared. */
const ORPHAN_LIFE = DAY;
const MAX_ORPHANS = 1_000;
const RANK: readonly Standing[] = ['active', 'retired', 'orphaned', 'damaged'];

/**
 * Every set that this replica serves, found by where it is asked for. Fed with key Secrets; knows
 * nothing of HTTP.
 */
export class Keyrings {
  readonly #held = new Map<string, Holding>();
  readonly #at = new Map<Location, readonly Holding[]>();

  /**
   * Takes a Secret as it is now. A damaged one leaves the last good copy in use.
   * @param confirmed when everything that is held was last confirmed.
   */
  load(secret: KeySecret, confirmed?: Stamp): Holding {
    const name = secret.metadata?.name ?? '';
    const before = this.#held.get(name);
    const { content } = secret;
    const holding =
      'damage' in content
        ? keepLastCopy(secret, content.damage, before, confirmed)
        : accept(secret, content);
    this.#replace(before, holding);
    if (holding.standing === 'active') this.#dropOrphansOf(holding);
    return holding;
  }

  /**
   * The Secret is gone. A set that was signing keeps its last JWKS until its keys are written back
   * or replaced, for a day at most; one that was retired, or goes on in another Secret, has ended.
   */
  remove(name: string, now: number): void {
    const before = this.#held.get(name);
    if (before === undefined) return;
    const signed = before.standing === 'active' && before.set !== undefined;
    const lost = signed && !this.#isSucceeded(before);
    this.#replace(before, lost ? { ...before, standing: 'orphaned', orphanedAt: now } : undefined);
    this.expire(now);
  }

  /** Forgets what was orphaned a day ago, and the oldest where there are too many. */
  expire(now: number): void {
    const orphans = [...this.#held.values()]
      .filter((one) => one.orphanedAt !== undefined)
      .sort((a, b) => (b.orphanedAt ?? 0) - (a.orphanedAt ?? 0));
    for (const [index, one] of orphans.entries()) {
      const over = index >= MAX_ORPHANS || now - (one.orphanedAt ?? 0) >= ORPHAN_LIFE;
      if (over) this.#replace(one, undefined);
    }
  }

  /** The set at the first of `locations` that has one. */
  find(locations: readonly Location[]): Holding | undefined {
    for (const location of locations) {
      const [best] = this.#at.get(location) ?? [];
      if (best !== undefined) return best;
    }
    return undefined;
  }

  /** How many sets have which standing; one with a damaged Secret counts as that alone. */
  count(): Readonly<Record<Standing, number>> {
    const counts = { active: 0, retired: 0, orphaned: 0, damaged: 0 };
    for (const { standing, damage } of this.#held.values()) {
      counts[damage === undefined ? standing : 'damaged'] += 1;
    }
    return counts;
  }

  /** The sets whose Secret, as it is now, cannot be used. */
  unloadable(): readonly Unloadable[] {
    return [...this.#held.values()].flatMap(({ secret, damagedVersion: version }) => {
      const uid = setUidOf(secret);
      return version === undefined || uid === undefined ? [] : [{ uid, version }];
    });
  }

  /** When the current key that signs for longest, of all active sets, began to; Unix ms. */
  oldestSigningSince(): number | undefined {
    const active = [...this.#held.values()].filter(({ standing }) => standing === 'active');
    const since = active
      .flatMap(({ set }) => set?.ring.keys.filter(({ state }) => state === 'current') ?? [])
      .map(({ promotedAt, createdAt }) => promotedAt ?? createdAt);
    return since.length === 0 ? undefined : Math.min(...since);
  }

  #replace(before: Holding | undefined, after: Holding | undefined): void {
    for (const location of before?.locations ?? []) {
      const rest = (this.#at.get(location) ?? []).filter((one) => one !== before);
      if (rest.length > 0) this.#at.set(location, rest);
      else this.#at.delete(location);
    }
    if (before !== undefined) this.#held.delete(before.secret);
    if (after === undefined) return;
    this.#held.set(after.secret, after);
    for (const location of after.locations) {
      this.#at.set(location, [...(this.#at.get(location) ?? []), after].sort(precedence));
    }
  }

  /** Whether the same set signs from another Secret. */
  #isSucceeded(holding: Holding): boolean {
    const others = holding.locations.flatMap((location) => this.#at.get(location) ?? []);
    return others.some(
      (one) => one !== holding && one.standing === 'active' && sameSet(one, holding),
    );
  }

  #dropOrphansOf(successor: Holding): void {
    const orphans = new Set(
      successor.locations.flatMap((location) => this.#at.get(location) ?? []),
    );
    for (const one of orphans) {
      if (one.standing === 'orphaned' && sameSet(one, successor)) this.#replace(one, undefined);
    }
  }
}

function accept(secret: KeySecret, ring: Keyring): Holding {
  return {
    secret: secret.metadata?.name ?? '',
    createdAt: createdAt(secret),
    standing: ring.retiredAt === undefined ? 'active' : 'retired',
    locations: locationsOf(ring),
    set: serve(ring),
  };
}

function keepLastCopy(
  secret: KeySecret,
  damage: string,
  before: Holding | undefined,
  confirmed: Stamp | undefined,
): Holding {
  const { name = '', resourceVersion = 0, labels = {} } = secret.metadata ?? {};
  const now = { damage, damagedVersion: BigInt(resourceVersion) };
  if (before?.set !== undefined) return { kept: { confirmed }, ...before, ...now };
  const { [SET_NAMESPACE_LABEL]: namespace, [SET_NAME_LABEL]: set } = labels;
  const locations = namespace && set ? [nameLocation(namespace, set)] : [];
  return { secret: name, createdAt: createdAt(secret), standing: 'damaged', locations, ...now };
}

function createdAt({ metadata }: KeySecret): number {
  return new Date(metadata?.creationTimestamp ?? 0).getTime();
}

function locationsOf(ring: Keyring): readonly Location[] {
  const byIssuer = issuerLocation(ring.issuer);
  const byName = nameLocation(ring.owner.namespace, ring.owner.name);
  return byIssuer === undefined ? [byName] : [byIssuer, byName];
}

/**
 * Two keyrings can stand at one place for a moment, when a set is made again (`KeysResumed`) and
 * the old Secret is not gone yet. The one that signs comes first, then the one that continues the
 * other, then the newer one.
 */
function precedence(a: Holding, b: Holding): number {
  return (
    RANK.indexOf(a.standing) - RANK.indexOf(b.standing) ||
    Number(continues(b, a)) - Number(continues(a, b)) ||
    b.createdAt - a.createdAt ||
    a.secret.localeCompare(b.secret)
  );
}

function continues(a: Holding, b: Holding): boolean {
  const former = b.set?.ring.owner.uid;
  return former !== undefined && a.set?.ring.formerUids.includes(former) === true;
}

/** Whether a verifier and a caller would take both for one. */
export function sameSet(a: Pick<Holding, 'set'>, b: Pick<Holding, 'set'>): boolean {
  const [left, right] = [a.set?.ring, b.set?.ring];
  return (
    left?.issuer === right?.issuer &&
    left?.owner.namespace === right?.owner.namespace &&
    left?.owner.name === right?.owner.name
  );
}
