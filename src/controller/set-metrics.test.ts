import { expect, test } from 'vitest';
import type { SigningKeySet } from '../api/signingkeyset.generated.ts';
import { createRegistry } from '../telemetry/metrics.ts';
import { defineSetMetrics } from './set-metrics.ts';

type Status = NonNullable<SigningKeySet['status']>;
type State = NonNullable<Status['keys']>[number]['state'];

function condition(type: string, status: 'True' | 'False', lastTransitionTime: string) {
  return { type, status, lastTransitionTime, reason: 'Reason', message: 'Told.' } as const;
}

function key(state: State, notAfter: string) {
  const createdAt = '2026-01-01T00:00:00Z';
  return { kid: 'k'.repeat(43), state, algorithm: 'RS256', createdAt, notAfter } as const;
}

function set(status: Status): SigningKeySet {
  const metadata = { name: 'login', namespace: 'identity', uid: 'u', resourceVersion: '1' };
  const made = { generation: 1, creationTimestamp: '2026-01-01T00:00:00Z' };
  return {
    apiVersion: 'signet.dev/v1alpha1',
    kind: 'SigningKeySet',
    metadata: { ...metadata, ...made },
    status,
  };
}

async function scrape(sets: readonly SigningKeySet[]): Promise<string> {
  const registry = createRegistry();
  defineSetMetrics(registry, () => sets);
  return registry.metrics();
}

test('what sets report is counted by condition, and the first of their times is told', async () => {
  const text = await scrape([
    set({
      conditions: [
        condition('Ready', 'True', '2026-01-01T00:00:00Z'),
        condition('RotationPending', 'True', '2026-01-01T00:00:20Z'),
      ],
      keys: [key('previous', '2026-01-02T00:00:00Z'), key('current', '2026-03-01T00:00:00Z')],
    }),
    set({
      conditions: [
        condition('Ready', 'False', '2026-01-01T00:00:00Z'),
        condition('RotationPending', 'True', '2026-01-01T00:00:10Z'),
      ],
      keys: [key('current', '2026-02-01T00:00:00Z')],
    }),
    set({ conditions: [condition('RotationPending', 'False', '2025-01-01T00:00:00Z')] }),
  ]);
  expect(text).toContain('signet_set_conditions{type="Ready",status="True"} 1\n');
  expect(text).toContain('signet_set_conditions{type="Ready",status="False"} 1\n');
  expect(text).toContain('signet_set_conditions{type="RotationPending",status="True"} 2\n');
  expect(text).toContain('signet_set_conditions{type="RotationOverdue",status="True"} 0\n');
  expect(text).toContain(
    `signet_oldest_waiting_request_timestamp_seconds ${Date.parse('2026-01-01T00:00:10Z') / 1_000}\n`,
  );
  expect(text).toContain(
    `signet_earliest_certificate_expiry_timestamp_seconds ${Date.parse('2026-02-01T00:00:00Z') / 1_000}\n`,
  );
});

test('a time that no set tells is no sample, rather than 1970', async () => {
  expect(await scrape([])).not.toMatch(/^signet_\w+_timestamp_seconds /m);
});
