/** `npm run bench:rotate`: what a rotation costs, and what 100 sets cost while nothing happens. */
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { connect, type Kube } from '../../src/kube/client.ts';
import { buildBundle } from '../stack/bundle.ts';
import { type Stack, type StackProcess, startStack } from '../stack/stack.ts';
import { eventually } from '../support/eventually.ts';
import {
  atMost,
  below,
  type Figure,
  machine,
  percentile,
  render,
  renderWrites,
} from './figures.ts';
import { createFleet, type Member } from './fleet.ts';
import { revokePrevious, rotateAll } from './rotations.ts';
import { cpuMilliseconds, residentMegabytes } from './usage.ts';
import { sum, untilQuiet, writesSince } from './writes.ts';

const PARALLEL = 8;
const STARTS = 5;

const { values: options } = parseArgs({
  options: {
    sets: { type: 'string', default: '100' },
    'idle-seconds': { type: 'string', default: '60' },
    source: { type: 'boolean', default: false },
  },
});
const SETS = Number(options.sets);
const IDLE_SECONDS = Number(options['idle-seconds']);

async function measure(stack: Stack, kube: Kube): Promise<Figure[]> {
  const { auditLog } = stack.controlPlane;
  say(`making ${SETS} sets`);
  const members = await createFleet(stack, kube, SETS);
  await untilQuiet(auditLog);
  return [
    ...(await oneAfterAnother(stack, kube, members)),
    ...(await idle(stack)),
    ...(await inParallel(stack, kube, members)),
    ...(await starts(stack)),
  ];
}

async function oneAfterAnother(
  stack: Stack,
  kube: Kube,
  members: readonly Member[],
): Promise<Figure[]> {
  const { auditLog } = stack.controlPlane;
  say(`${2 * SETS} rotations, one after another`);
  const since = Date.now();
  const cpuBefore = cpuMilliseconds(pidOf(stack.controller));
  const times = await rotateAll(kube, members, 1);
  await untilQuiet(auditLog);
  const cpu = (cpuMilliseconds(pidOf(stack.controller)) - cpuBefore) / times.length;
  const { operator, user } = writesSince(auditLog, since);
  const counted = [...user, ...operator].filter(({ resource }) => resource !== 'events');
  const writes = sum(counted) / times.length;
  const own = sum(user) / times.length;
  console.log(`\n${renderWrites([...user, ...operator], times.length)}\n`);
  return [
    ...latency('', 'a rotation, one after another', times, { p50: 150, p99: 1_000 }),
    {
      key: 'writes_per_rotation',
      name: "writes a rotation, the user's included",
      value: writes,
      unit: '',
      digits: 2,
      aim: atMost(8, writes),
    },
    {
      key: 'user_writes_per_rotation',
      name: "of these, the user's annotate",
      value: own,
      unit: '',
      digits: 2,
    },
    {
      key: 'cpu_ms_per_rotation',
      name: 'controller CPU time a rotation',
      value: cpu,
      unit: 'ms',
    },
  ];
}

async function idle({ controlPlane, controller, issuer }: Stack): Promise<Figure[]> {
  say(`${IDLE_SECONDS} s in which nothing happens`);
  const since = Date.now();
  const processes = [controller, issuer].map(pidOf);
  const before = processes.map(cpuMilliseconds);
  await delay(IDLE_SECONDS * 1_000);
  const [controllerCpu = Number.NaN, issuerCpu = Number.NaN] = processes.map(
    (pid, index) => (cpuMilliseconds(pid) - (before[index] ?? 0)) / (IDLE_SECONDS * 10),
  );
  const [controllerRss = Number.NaN, issuerRss = Number.NaN] = processes.map(residentMegabytes);
  const writes = sum(writesSince(controlPlane.auditLog, since).operator);
  return [
    {
      key: 'idle_writes',
      name: `writes in ${IDLE_SECONDS} idle seconds, Leases apart`,
      value: writes,
      unit: '',
      aim: atMost(0, writes),
    },
    {
      key: 'idle_cpu_percent',
      name: 'controller CPU, idle',
      value: controllerCpu,
      unit: '% of a core',
      digits: 2,
      aim: below(1, controllerCpu, '% of a core'),
    },
    {
      key: 'issuer_idle_cpu_percent',
      name: 'issuer CPU, idle',
      value: issuerCpu,
      unit: '% of a core',
      digits: 2,
    },
    {
      key: 'controller_rss_mb',
      name: 'controller memory (RSS), after the rotations',
      value: controllerRss,
      unit: 'MB',
      aim: below(150, controllerRss, 'MB'),
    },
    {
      key: 'issuer_rss_mb',
      name: 'issuer memory (RSS), after the rotations',
      value: issuerRss,
      unit: 'MB',
      aim: below(150, issuerRss, 'MB'),
    },
  ];
}

async function inParallel(
  { controlPlane }: Stack,
  kube: Kube,
  members: readonly Member[],
): Promise<Figure[]> {
  const parallel = Math.min(PARALLEL, SETS);
  say(`${2 * SETS} rotations, ${parallel} at a time`);
  await revokePrevious(kube, members);
  await untilQuiet(controlPlane.auditLog);
  const begun = performance.now();
  const times = await rotateAll(kube, members, parallel);
  const rate = times.length / ((performance.now() - begun) / 1_000);
  return [
    ...latency('parallel_', `a rotation, ${parallel} at a time`, times),
    {
      key: 'parallel_rotations_per_second',
      name: `rotations a second, ${parallel} at a time`,
      value: rate,
      unit: '',
      digits: 1,
    },
  ];
}

async function starts({ controlPlane, controller }: Stack): Promise<Figure[]> {
  say(`${STARTS} starts of the controller`);
  const times: number[] = [];
  while (times.length < STARTS) {
    await untilQuiet(controlPlane.auditLog);
    await controller.kill('SIGTERM');
    const begun = performance.now();
    await controller.restart();
    await eventually(() => isLeading(controller), { interval: 5 });
    times.push(performance.now() - begun);
  }
  const median = percentile(times, 0.5);
  return [
    {
      key: 'ready_ms',
      name: `start until leading, caches filled (median of ${STARTS})`,
      value: median,
      unit: 'ms',
      aim: below(2_000, median, 'ms'),
    },
    {
      key: 'ready_worst_ms',
      name: 'the longest of these',
      value: Math.max(...times),
      unit: 'ms',
    },
  ];
}

function latency(
  prefix: string,
  name: string,
  times: readonly number[],
  aims?: { readonly p50: number; readonly p99: number },
): Figure[] {
  const shares = { p50: 0.5, p99: 0.99 } as const;
  return (['p50', 'p99'] as const).map((share) => {
    const value = percentile(times, shares[share]);
    return {
      key: `${prefix}${share}_ms`,
      name: `${name}: ${share}`,
      value,
      unit: 'ms',
      ...(aims === undefined ? {} : { aim: atMost(aims[share], value, 'ms') }),
    };
  });
}

async function isLeading({ metricsUrl }: StackProcess): Promise<boolean> {
  return /^signet_controller_leading 1$/m.test(await (await fetch(metricsUrl)).text());
}

function pidOf({ name, pid }: StackProcess): number {
  if (pid === undefined) throw new Error(`${name} does not run any more`);
  return pid;
}

function say(what: string): void {
  console.log(`… ${what}`);
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  // Whatever we started ends with us (supervise.ts).
  process.once(signal, () => process.exit(1));
}

console.log(machine());
const bundle = options.source ? undefined : await buildBundle();
Object.assign(process.env, bundle?.env);
// R and S as they are by default: short ones make the issuer ask more often.
const stack = await startStack({
  clockSkew: '5m',
  maxStaleness: '1h',
  ...(bundle !== undefined && { main: bundle.main }),
});
const { kubeconfig } = stack.controlPlane;
const kube = await connect({ kubeconfig, userAgent: 'signet-bench' });
try {
  console.log(`\n${render(await measure(stack, kube))}`);
} finally {
  kube.close();
  await stack.stop();
}
