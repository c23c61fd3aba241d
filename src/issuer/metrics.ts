import { counter, gauge, histogram, type Metrics } from '../telemetry/metrics.ts';

const LATENCY = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5];

/** Labels come from fixed sets: algorithms, routes, refusal codes. None names a set or a caller. */
export const ISSUER_METRICS = {
  tokens: counter(
    'signet_tokens_total',
    'Requests to /sign and /oauth/token, by the algorithm of the current key and by what came of them: "signed", or the code of the refusal.',
    ['algorithm', 'result'],
  ),
  requests: histogram(
    'signet_http_request_duration_seconds',
    'How long requests took, by route and class of status.',
    ['route', 'status'],
    LATENCY,
  ),
  reviews: counter(
    'signet_authorizations_total',
    'Callers checked: "allowed", "denied" and "failed" by the API server, or "cached" for seconds.',
    ['result'],
  ),
  dropped: counter(
    'signet_connections_dropped_total',
    'Connections closed as they came, because as many as allowed were open, of all or of one address.',
  ),
  keyrings: gauge(
    'signet_keyrings',
    'Sets that this replica serves: "active", "retired" (set deleted), "orphaned" (Secret deleted) or "damaged" (Secret unreadable).',
    ['standing'],
  ),
  oldest: gauge(
    'signet_oldest_signing_key_timestamp_seconds',
    'When the current key that signs for longest, of all active sets, began to sign.',
  ),
  confirmed: gauge(
    'signet_keyrings_confirmed_timestamp_seconds',
    'When the key Secrets were last confirmed by a consistent list (I14).',
  ),
  leaseWrites: counter(
    'signet_replica_lease_writes_total',
    'Writes of the Lease that tells the controller what this replica has loaded: "written" or "failed".',
    ['result'],
  ),
  skew: gauge(
    'signet_clock_skew_seconds',
    'How far the own clock and the API server are apart at least; above --clock-skew nothing is signed.',
  ),
};

export type IssuerMetrics = Metrics<typeof ISSUER_METRICS>;
