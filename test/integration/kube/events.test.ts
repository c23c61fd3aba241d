import type { CoreV1Event, CoreV1EventList, V1ConfigMap } from '@kubernetes/client-node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Kube } from '../../../src/kube/client.ts';
import { EventRecorder, type ObjectReference } from '../../../src/kube/events.ts';
import { type ControlPlane, startControlPlane } from '../../controlplane/controlplane.ts';
import { connectAsRobot, memoryLog, NAMESPACE, prepare } from './cluster.ts';
import { startProxy } from './proxy.ts';

const EVENTS = `/api/v1/namespaces/${NAMESPACE}/events`;
/** Milliseconds in which all is written: the machine may be busy. */
const PATIENCE = 30_000;

let plane: ControlPlane;
let kube: Kube;

beforeAll(async () => {
  plane = await startControlPlane({ controllerManager: false });
  await prepare(plane);
  kube = await connectAsRobot(plane);
});

afterAll(async () => {
  kube?.close();
  await plane?.stop();
});

/** A new ConfigMap to say things about. */
async function subject(name: string): Promise<ObjectReference> {
  const path = `/api/v1/namespaces/${NAMESPACE}/configmaps`;
  const { body } = await kube.request('POST', path, { body: { metadata: { name } } });
  const { metadata } = body as V1ConfigMap;
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    namespace: NAMESPACE,
    name,
    uid: metadata?.uid ?? '',
  };
}

function recorder(via = kube) {
  const log = memoryLog();
  let now = Date.now();
  const events = new EventRecorder({
    kube: via,
    component: 'kube-tests',
    instance: 'pod-1',
    log,
    clock: () => now,
  });
  const forward = (ms: number) => {
    now += ms;
  };
  return { events, log, forward };
}

async function eventsOf({ uid }: ObjectReference): Promise<CoreV1Event[]> {
  const query = { fieldSelector: `involvedObject.uid=${uid}` };
  const { body } = await kube.request('GET', EVENTS, { query });
  return (body as CoreV1EventList).items;
}

const rotated = { type: 'Normal', reason: 'Rotated', message: 'a new key signs' } as const;
const refused = { type: 'Warning', reason: 'Refused', message: 'type rotate=now' } as const;

test('kubectl describe and kubectl get events show what was recorded', async () => {
  const login = await subject('login');
  const { events } = recorder();
  events.record(login, rotated);
  events.record(login, refused);
  await events.flush(PATIENCE);
  const described = await plane.kubectl(['describe', 'configmap', 'login', '-n', NAMESPACE]);
  expect(described.stdout).toMatch(/Normal\s+Rotated\s+\S+\s+kube-tests\s+a new key signs/);
  const listed = await plane.kubectl(['get', 'events', '-n', NAMESPACE]);
  expect(listed.stdout).toMatch(/Warning\s+Refused\s+configmap\/login\s+type rotate=now/);
});

test('the same thing again within ten minutes is counted on one Event', async () => {
  const counted = await subject('counted');
  const { events, forward } = recorder();
  events.record(counted, rotated);
  events.record(counted, rotated);
  await events.flush(PATIENCE);
  forward(60_000);
  events.record(counted, rotated);
  events.record(counted, refused);
  await events.flush(PATIENCE);
  const found = await eventsOf(counted);
  expect(found.map(({ reason, count }) => [reason, count]).sort()).toEqual([
    ['Refused', 1],
    ['Rotated', 3],
  ]);
  const { firstTimestamp, lastTimestamp } = found.find(({ count }) => count === 3) ?? {};
  const time = (text: unknown) => Date.parse(String(text));
  expect(time(lastTimestamp) - time(firstTimestamp)).toBe(60_000);
  forward(600_000);
  events.record(counted, rotated);
  await events.flush(PATIENCE);
  expect(await eventsOf(counted)).toHaveLength(3);
});

test('an Event that the server has forgotten is made anew', async () => {
  const forgotten = await subject('forgotten');
  const { events } = recorder();
  events.record(forgotten, rotated);
  await events.flush(PATIENCE);
  const query = { fieldSelector: `involvedObject.uid=${forgotten.uid}` };
  await kube.request('DELETE', EVENTS, { query });
  events.record(forgotten, rotated);
  await events.flush(PATIENCE);
  expect(await eventsOf(forgotten)).toMatchObject([{ reason: 'Rotated', count: 1 }]);
});

test('one noisy object is held back, and it does not silence the others', async () => {
  const noisy = await subject('noisy');
  const quiet = await subject('quiet');
  const { events, log, forward } = recorder();
  for (let index = 0; index < 100; index += 1) {
    events.record(noisy, { ...refused, message: `refused ${index}` });
  }
  events.record(quiet, rotated);
  await events.flush(PATIENCE);
  expect(await eventsOf(noisy)).toHaveLength(25);
  expect(await eventsOf(quiet)).toHaveLength(1);
  expect(log.lines).toHaveLength(75);
  forward(10_000);
  for (const message of ['a', 'b', 'c']) events.record(noisy, { ...refused, message });
  await events.flush(PATIENCE);
  expect(await eventsOf(noisy)).toHaveLength(27);
});

test('a message is cut to what the API takes', async () => {
  const wordy = await subject('wordy');
  const { events } = recorder();
  events.record(wordy, { ...rotated, message: 'ä'.repeat(3_000) });
  await events.flush(PATIENCE);
  const [event] = await eventsOf(wordy);
  expect(event?.message).toHaveLength(1_024);
});

test('with the API server away nothing throws and a stop is not held up; once back it is written', async () => {
  const away = await subject('away');
  await using proxy = await startProxy(plane.server);
  const proxied = await connectAsRobot(plane, proxy.port);
  proxy.accepting = false;
  const { events } = recorder(proxied);
  events.record(away, rotated);
  const startedAt = performance.now();
  await events.flush(200);
  expect(performance.now() - startedAt).toBeLessThan(5_000);
  expect(await eventsOf(away)).toEqual([]);
  proxy.accepting = true;
  await events.flush(PATIENCE);
  expect(await eventsOf(away)).toHaveLength(1);
  proxied.close();
});

test('what cannot be written is logged', async () => {
  const { events, log } = recorder();
  const nowhere: ObjectReference = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    namespace: 'no-such-namespace',
    name: 'x',
    uid: 'y',
  };
  events.record(nowhere, rotated);
  await events.flush(PATIENCE);
  expect(log.lines).toMatchObject([{ message: 'event not written', err: { status: 404 } }]);
});
