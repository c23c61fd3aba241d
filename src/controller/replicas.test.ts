import { beforeEach, describe, expect, it } from 'vitest';
import { DAY, HOUR, MINUTE } from '../api/constants.ts';
import { replicaLeaseName, writeReplica } from '../api/replica.ts';
import { Kube } from '../kube/client.ts';
import { createLog } from '../telemetry/log.ts';
import { Replicas } from './replicas.ts';

const START = Date.UTC(2026, 0, 1);
const [R, S] = [HOUR, 5 * MINUTE];
const HELD = { uid: 'set', version: 9n };
/** Never called: the Leases are put in by hand. */
const NOBODY = {
  server: 'https://127.0.0.1:1',
  namespace: 'signet',
  access: () => ({ headers: {}, tls: {} }),
  refused: () => false,
};

let passed: number;
let replicas: Replicas;
beforeEach(() => {
  passed = 0;
  replicas = new Replicas({
    kube: new Kube(NOBODY, 'test'),
    namespace: NOBODY.namespace,
    clockSkew: S,
    log: createLog({ component: 'controller', level: 'silent' }),
    now: () => START + passed,
    monotonic: () => passed,
    onEvidence: () => {},
    onStaleness: () => {},
  });
});

/** One that lags behind, and says that it confirmed what it holds so long ago. */
function announce(pod: string, ago: number): void {
  const told = writeReplica({ pod, watermark: 5n, unloadable: [], maxStaleness: R });
  replicas.leases.put({
    metadata: {
      ...told.metadata,
      ...{ name: replicaLeaseName(pod), namespace: NOBODY.namespace },
      ...{ uid: pod, resourceVersion: '7' },
    },
    spec: { ...told.spec, renewTime: new Date(START - ago).toISOString() },
  });
}

function live(): string[] {
  return replicas.of('tenant/login', HELD).replicas.map(({ name }) => name);
}

describe('a Lease that was there when the controller began', () => {
  it.each([
    ['some time ago lapses R + S after that', 20 * MINUTE, R + S - 20 * MINUTE],
    ['just now lapses R + S after that', 0, R + S],
    ['in 30 days blocks no longer than one of now (I20)', -30 * DAY, R + S],
  ])('and was renewed %s', (_, ago, life) => {
    announce('a', ago);
    expect(replicas.of('tenant/login', HELD).lapsesAt).toBe(START + life);
    passed = life - 1;
    expect(live()).toEqual(['issuer a']);
    passed = life;
    expect(live()).toEqual([]);
  });
});
