import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { V1Lease } from '@kubernetes/client-node';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import type { Kube } from '../../../src/kube/client.ts';
import { LeaderElection, type LeaderElectionOptions } from '../../../src/kube/leader-election.ts';
import { type ControlPlane, startControlPlane } from '../../controlplane/controlplane.ts';
import { connectAsRobot, eventually, memoryLog, NAMESPACE, prepare } from './cluster.ts';
import { startProxy } from './proxy.ts';

const LEASES = `/apis/coordination.k8s.io/v1/namespaces/${NAMESPACE}/leases`;
const LEASE_MS = 6_000;
const DEADLINE_MS = 4_000;
const RETRY_MS = 300;
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

interface Term {
  readonly from: number;
  until?: number;
}

const SHORT = { leaseDurationMs: LEASE_MS, renewDeadlineMs: DEADLINE_MS, retryPeriodMs: RETRY_MS };

/** A candidate in this process, with the terms in which it led. @param options default: short times. */
function stand(
  name: string,
  identity: string,
  finishing: () => Promise<void> = async () => {},
  options: Partial<LeaderElectionOptions> = SHORT,
) {
  const election = new LeaderElection({
    ...{ kube, namespace: NAMESPACE, name, identity, log: memoryLog() },
    ...options,
  });
  const terms: Term[] = [];
  const stopping = new AbortController();
  const stopped = election.run(stopping.signal, async (leading) => {
    const term: Term = { from: Date.now() };
    terms.push(term);
    if (!leading.aborted) await new Promise((end) => leading.addEventListener('abort', end));
    term.until = Date.now();
    await finishing();
  });
  const stop = async () => {
    stopping.abort();
    await stopped;
  };
  onTestFinished(stop);
  return { election, terms, stop };
}

const led = (candidate: { election: LeaderElection }) => () =>
  expect(candidate.election.isLeading()).toBe(true);

async function readLease(name: string) {
  const { body } = await kube.request('GET', `${LEASES}/${name}`);
  return body as V1Lease;
}

test('one of two leads, and a graceful stop hands over at once, after the work has ended', async () => {
  let finishedAt = 0;
  const one = stand('graceful', 'one', async () => {
    await eventually(() => expect(one.election.isLeading()).toBe(true), 1);
    finishedAt = Date.now();
  });
  await eventually(led(one));
  const two = stand('graceful', 'two');
  const { spec } = await readLease('graceful');
  expect(spec).toMatchObject({
    holderIdentity: 'one',
    leaseDurationSeconds: LEASE_MS / 1_000,
    leaseTransitions: 0,
  });
  expect(two.election.isLeading()).toBe(false);
  const stoppedAt = Date.now();
  await one.stop();
  expect(one.election.isLeading()).toBe(false);
  await eventually(led(two));
  expect(Date.now() - stoppedAt).toBeLessThan(LEASE_MS - 1_000);
  expect(finishedAt).toBeLessThanOrEqual(two.terms[0]?.from ?? 0);
  expect((await readLease('graceful')).spec).toMatchObject({
    holderIdentity: 'two',
    leaseTransitions: 1,
  });
});

test('a leader keeps its lease for as long as it renews it', async () => {
  const one = stand('kept', 'one');
  await eventually(led(one));
  const two = stand('kept', 'two');
  const until = Date.now() + LEASE_MS + 1_000;
  await eventually(() => {
    expect(one.election.isLeading()).toBe(true);
    expect(two.election.isLeading()).toBe(false);
    expect(two.election.holder ?? 'one').toBe('one');
    expect(Date.now()).toBeGreaterThan(until);
  });
  expect(one.terms).toHaveLength(1);
  expect(two.terms).toHaveLength(0);
});

test('a leader that was stopped past its lease knows it before it does anything', async () => {
  const { port } = new URL(plane.server);
  const script = join(import.meta.dirname, 'candidate.ts');
  const child = spawn(
    process.execPath,
    [script, port, join(plane.dir, 'robot'), 'frozen', 'child'],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  const looks: { at: number; leading: boolean; interrupted: boolean }[] = [];
  createInterface(child.stdout).on('line', (line) => looks.push(JSON.parse(line)));
  await eventually(() => expect(looks.at(-1)?.leading).toBe(true));
  const other = stand('frozen', 'other');
  await eventually(() => expect(other.election.holder).toBe('child'));
  child.kill('SIGSTOP');
  await eventually(led(other));
  const elected = other.terms[0]?.from ?? 0;
  child.kill('SIGCONT');
  await eventually(() => expect(looks.at(-1)?.interrupted).toBe(true));
  const afterwards = looks.filter(({ at }) => at >= elected);
  expect(afterwards.length).toBeGreaterThan(0);
  expect(afterwards.filter(({ leading }) => leading)).toEqual([]);
});

test('a deleted lease is made again by its leader, and nobody slips in between', async () => {
  const one = stand('deleted', 'one');
  await eventually(led(one));
  const two = stand('deleted', 'two');
  await eventually(() => expect(two.election.holder).toBe('one'));
  const { metadata } = await readLease('deleted');
  await kube.request('DELETE', `${LEASES}/deleted`);
  const again = await eventually(() => readLease('deleted'));
  expect(again.metadata?.uid).not.toBe(metadata?.uid);
  expect(again.spec?.holderIdentity).toBe('one');
  expect(one.terms).toHaveLength(1);
  expect(two.terms).toHaveLength(0);
});

test('when a lease is deleted under a leader that is silent, the others still wait for its time', async () => {
  const spec = { holderIdentity: 'ghost', leaseDurationSeconds: LEASE_MS / 1_000 };
  await kube.request('POST', LEASES, { body: { metadata: { name: 'ghostly' }, spec } });
  const one = stand('ghostly', 'one');
  await eventually(() => expect(one.election.holder).toBe('ghost'));
  const seenAt = Date.now();
  await kube.request('DELETE', `${LEASES}/ghostly`);
  await eventually(led(one));
  expect(Date.now() - seenAt).toBeGreaterThan(LEASE_MS - RETRY_MS);
});

test('a lease that someone took ends the term at the next renewal', async () => {
  const one = stand('taken', 'one');
  await eventually(led(one));
  const takenAt = Date.now();
  await kube.request('PATCH', `${LEASES}/taken`, { body: { spec: { holderIdentity: 'thief' } } });
  await eventually(() => expect(one.terms[0]?.until).toBeDefined());
  expect((one.terms[0]?.until ?? 0) - takenAt).toBeLessThan(LEASE_MS);
  expect(one.election.isLeading()).toBe(false);
  expect(one.election.holder).toBe('thief');
  await eventually(led(one));
  expect((one.terms[1]?.from ?? 0) - takenAt).toBeGreaterThan(LEASE_MS - RETRY_MS);
});

test('a lease that someone else touched without taking it stays held', async () => {
  const one = stand('touched', 'one');
  await eventually(led(one));
  await kube.request('PATCH', `${LEASES}/touched`, { body: { metadata: { labels: { a: 'b' } } } });
  const { metadata } = await readLease('touched');
  await eventually(async () => {
    const now = await readLease('touched');
    expect(BigInt(now.metadata?.resourceVersion ?? 0)).toBeGreaterThan(
      BigInt(metadata?.resourceVersion ?? 0),
    );
    expect(now.metadata?.labels).toEqual({ a: 'b' });
  });
  expect(one.terms).toHaveLength(1);
});

test('with the API server silent the leader stops in time, and someone leads afterwards', async () => {
  const one = stand('silent', 'one');
  const two = stand('silent', 'two');
  await eventually(() =>
    expect([one, two].filter(({ election }) => election.isLeading())).toHaveLength(1),
  );
  const leader = one.election.isLeading() ? one : two;
  const silentAt = Date.now();
  plane.components.apiserver.pause();
  await eventually(() => expect(leader.terms[0]?.until).toBeDefined());
  plane.components.apiserver.resume();
  expect(leader.terms[0]?.until).toBeLessThan(silentAt + LEASE_MS);
  await eventually(() =>
    expect([one, two].filter(({ election }) => election.isLeading())).toHaveLength(1),
  );
  const terms = [...one.terms, ...two.terms].sort((a, b) => a.from - b.from);
  for (const [index, { until = Number.POSITIVE_INFINITY }] of terms.entries()) {
    const next = terms[index + 1];
    if (next) expect(until).toBeLessThanOrEqual(next.from);
  }
});

test('a leader whose token has expired stops in time, and stands again with the next one in the file', async () => {
  const dir = join(plane.dir, 'expiring');
  const own = await connectAsRobot(plane, undefined, dir);
  onTestFinished(() => own.close());
  const one = stand('expired', 'one', undefined, { ...SHORT, kube: own });
  await eventually(led(one));
  const two = stand('expired', 'two');
  await plane.serviceAccountCredentials(dir, NAMESPACE, 'robot', { seconds: -120 });
  await eventually(led(two));
  expect(one.terms[0]?.until).toBeLessThanOrEqual(two.terms[0]?.from ?? 0);
  await plane.serviceAccountCredentials(dir, NAMESPACE, 'robot');
  await two.stop();
  await eventually(led(one));
  expect(one.terms).toHaveLength(2);
});

test('as the controller uses it, a lease is held for 15 s, given up before that, and taken by another after that', async () => {
  const network = await startProxy(plane.server);
  const own = await connectAsRobot(plane, network.port, join(plane.dir, 'cut-off'));
  onTestFinished(async () => {
    own.close();
    await network[Symbol.asyncDispose]();
  });
  const one = stand('default', 'one', undefined, { kube: own });
  await eventually(led(one));
  const two = stand('default', 'two', undefined, {});
  await eventually(() => expect(two.election.holder).toBe('one'));
  expect((await readLease('default')).spec?.leaseDurationSeconds).toBe(15);
  const cutAt = Date.now();
  network.accepting = false;
  network.cut();
  await eventually(led(two));
  const [{ until: endedAt = 0 } = {}] = one.terms;
  const takenAt = two.terms[0]?.from ?? 0;
  expect(endedAt).toBeGreaterThan(cutAt);
  expect(endedAt).toBeLessThanOrEqual(takenAt);
  // It was renewed 2 s before the cut at the earliest, give or take a tenth and a slow machine.
  expect(takenAt - cutAt).toBeGreaterThan(10_000);
});

test('work that fails while it leads gives the lease up and ends the campaign with its error', async () => {
  const election = new LeaderElection({
    kube,
    namespace: NAMESPACE,
    name: 'failing',
    identity: 'one',
    log: memoryLog(),
  });
  const running = election.run(new AbortController().signal, async () => {
    throw new Error('out of order');
  });
  await expect(running).rejects.toThrow('out of order');
  expect((await readLease('failing')).spec?.holderIdentity).toBeUndefined();
});
