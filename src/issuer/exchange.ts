import { randomBytes } from 'node:crypto';
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

declare global {
  namespace Express {
    interface Locals {
      exchange?: Exchange;
    }
  }
}

/** Nothing with a dot, so that a token does not pass for an id. */
const REQUEST_ID = /^[\w-]{1,64}$/;

export function exchangeOf(response: Response): Exchange {
  const { exchange } = response.locals;
  if (exchange === undefined) throw new TypeError('a request that no one observes');
  return exchange;
}

type Telling = Readonly<{ log: Log; metrics: Pick<IssuerMetrics, 'requests'> }>;

/** Of this process, so that an id is not that of another one's request. */
const instance = randomBytes(6).toString('hex');
let requests = 0;

/** Names a request in the log; says nothing else, and is no secret. */
export function newRequestId(): string {
  requests += 1;
  return `${instance}-${requests.toString(36)}`;
}

/** Gives each request its id, and follows it to its end. */
export function observe(telling: Telling): RequestHandler {
  return (request, response, next) => {
    const asked = request.headers['x-request-id'];
    const requestId = typeof asked === 'string' && REQUEST_ID.test(asked) ? asked : newRequestId();
    const exchange: Exchange = { requestId, route: 'none', errors: 'problem' };
    response.locals.exchange = exchange;
    response.setHeader('X-Request-Id', requestId);
    response.setHeader('X-Content-Type-Options', 'nosniff');
    follow(telling, request, response, exchange);
    next();
  };
}

/** Tells of a request when it has ended: answered, or broken off. */
function follow(
  telling: Telling,
  request: IncomingMessage,
  response: ServerResponse,
  exchange: Exchange,
): void {
  const startedAt = performance.now();
  response.once('close', () => {
    const status = response.writableFinished ? response.statusCode : 499;
    tell(telling, request, status, exchange, performance.now() - startedAt);
  });
}

/**
 * Counts a request, and says how it ended: at level info where it was refused or broken off. One
 * that went well has said what matters: a token has its audit line.
 */
export function tell(
  { log, metrics }: Telling,
  { method }: IncomingMessage,
  status: number,
  { requestId, route, holding, refused }: Omit<Exchange, 'errors'>,
  milliseconds: number,
): void {
  metrics.requests.observe(
    { route, status: `${Math.floor(status / 100)}xx` },
    milliseconds / SECOND,
  );
  const level = status < 400 ? 'debug' : 'info';
  if (!log.isLevelEnabled(level)) return;
  log[level](
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
}

export function setName({ namespace, name }: { namespace: string; name: string }): string {
  return `${namespace}/${name}`;
}
