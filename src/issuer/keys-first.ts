import type { IncomingMessage, RequestListener } from 'node:http';
import { PATHS } from './discovery.ts';
import type { PublicDocument } from './document.ts';
import { newRequestId, tell } from './exchange.ts';
import type { Holding } from './keyrings.ts';
import { locationsOnHost, pathLocation } from './location.ts';
import { PUBLISH_UNCONFIRMED } from './publish.ts';
import { remember } from './remember.ts';
import type { Services } from './services.ts';

/**
 * Answers a plain `GET` of a JWKS before `app` sees it, in a quarter of the time: it is what every
 * verifier of a cluster asks for. Whatever is not plain is for `app`, which answers the same:
 * a set that is not here, a condition, a replica that stops or has lost touch.
 */
export function keysFirst(services: Services, app: RequestListener): RequestListener {
  return (request, response) => {
    const holding = isPlain(request) ? find(services, request) : undefined;
    if (holding?.set === undefined || services.stopping()) return app(request, response);
    const startedAt = performance.now();
    const requestId = newRequestId();
    const { jwks } = holding.set;
    response.writeHead(200, [...headersOf(jwks), 'X-Request-Id', requestId]);
    response.end(jwks.body);
    const exchange = { requestId, route: 'jwks', holding };
    tell(services, request, 200, exchange, performance.now() - startedAt);
  };
}

/** So that what is remembered of URLs is small. */
const MAX_URL = 512;

function isPlain({ method, url = '', headers }: IncomingMessage): boolean {
  return (
    method === 'GET' &&
    url.endsWith(PATHS.jwks) &&
    url.length <= MAX_URL &&
    // An encoded path or a whole URL is for Express to take apart.
    url.startsWith('/') &&
    !url.includes('%') &&
    !url.includes('?') &&
    headers['if-none-match'] === undefined &&
    headers['x-request-id'] === undefined
  );
}

function find(services: Services, { url = '', headers }: IncomingMessage): Holding | undefined {
  if (services.freshness.age() >= PUBLISH_UNCONFIRMED) return undefined;
  return services.keyrings.find(locationsOnHost(headers.host, pathOf(url)));
}

const pathOf = remember(1_000, (url: string) =>
  pathLocation(url.slice(0, -PATHS.jwks.length).split('/')),
);

const made = new WeakMap<PublicDocument, readonly string[]>();

/** Names and values in turn, as `writeHead` takes them with the least work. */
function headersOf(document: PublicDocument): readonly string[] {
  const known = made.get(document);
  if (known !== undefined) return known;
  const headers = [
    ...['X-Content-Type-Options', 'nosniff'],
    ...['Access-Control-Allow-Origin', '*'],
    ...['Cache-Control', document.cacheControl],
    ...['ETag', document.etag],
    ...['Content-Type', document.contentType],
    ...['Content-Length', String(document.body.length)],
  ];
  made.set(document, headers);
  return headers;
}
