import {
  counter,
  defineMetrics,
  gauge,
  histogram,
  type Metrics,
  type Registry,
} from '../telemetry/metrics.ts';

const TABLE = {
  passes: histogram(
    'signet_controller_pass_seconds',
    'Time of a pass over a set, by outcome.',
    ['outcome'],
    [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10],
  ),
  transitions: counter(
    'signet_keyring_transitions_total',
    'Changes of keyrings that were written, by kind.',
    ['kind'],
  ),
  notices: counter('signet_notices_total', 'Events told about sets, by type and reason.', [
    'type',
    'reason',
  ]),
  leading: gauge('signet_controller_leading', '1 while this replica leads.'),
  queued: gauge('signet_controller_queue_depth', 'Sets that wait for a pass.'),
  sets: gauge('signet_sets', 'Sets that are there.'),
  unreadable: gauge(
    'signet_namespaces_unreadable',
    'Watched namespaces that the controller may not read; nothing is done there meanwhile.',
  ),
  damaged: gauge(
    'signet_keyrings_damaged',
    'Key Secrets that cannot be used as they are, of sets that are there or were deleted.',
  ),
  skew: gauge(
    'signet_clock_skew_seconds',
    'How far the own clock and the API server are apart at least; above --clock-skew nothing is promoted or revoked.',
  ),
  excess: gauge(
    'signet_clock_jump_seconds',
    'How far the own clock is from where it would be without jumps; each wait is that much longer.',
  ),
} as const;

export type ControllerMetrics = Metrics<typeof TABLE>;

export function controllerMetrics(registry: Registry): ControllerMetrics {
  return defineMetrics(registry, TABLE);
}
