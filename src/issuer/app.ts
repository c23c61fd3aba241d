import type { RequestListener } from 'node:http';
import express, { type Response } from 'express';
import { begin, type Exchange } from './exchange.ts';
import { setUnknown } from './locate.ts';
import { requestedLocations } from './location.ts';
import { Refusal } from './refusals.ts';
import { refuse, sendPreflight } from './respond.ts';
import { ROUTES, type Route } from './routes.ts';
import type { Services } from './services.ts';
import { shortcuts } from './shortcuts.ts';

declare global {
  namespace Express {
    interface Locals {
      exchange?: Exchange;
    }
  }
}

const ALLOWED: Readonly<Record<Route['method'], string>> = { get: 'GET, HEAD', post: 'POST' };

/** Every URL that the issuer answers. */
export function createApp(services: Services): RequestListener {
  const app = express();
  app.disable('x-powered-by');
  app.enable('case sensitive routing');
  app.use((request, response, next) => {
    const place = { route: 'none', errors: 'problem', locations: [] } as const;
    response.locals.exchange = begin(services, request, response, place);
    // While stopping, each answer is the last one of its connection.
    if (services.stopping()) response.setHeader('Connection', 'close');
    next();
  });
  for (const { name, method, errors, gives, endpoint, ...place } of ROUTES) {
    const run = endpoint(services);
    const route = app.route(patterns(place));
    route.all(({ headers, params }, response, next) => {
      const { set = [] } = params;
      const segments = typeof set === 'string' ? [set] : set;
      const locations = requestedLocations(headers.host, segments);
      Object.assign(exchangeOf(response), { route: name, errors, gives, locations });
      next();
    });
    if (gives === 'document') {
      route.options((_request, response) => sendPreflight(exchangeOf(response), ALLOWED[method]));
    }
    route[method]((_request, response) => run(exchangeOf(response)));
    route.all((_request, response) => {
      response.setHeader('Allow', ALLOWED[method]);
      throw new Refusal('method_not_allowed', `Use ${ALLOWED[method]}.`);
    });
  }
  app.use(() => {
    throw setUnknown();
  });
  app.use((error: unknown, _request: unknown, response: Response, _next: unknown) => {
    refuse(services, exchangeOf(response), error);
  });
  const posts = ROUTES.filter(({ method }) => method === 'post');
  return shortcuts(services, posts, app);
}

/** `set` is where the set is found: the path of its issuer, or `<namespace>/<name>`. */
function patterns({ path, inserted }: Pick<Route, 'path' | 'inserted'>): string[] {
  return inserted === true ? [`{/*set}${path}`, `${path}{/*set}`] : [`{/*set}${path}`];
}

function exchangeOf({ locals: { exchange } }: Response): Exchange {
  if (exchange === undefined) throw new TypeError('a request that did not begin');
  return exchange;
}
