import type { Request, Response } from 'express';
import { exchangeOf } from './exchange.ts';
import type { Holding } from './keyrings.ts';
import { requestedLocations } from './location.ts';
import { Refusal } from './refusals.ts';
import type { ServedSet } from './served.ts';
import type { Services } from './services.ts';

/** What is held of a set that could be read at least once. */
export type Found = Holding & { readonly set: ServedSet };

/**
 * The set that a request is for.
 * @throws Refusal `set_unknown`; `keyring_unavailable` where that cannot be said yet.
 */
export function locate(services: Services, request: Request, response: Response): Found {
  const { set: segments = [] } = request.params;
  const path = typeof segments === 'string' ? [segments] : segments;
  const holding = services.keyrings.find(requestedLocations(request.get('host'), path));
  if (holding === undefined) throw services.loaded() ? setUnknown() : unavailable();
  exchangeOf(response).holding = holding;
  const { set } = holding;
  if (set === undefined) throw unavailable();
  return { ...holding, set };
}

/** The same words for every place without a set, whatever else this issuer serves. */
export function setUnknown(): Refusal {
  return new Refusal('set_unknown', 'Ask under the issuer URL of a set: see kubectl get sks -A.');
}

export function unavailable(): Refusal {
  return new Refusal('keyring_unavailable', 'The keys cannot be read now; ask again in a moment.');
}
