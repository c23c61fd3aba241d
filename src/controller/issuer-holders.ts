import type { Keyring } from '../keys/keyring.ts';
import { placesTo } from './issuer-place.ts';

/** Who has an issuer: the set whose keyring exists. */
export type Holder = Pick<Keyring, 'issuer' | 'owner' | 'retiredAt'>;

type Holders = Map<string, Holder>;

/** Who has which issuer, found by place: each set asks in each pass, so nobody looks at all. */
export class IssuerHolders {
  /** By the uid of the set. */
  readonly #holders: Holders = new Map();
  readonly #at = new Map<string, Holders>();
  readonly #below = new Map<string, Holders>();

  set(setUid: string, holder: Holder): void {
    this.delete(setUid);
    this.#holders.set(setUid, holder);
    this.#each(holder, (index, place) => {
      const there = index.get(place) ?? new Map<string, Holder>();
      index.set(place, there.set(setUid, holder));
    });
  }

  delete(setUid: string): void {
    const holder = this.#holders.get(setUid);
    if (holder === undefined) return;
    this.#holders.delete(setUid);
    this.#each(holder, (index, place) => {
      const there = index.get(place);
      there?.delete(setUid);
      if (there?.size === 0) index.delete(place);
    });
  }

  /** Those whose issuer is this one, contains it or lies under it. */
  *overlapping(issuer: string): Generator<Holder, void, void> {
    const places = placesTo(issuer) ?? [];
    for (const place of places) yield* this.#at.get(place)?.values() ?? [];
    yield* this.#below.get(places.at(-1) ?? '')?.values() ?? [];
  }

  #each({ issuer }: Holder, visit: (index: Map<string, Holders>, place: string) => void): void {
    const places = placesTo(issuer) ?? [];
    for (const [depth, place] of places.entries()) {
      visit(depth === places.length - 1 ? this.#at : this.#below, place);
    }
  }
}
