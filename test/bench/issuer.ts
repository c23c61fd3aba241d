/** `npm run bench:issuer`: the issuer beside OpenSSL, and beside a server that does nothing but sign. */
import { cpus } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { connect, type Kube } from '../../src/kube/client.ts';
import { buildBundle } from '../stack/bundle.ts';
import { type Stack, type StackProcess, startStack } from '../stack/stack.ts';
import { eventually } from '../support/eventually.ts';
import { machine } from './figures.ts';
import { type Measured, type Pair, type Round, report } from './issuer-figures.ts';
import {
  type Bare,
  type Load,
  type LoadOptions,
  load,
  opensslSignatures,
  opensslVersion,
  requireWrk,
  startBare,
  type Target,
} from './issuer-load.ts';
import { signatureAlone } from './issuer-signature.ts';
import { type BenchSet, createSets, type Sets, signOnce, storeSecrets } from './issuer-world.ts';
import { residentMegabytes } from './usage.ts';

const CONNECTIONS = 32;
/** Enough of them that hardly one is busy when its next request comes. */
const CONNECTIONS_AT_HALF = 64;
const STARTS = 5;
const CROWD = 1_000;
const SETTLE = 10_000;
/** Before each measurement, in which the issuer asks the API server about callers. */
const WARM_SECONDS = 1;

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '5' },
  },
});
const ROUNDS = Number(options.rounds);
const SECONDS = Number(options.seconds);

interface Servers {
  readonly stack: Stack;
  readonly sets: Sets;
  readonly bare: Readonly<Record<'RS256' | 'ES256' | 'JWKS', Bare>>;
}

async function measure(stack: Stack, kube: Kube): Promise<Measured> {
  const sets = await createSets(stack, kube);
  const document = await (await fetch(sets.RS256.jwks.url)).text();
  const [RS256, ES256, JWKS] = [
    await fastestBare(stack.controlPlane.dir, sets.RS256.sign),
    await startBare('ES256'),
    await startBare('JWKS', { body: document }),
  ];
  const servers = { stack, sets, bare: { RS256, ES256, JWKS } };
  say('warming up');
  await measureRound(servers, 0, SECONDS);
  const rounds: Round[] = [];
  while (rounds.length < ROUNDS) {
    say(`round ${rounds.length + 1} of ${ROUNDS}`);
    rounds.push(await measureRound(servers, rounds.length, SECONDS));
  }
  for (const server of [RS256, ES256, JWKS]) server.stop();
  return { rounds, firstSignature: await starts(stack, sets.RS256), ...(await crowd(stack, kube)) };
}

/** With a thread for each core in its pool, or with two: whichever signs more here. */
async function fastestBare(dir: string, sign: Target): Promise<Bare> {
  say('choosing the bare server');
  const tried = [];
  for (const threads of [cpus().length, 2 * cpus().length]) {
    const server = await startBare('RS256', { threads });
    const how = { connections: CONNECTIONS, seconds: SECONDS };
    await load(dir, { ...sign, url: server.url }, how);
    const { perSecond } = await load(dir, { ...sign, url: server.url }, how);
    say(`with ${threads} threads ${perSecond.toFixed(0)} signatures a second`);
    tried.push({ server, perSecond });
  }
  const [first, ...others] = tried.toSorted((a, b) => b.perSecond - a.perSecond);
  if (first === undefined) throw new Error('no bare server was tried');
  for (const { server } of others) server.stop();
  return first.server;
}

/** Everything once; who comes first changes from round to round. */
async function measureRound(
  { stack, sets, bare }: Servers,
  index: number,
  seconds: number,
): Promise<Round> {
  const both = (ours: Target, theirs: Bare, more: Partial<LoadOptions> = {}): Promise<Pair> =>
    pair(index, stack.controlPlane.dir, ours, theirs, {
      connections: CONNECTIONS,
      seconds,
      ...more,
    });
  const openssl = await opensslSignatures(Math.min(3, seconds));
  await eventLoopDelay(stack.issuer);
  const rs256 = await both(sets.RS256.sign, bare.RS256);
  const lag = await eventLoopDelay(stack.issuer);
  const es256 = await both(sets.ES256.sign, bare.ES256);
  const jwks = await both(sets.RS256.jwks, bare.JWKS);
  const at16 = await both(sets.RS256.sign, bare.RS256, { connections: 16 });
  const https = await load(stack.controlPlane.dir, sets.RS256.https, {
    connections: CONNECTIONS,
    seconds,
  });
  const half = await both(sets.RS256.sign, bare.RS256, {
    connections: CONNECTIONS_AT_HALF,
    rate: rs256.ours.perSecond / 2,
  });
  const round = {
    openssl,
    rs256,
    es256,
    jwks,
    at16,
    half,
    https,
    lag,
    signature: signatureAlone(seconds),
  };
  console.log(JSON.stringify(round));
  return round;
}

/** The same requests to both. */
async function pair(
  index: number,
  dir: string,
  target: Target,
  { url }: Bare,
  how: LoadOptions,
): Promise<Pair> {
  // Decisions about callers are cached for seconds, and the other side has just had its turn.
  const warm = async (server: Target): Promise<Load> => {
    await load(dir, server, { ...how, seconds: WARM_SECONDS });
    return load(dir, server, how);
  };
  const ours = (): Promise<Load> => warm(target);
  const theirs = (): Promise<Load> => warm({ ...target, url });
  if (index % 2 === 0) return { bare: await theirs(), ours: await ours() };
  return { ours: await ours(), bare: await theirs() };
}

/**
 * How late the issuer's event loop was since it was asked last, in milliseconds: at worst, and in
 * 99 of 100 cases. What Node reports includes the 10 ms between two looks.
 */
async function eventLoopDelay({ metricsUrl }: StackProcess): Promise<Round['lag']> {
  const metrics = await (await fetch(metricsUrl)).text();
  const read = (name: string): number => {
    const [, seconds] =
      new RegExp(`^nodejs_eventloop_lag_${name}_seconds (.+)$`, 'm').exec(metrics) ?? [];
    return Math.max(0, Number(seconds) * 1_000 - 10);
  };
  return { p99: read('p99'), max: read('max') };
}

/** Milliseconds from the start of the process to the first token. */
async function starts({ issuer }: Stack, set: BenchSet): Promise<number[]> {
  say(`${STARTS} starts of the issuer`);
  const times: number[] = [];
  while (times.length < STARTS) {
    await issuer.kill('SIGTERM');
    const begun = performance.now();
    const started = issuer.restart();
    await eventually(async () => (await signOnce(set)) === 200, { interval: 5 });
    times.push(performance.now() - begun);
    await started;
  }
  return times;
}

async function crowd(
  { controller, issuer, namespace }: Stack,
  kube: Kube,
): Promise<Pick<Measured, 'memory'>> {
  say(`${CROWD} sets more`);
  await controller.kill('SIGTERM');
  await storeSecrets(kube, namespace, CROWD);
  await issuer.kill('SIGTERM');
  await issuer.restart();
  await delay(SETTLE);
  const { pid } = issuer;
  if (pid === undefined) throw new Error('the issuer does not run any more');
  return { memory: residentMegabytes(pid) };
}

function say(what: string): void {
  console.log(`… ${what}`);
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  // Whatever we started ends with us (supervise.ts).
  process.once(signal, () => process.exit(1));
}

requireWrk();
console.log(`${machine()}, ${opensslVersion()}; the load comes from the same cores`);
const { main, env } = await buildBundle();
// Of the bare servers too.
Object.assign(process.env, env);
// R and S as they are by default: short ones make the issuer ask more often.
const stack = await startStack({
  plainCredentials: true,
  clockSkew: '5m',
  maxStaleness: '1h',
  main,
});
const { kubeconfig } = stack.controlPlane;
const kube = await connect({ kubeconfig, userAgent: 'signet-bench' });
try {
  console.log(`\n${report(await measure(stack, kube))}`);
} finally {
  kube.close();
  await stack.stop();
}
