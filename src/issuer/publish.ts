import { notKept, type PublicDocument } from './document.ts';
import type { Exchange } from './exchange.ts';
import { locate, unavailable } from './locate.ts';
import { sendDocument } from './respond.ts';
import type { ServedSet } from './served.ts';
import type { Endpoint } from './services.ts';

/**
 * `GET` of a public document of a set. A replica that has lapsed goes on for a day, because a stale
 * answer refuses fewer tokens than none; nobody waits for it any more before a key signs, so what it
 * gives is not to be kept (I1).
 */
export function publish(choose: (set: ServedSet, exchange: Exchange) => PublicDocument): Endpoint {
  return (services) => (exchange) => {
    const { set } = locate(services, exchange);
    if (!services.freshness.publishes()) throw unavailable();
    const document = choose(set, exchange);
    const isFresh = services.freshness.check() === true;
    sendDocument(exchange, isFresh ? document : notKept(document));
  };
}
