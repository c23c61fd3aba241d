import type { Server } from 'node:http';
import { MINUTE, SECOND } from '../api/constants.ts';
import { capConnections } from '../telemetry/connections.ts';
import type { Share } from '../telemetry/shares.ts';
import type { Rate } from './rate-limit.ts';
import { Refusal } from './refusals.ts';

/** What one client may take; times in milliseconds, sizes in bytes. */
export interface Limits {
  readonly maxHeaderSize: number;
  /** Until the headers of a request, or the first byte of a connection, are here. */
  readonly headersTimeout: number;
  /** Until a request is here with its body. */
  readonly requestTimeout: number;
  /** How long a connection without a request stays open. */
  readonly keepAliveTimeout: number;
  /** How long nothing may move on a connection with a request: a client that does not read. */
  readonly timeout: number;
  /** How often the two first are looked at. */
  readonly connectionsCheckingInterval: number;
  /** On one listener at once. Behind a proxy all clients have its address. */
  readonly connections: Share;
  /** Bytes of bodies that were announced, until they are answered: so that memory has a bound. */
  readonly bodies: Share;
  /** Signatures asked for by one user name. */
  readonly perCaller: Rate;
  /** Tokens not seen before from one address: each is a question to the API server. */
  readonly perPeer: Rate;
}

export const DEFAULT_LIMITS: Limits = {
  maxHeaderSize: 16 * 1024,
  headersTimeout: 10 * SECOND,
  requestTimeout: 15 * SECOND,
  keepAliveTimeout: MINUTE,
  timeout: 30 * SECOND,
  connectionsCheckingInterval: 2 * SECOND,
  connections: { total: 4_096, each: 1_024 },
  bodies: { total: 32 * 1024 * 1024, each: 8 * 1024 * 1024 },
  perCaller: { perSecond: 1_000, burst: 2_000 },
  perPeer: { perSecond: 100, burst: 400 },
};

/** @param each - connections of one address; all together have as many as ever, or as that one. */
export function connectionsFor(each: number): Share {
  return { total: Math.max(DEFAULT_LIMITS.connections.total, each), each };
}

/** Holds a server to the limits that are not options of its constructor. */
export function holdTo({ connections, timeout }: Limits, server: Server, onDrop: () => void): void {
  server.timeout = timeout;
  capConnections(server, connections, onDrop);
}

/** @throws Refusal `rate_limited`, with when to ask again, where the wait is not 0. */
export function refuseAfter(waitMs: number): void {
  if (waitMs === 0) return;
  const seconds = Math.max(1, Math.ceil(waitMs / SECOND));
  throw new Refusal(
    'rate_limited',
    'Ask less often; keep a token for as long as it lives.',
    seconds,
  );
}
