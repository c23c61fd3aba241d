import type { IncomingMessage, RequestListener } from 'node:http';
import { PATHS } from './discovery.ts';
import { atEndOfTurn } from './end-of-turn.ts';
import { begin, type Exchange, newRequestId, tell } from './exchange.ts';
import { type Location, locationsOnHost, pathLocation } from './location.ts';
import { remember } from './remember.ts';
import { refuse, sendWhole } from './respond.ts';
import type { Route } from './routes.ts';
import type { Services } from './services.ts';

/** Answers a request to a plain path, or leaves it to Express. @returns whether it took it. */
type Shortcut = (path: string, ...[request, response]: Parameters<RequestListener>) => boolean;

/** So that what is remembered of paths is small. */
const LONGEST = 512;

/**
 * Answers what is asked for most before `app` sees it, in less time: a `GET` of a JWKS, which every
 * verifier of a cluster asks for, and the `POST` of `routes`. Whatever is not plain is for `app`,
 * which answers the same: an encoded path, a whole URL, a query, a condition, a replica that stops or
 * has lapsed.
 */
export function shortcuts(
  services: Services,
  routes: readonly Route[],
  app: RequestListener,
): RequestListener {
  const posts = routes.map((route) => postShortcut(services, route));
  const byMethod: Readonly<Record<string, readonly Shortcut[]>> = {
    GET: [keysShortcut(services)],
    POST: posts,
  };
  return (request, response) => {
    const path = services.stopping() ? undefined : plainPath(request);
    const candidates = byMethod[request.method ?? ''] ?? [];
    const isTaken =
      path !== undefined && candidates.some((shortcut) => shortcut(path, request, response));
    if (!isTaken) app(request, response);
  };
}

function plainPath({ url = '' }: IncomingMessage): string | undefined {
  const isPlain = url.startsWith('/') && url.length <= LONGEST && !/[%?#]/.test(url);
  return isPlain ? url : undefined;
}

function postShortcut(services: Services, route: Route): Shortcut {
  const { name, path: end, errors, gives, endpoint } = route;
  const run = endpoint(services);
  const place = placeBefore(end);
  const attempt = async (exchange: Exchange) => {
    try {
      await run(exchange);
    } catch (error) {
      refuse(services, exchange, error);
    }
  };
  return (path, request, response) => {
    if (!path.endsWith(end)) return false;
    const locations = locationsOnHost(request.headers.host, place(path));
    const here = { route: name, errors, gives, locations };
    const exchange = begin(services, request, response, here);
    void attempt(exchange);
    return true;
  };
}

function keysShortcut(services: Services): Shortcut {
  const place = placeBefore(PATHS.jwks);
  return (path, request, response) => {
    if (!path.endsWith(PATHS.jwks)) return false;
    const { freshness } = services;
    if (freshness.check() !== true || !freshness.publishes()) return false;
    const { 'if-none-match': tag, 'x-request-id': id, host } = request.headers;
    if (tag !== undefined || id !== undefined) return false;
    const holding = services.keyrings.find(locationsOnHost(host, place(path)));
    if (holding?.set === undefined) return false;
    const startedAt = performance.now();
    const requestId = newRequestId();
    const { jwks } = holding.set;
    atEndOfTurn(() => {
      sendWhole({ response, requestId }, jwks);
      const exchange = { request, requestId, route: 'jwks', holding };
      tell(services, exchange, 200, performance.now() - startedAt);
    });
    return true;
  };
}

/** The place that stands before the end of a path. */
function placeBefore(end: string): (path: string) => Location {
  return remember(1_000, (path) => pathLocation(path.slice(0, -end.length).split('/')));
}
