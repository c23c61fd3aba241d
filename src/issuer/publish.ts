import type { Request } from 'express';
import { DAY } from '../api/constants.ts';
import type { PublicDocument } from './document.ts';
import { locate, unavailable } from './locate.ts';
import { sendDocument } from './respond.ts';
import type { ServedSet } from './served.ts';
import type { Endpoint } from './services.ts';

/** How long, in milliseconds, a replica publishes what it could not confirm any more. */
export const PUBLISH_UNCONFIRMED = DAY;

/**
 * `GET` of a public document of a set. A replica that is cut off goes on for a day, because a stale
 * answer refuses fewer tokens than none.
 */
export function publish(choose: (set: ServedSet, request: Request) => PublicDocument): Endpoint {
  return (services) => (request, response) => {
    const { set } = locate(services, request, response);
    if (services.freshness.age() >= PUBLISH_UNCONFIRMED) throw unavailable();
    sendDocument(request, response, choose(set, request));
  };
}
