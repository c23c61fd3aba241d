import type { Server } from 'node:http';
import { isIPv6 } from 'node:net';
import { MINUTE, SECOND } from '../api/constants.ts';
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
  /** On one listener at once. */
  readonly maxConnections: number;
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
  maxConnections: 4_096,
  perCaller: { perSecond: 1_000, burst: 2_000 },
  perPeer: { perSecond: 100, burst: 400 },
};

/**
 * Holds a server to the limits that are not options of its constructor. At the cap a connection is
 * closed as it comes, and those that only wait make room for the next one.
 */
export function holdTo(
  { maxConnections, timeout }: Limits,
  server: Server,
  onDrop: () => void,
): void {
  server.maxConnections = maxConnections;
  server.timeout = timeout;
  server.on('drop', () => {
    onDrop();
    server.closeIdleConnections();
  });
}

/** The address as it counts: of an IPv6 one the /64, which is what one host has to itself. */
export function peerOf(address = ''): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined || !isIPv6(address)) return mapped ?? address;
  const [head = '', tail] = address.split('::');
  const groups = head === '' ? [] : head.split(':');
  const rest = tail ? tail.split(':') : [];
  const zeros = tail === undefined ? 0 : 8 - groups.length - rest.length;
  const all = [...groups, ...Array.from({ length: zeros }, () => '0'), ...rest];
  return `${all.slice(0, 4).join(':')}::/64`;
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
