import type { Exchange } from './exchange.ts';
import type { Holding } from './keyrings.ts';
import { Refusal } from './refusals.ts';
import type { ServedSet } from './served.ts';
import type { Services } from './services.ts';

/** What is held of a set that could be read at least once. */
export type Found = Holding & { readonly set: ServedSet };

/**
 * The set that a request is for.
 * @throws Refusal `set_unknown`; `keyring_unavailable` where that cannot be said yet.
 */
export function locate(services: Services, exchange: Exchange): Found {
  const holding = services.keyrings.find(exchange.locations);
  if (holding === undefined) throw services.loaded() ? setUnknown() : unavailable();
  exchange.holding = holding;
  if (!isFound(holding)) throw unavailable();
  return holding;
}

function isFound(holding: Holding): holding is Found {
  return holding.set !== undefined;
}

/** The same words for every place without a set, whatever else this issuer serves. */
export function setUnknown(): Refusal {
  return new Refusal('set_unknown', 'Ask under the issuer URL of a set: see kubectl get sks -A.');
}

/** What this replica holds may be old: see `Freshness`. */
export function lapsed(): Refusal {
  return new Refusal('replica_lapsed', 'Ask again; another replica may answer.');
}

export function unavailable(): Refusal {
  return new Refusal('keyring_unavailable', 'The keys cannot be read now; ask again in a moment.');
}
