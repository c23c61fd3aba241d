import { randomUUID } from 'node:crypto';
import type { NextFunction, Request, RequestHandler, Response } from 'express';
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

/** Gives each request its id, and writes its one line and its latency once it is over. */
export function observe(log: Log, metrics: Pick<IssuerMetrics, 'requests'>): RequestHandler {
  return (request: Request, response: Response, next: NextFunction) => {
    const startedAt = performance.now();
    const asked = request.get('x-request-id') ?? '';
    const requestId = REQUEST_ID.test(asked) ? asked : randomUUID();
    const exchange: Exchange = { requestId, route: 'none', errors: 'problem' };
    exchanges.set(response, exchange);
    response.set({ 'X-Request-Id': requestId, 'X-Content-Type-Options': 'nosniff' });
    response.once('close', () => {
      const milliseconds = performance.now() - startedAt;
      const { route, holding, refused } = exchange;
      const status = response.writableFinished ? response.statusCode : 499;
      metrics.requests.observe(
        { route, status: `${Math.floor(status / 100)}xx` },
        milliseconds / SECOND,
      );
      log.info(
        {
          requestId,
          method: request.method,
          route,
          status,
          milliseconds: Math.round(milliseconds * 100) / 100,
          ...(holding?.set && { set: setName(holding.set.ring.owner) }),
          ...(refused && { code: refused }),
        },
        'Answered.',
      );
    });
    next();
  };
}

export function setName({ namespace, name }: { namespace: string; name: string }): string {
  return `${namespace}/${name}`;
}
