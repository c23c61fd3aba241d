import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { SECOND } from '../api/constants.ts';
import type { Log } from '../telemetry/log.ts';
import type { Shares } from '../telemetry/shares.ts';
import type { Holding } from './keyrings.ts';
import type { LineQuota } from './line-quota.ts';
import type { Location } from './location.ts';
import type { IssuerMetrics } from './metrics.ts';
import type { RefusalCode } from './refusals.ts';

/** One request while it is answered, and what is known of it. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly requestId: string;
  /** The name of its row in the table of routes; a path could contain anything. */
  route: string;
  /** Which standard the errors of the route follow. */
  errors: 'problem' | 'oauth';
  /** What its route is for: a document that anyone may read, or a token for a caller. */
  gives?: 'document' | 'token';
  /** Where the set that it is for may be found. */
  locations: readonly Location[];
  holding?: Holding;
  refused?: RefusalCode;
  /** What its body takes of the budget, until it is answered. */
  holds?: { readonly peer: string; readonly bytes: number };
}

type Telling = Readonly<{
  log: Log;
  lines: LineQuota;
  metrics: Pick<IssuerMetrics, 'requests'>;
}>;

/** Nothing with a dot, so that a token does not pass for an id. */
const REQUEST_ID = /^[\w-]{1,64}$/;
/** Of this process, so that an id is not that of another one's request. */
const instance = randomBytes(6).toString('hex');
let requests = 0;

/** Names a request in the log; says nothing else, and is no secret. */
export function newRequestId(): string {
  requests += 1;
  return `${instance}-${requests.toString(36)}`;
}

/** Gives a request its id, and follows it until it is answered or broken off. */
export function begin(
  services: Telling & { readonly bodies: Pick<Shares, 'giveBack'> },
  request: IncomingMessage,
  response: ServerResponse,
  place: Pick<Exchange, 'route' | 'errors' | 'gives' | 'locations'>,
): Exchange {
  const asked = request.headers['x-request-id'];
  const requestId = typeof asked === 'string' && REQUEST_ID.test(asked) ? asked : newRequestId();
  const exchange: Exchange = { request, response, requestId, ...place };
  const startedAt = performance.now();
  response.once('close', () => {
    const status = response.writableFinished ? response.statusCode : 499;
    if (exchange.holds !== undefined) {
      services.bodies.giveBack(exchange.holds.peer, exchange.holds.bytes);
    }
    tell(services, exchange, status, performance.now() - startedAt);
  });
  return exchange;
}

/**
 * Counts a request, and says how it ended: at level info where it was refused or broken off. One
 * that went well has said what matters: a token has its audit line.
 */
export function tell(
  { log, lines, metrics }: Telling,
  exchange: Pick<Exchange, 'request' | 'requestId' | 'route' | 'holding' | 'refused'>,
  status: number,
  milliseconds: number,
): void {
  const { requestId, route, holding, refused } = exchange;
  metrics.requests.observe(
    { route, status: `${Math.floor(status / 100)}xx` },
    milliseconds / SECOND,
  );
  const level = status < 400 ? 'debug' : 'info';
  if (!log.isLevelEnabled(level)) return;
  if (level === 'info' && !lines.take(refused ?? `${status}`)) return;
  log[level](
    {
      requestId,
      method: exchange.request.method,
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
