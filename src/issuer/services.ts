import type { Log } from '../telemetry/log.ts';
import type { Shares } from '../telemetry/shares.ts';
import type { Authorizer } from './authorize.ts';
import type { Exchange } from './exchange.ts';
import type { Freshness } from './freshness.ts';
import type { Keyrings } from './keyrings.ts';
import type { LineQuota } from './line-quota.ts';
import type { IssuerMetrics } from './metrics.ts';
import type { RateLimit } from './rate-limit.ts';

/** What the routes stand on. */
export interface Services {
  readonly keyrings: Keyrings;
  readonly freshness: Pick<Freshness, 'check' | 'publishes' | 'require'>;
  readonly authorizer: Authorizer;
  /** By user name, once it is known who calls; by address, before. */
  readonly rates: { readonly caller: RateLimit; readonly peer: RateLimit };
  /** Bytes of bodies that are expected, read or worked on. */
  readonly bodies: Shares;
  /** Whether every key Secret was read once; before that no set is known not to exist. */
  readonly loaded: () => boolean;
  readonly stopping: () => boolean;
  /** Whether plain HTTP takes and gives tokens: only behind a mesh that encrypts for us. */
  readonly plainCredentials: boolean;
  readonly clock: () => number;
  readonly log: Log;
  /** Of what anybody may have written. */
  readonly lines: LineQuota;
  readonly metrics: IssuerMetrics;
}

/** Answers one row of the table of routes; whatever it throws becomes the route's error body. */
export type Endpoint = (services: Services) => (exchange: Exchange) => void | Promise<void>;
