import type { RequestListener } from 'node:http';
import express, { type RequestHandler } from 'express';
import { PATHS } from './discovery.ts';
import { DOWNLOADS } from './downloads.ts';
import { requireEncryption } from './encryption.ts';
import { type Exchange, exchangeOf, observe } from './exchange.ts';
import { keysFirst } from './keys-first.ts';
import { setUnknown } from './locate.ts';
import { publish } from './publish.ts';
import { Refusal } from './refusals.ts';
import { refuse } from './respond.ts';
import type { Endpoint, Services } from './services.ts';
import { signEndpoint } from './sign.ts';
import { tokenEndpoint } from './token.ts';

interface Route {
  readonly name: string;
  readonly method: 'get' | 'post';
  /** `set` is where the set is found: the path of its issuer, or `<namespace>/<name>`. */
  readonly paths: readonly string[];
  readonly errors: Exchange['errors'];
  readonly endpoint: Endpoint;
}

const below = (path: string) => `{/*set}${path}`;
/** RFC 8414 section 3.1: between the host and the path of the issuer. */
const inserted = (path: string) => `${path}{/*set}`;

/** What is asked for most stands first, because Express tries one after the other. */
const ROUTES: readonly Route[] = [
  {
    name: 'sign',
    method: 'post',
    paths: [below(PATHS.sign)],
    errors: 'problem',
    endpoint: signEndpoint,
  },
  {
    name: 'token',
    method: 'post',
    paths: [below(PATHS.token)],
    errors: 'oauth',
    endpoint: tokenEndpoint,
  },
  {
    name: 'discovery',
    method: 'get',
    paths: [PATHS.openid, PATHS.oauth].flatMap((path) => [below(path), inserted(path)]),
    errors: 'problem',
    endpoint: publish((set) => set.discovery),
  },
  {
    name: 'jwks',
    method: 'get',
    paths: [below(PATHS.jwks)],
    errors: 'problem',
    endpoint: publish((set) => set.jwks),
  },
  ...DOWNLOADS.map(({ path, endpoint }) => ({
    name: 'download',
    method: 'get' as const,
    paths: [below(path)],
    errors: 'problem' as const,
    endpoint,
  })),
];

const ALLOWED: Readonly<Record<Route['method'], string>> = { get: 'GET, HEAD', post: 'POST' };

/** Every URL that the issuer answers. */
export function createApp(services: Services): RequestListener {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.enable('case sensitive routing');
  app.use(observe(services), endConnections(services));
  for (const { name, method, paths, errors, endpoint } of ROUTES) {
    const route = app.route([...paths]);
    route.all((_request, response, next) => {
      Object.assign(exchangeOf(response), { route: name, errors });
      next();
    });
    if (method === 'post') route.post(requireEncryption(services));
    route[method](endpoint(services));
    route.all((_request, response) => {
      response.set('Allow', ALLOWED[method]);
      throw new Refusal('method_not_allowed', `Use ${ALLOWED[method]}.`);
    });
  }
  app.use(() => {
    throw setUnknown();
  });
  app.use(refuse(services.log));
  return keysFirst(services, app);
}

/** While stopping, each answer is the last one of its connection. */
function endConnections({ stopping }: Services): RequestHandler {
  return (_request, response, next) => {
    if (stopping()) response.set('Connection', 'close');
    next();
  };
}
