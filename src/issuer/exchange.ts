import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { RequestHandler, Response } from 'express';
import { SECOND } from '../api/constants.ts';
import type { Log } from '../telemetry/log.ts';
import type { Holding } from './keyrings.ts';
import type { IssuerMetrics } from './metrics.ts';
import type { RefusalCode } from './refusals.ts';

/** What is known of one request while it is answered. */
export interface Exchange {
  readonly requestId: string;
  /** The name of its row in the table of routes; a path could contain anything. */
  route: string;
  /** Which standard the errors of the route follow. */
  errors: 'problem' | 'oauth';
  holding?: Holding;
  refused?: RefusalCode;
}

const exchanges = new WeakMap<Response, Exchange>();
/** Nothing with a dot, so that a token does not pass for an id. */
const REQUEST_ID = /^[\w-]{1,64}$/;

export function exchangeOf(response: Response): Exchange {
  const exchange = exchanges.get(response);
  if (exchange === undefined) throw new TypeError('a request that no one observes');
  return exchange;
}

type Telling = Readonly<{ log: Log; metrics: Pick<IssuerMetrics, 'requests'> }>;

/** Gives each request its id, and follows it to its end. */
export function observe(telling: Telling): RequestHandler {
  return (request, response, next) => {
    const asked = request.headers['x-request-id'];
    const requestId = typeof asked === 'string' && REQUEST_ID.test(asked) ? asked : randomUUID();
    const exchange: Exchange = { requestId, route: 'none', errors: 'problem' };
    exchanges.set(response, exchange);
    response.setHeader('X-Request-Id', requestId);
    response.setHeader('X-Content-Type-Options', 'nosniff');
    follow(telling, request, response, exchange);
    next();
  };
}

/**
 * Measures a request, and says how it ended: at level info where it was refused or broken off. One
 * that went well has said what matters: a token has its audit line.
 */
export function follow(
  { log, metrics }: Telling,
  { method }: IncomingMessage,
  response: ServerResponse,
  exchange: Omit<Exchange, 'errors'>,
): void {
  const startedAt = performance.now();
  response.once('close', () => {
    const milliseconds = performance.now() - startedAt;
    const { requestId, route, holding, refused } = exchange;
    const status = response.writableFinished ? response.statusCode : 499;
    metrics.requests.observe(
      { route, status: `${Math.floor(status / 100)}xx` },
      milliseconds / SECOND,
    );
    log[status < 400 ? 'debug' : 'info'](
      {
        requestId,
        method,
        route,
        status,
        milliseconds: Math.round(milliseconds * 100) / 100,
        ...(holding?.set && { set: setName(holding.set.ring.owner) }),
        ...(refused && { code: refused }),
      },
      'Answered.',
    );
  });
}

export function setName({ namespace, name }: { namespace: string; name: string }): string {
  return `${namespace}/${name}`;
}
