/**
 * `npm run soak [-- --minutes 20 --seed 1 --sets 50]`: sets that rotate all the time, real processes,
 * and faults at random. Prints how it goes and a summary; exits 1 when a token was wrongly refused or
 * accepted, or when the system does not come to rest.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { SECOND } from '../../src/api/constants.ts';
import { connect, type Kube } from '../../src/kube/client.ts';
import { ApiError } from '../../src/kube/errors.ts';
import { auditEvents, countWrites } from '../controlplane/audit.ts';
import { NAMESPACE as OPERATOR, SERVICE_ACCOUNTS } from '../stack/permissions.ts';
import { eventually } from '../support/eventually.ts';
import { Ledger } from '../support/traffic/ledger.ts';
import { Traffic } from '../support/traffic/traffic.ts';
import { FAULTS, type Scene } from './faults.ts';
import { createFleet, isWell, L, listSets, P } from './fleet.ts';
import { Memory } from './memory.ts';
import { startPlace } from './place.ts';
import { Random } from './random.ts';
import { Rotations } from './rotations.ts';
import { summarize } from './summary.ts';

/** Between two tokens of a set, and how late a gateway sees a ConfigMap, in milliseconds. */
const TRAFFIC = { interval: 1_500, mountDelay: 1_500 };
const CALM = { least: 5, most: 15 };
const OUTAGE = /^(API server|etcd|history)/;
const REST = 30 * SECOND;
const TELL_EVERY = 20 * SECOND;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '20' },
    seed: { type: 'string', default: `${Date.now() % 1_000_000}` },
    sets: { type: 'string', default: '50' },
  },
});
const [minutes, seed, sets] = [values.minutes, values.seed, values.sets].map(Number);
if (!(minutes && seed && sets))
  throw new Error('--minutes, --seed and --sets take numbers above 0');

function say(text: string): void {
  console.log(`${new Date().toISOString().slice(11, 19)} ${text}`);
}

/** One fault after the other, with pauses, until the time is over. */
async function hurt(scene: Scene, rotations: Rotations, until: number): Promise<Failures> {
  const faults = new Map<string, number>();
  const failures: string[] = [];
  while (Date.now() < until) {
    await delay(scene.random.between(CALM.least, CALM.most) * SECOND);
    const [name, fault] = scene.random.pick(Object.entries(FAULTS));
    say(`fault: ${name}`);
    if (OUTAGE.test(name)) rotations.outage(Number.POSITIVE_INFINITY);
    try {
      await fault(scene);
      faults.set(name, (faults.get(name) ?? 0) + 1);
    } catch (error) {
      // A write of ours may meet one of theirs: that fault did not happen.
      if (!(error instanceof ApiError && error.status === 409)) failures.push(`${name}: ${error}`);
    }
    if (OUTAGE.test(name)) rotations.outage(Date.now());
  }
  return { faults, failures };
}

interface Failures {
  readonly faults: ReadonlyMap<string, number>;
  readonly failures: readonly string[];
}

/** Everything is well again and no old key is left. @returns the sets of which that is not true. */
async function settle(kube: Kube): Promise<readonly string[]> {
  let left: readonly string[] = ['nobody answered'];
  const settled = async (): Promise<boolean> => {
    left = (await listSets(kube))
      .filter(
        ({ status }) =>
          !isWell(status) || (status?.keys ?? []).some(({ state }) => state === 'previous'),
      )
      .map(({ metadata, status }) => `${metadata.name}: ${JSON.stringify(status?.conditions)}`);
    return left.length === 0;
  };
  await eventually(settled, { timeout: 180 * SECOND, interval: SECOND }).catch((error: Error) => {
    say(`not at rest: ${error.message}`);
  });
  return left;
}

async function writesAtRest(auditLog: string): Promise<number> {
  // Status and Events come after the Secret.
  await delay(3 * SECOND);
  const since = Date.now();
  await delay(REST);
  const ours = Object.values(SERVICE_ACCOUNTS).map(
    (account) => `system:serviceaccount:${OPERATOR}:${account}`,
  );
  const events = auditEvents(auditLog, { since }).filter(({ user }) =>
    ours.includes(user.username),
  );
  const all = countWrites(events);
  if (all.length === 0) throw new Error('not even a Lease was written: the soak says nothing');
  const writes = all.filter(({ resource }) => resource !== 'leases');
  for (const { verb, resource, count } of writes) say(`at rest: ${verb} ${resource} ${count}`);
  return writes.reduce((sum, { count }) => sum + count, 0);
}

say(`${minutes} minutes, ${sets} sets, seed ${seed}`);
const random = new Random(seed);
const ledger = new Ledger(P * SECOND);
await using place = await startPlace();
const { stack, plane } = place;
await using traffic = await Traffic.start(stack, TRAFFIC);
traffic.route([stack.issuer, place.secondIssuer]);
const kube = await connect({ kubeconfig: plane.kubeconfig, userAgent: 'soak' });
await createFleet(stack, kube, traffic, sets);
const memory = { controller: new Memory(stack.controller), issuer: new Memory(stack.issuer) };
const rotations = new Rotations(kube, ledger, new Random(seed + 1));
const over = new AbortController();
const rotating = rotations.run(over.signal);
const sampling = setInterval(() => {
  for (const of of Object.values(memory)) of.sample();
}, 5 * SECOND);
const telling = setInterval(async () => {
  const { signed, verified, refusals } = await traffic.tally();
  const all = Object.values(verified).reduce((sum, count) => sum + count, 0);
  say(`${rotations.count} rotations, ${signed} signed, ${all} verified, ${refusals} refused`);
}, TELL_EVERY);
const victim = async () => random.pick(await listSets(kube));
const scene = { ...place, kube, random, victim };
const { faults, failures } = await hurt(scene, rotations, Date.now() + minutes * 60 * SECOND);
say('no more faults');
rotations.rest();
const restless = await settle(kube);
clearInterval(sampling);
say('at rest');
const atRest = await writesAtRest(plane.auditLog);
await delay(L * SECOND);
clearInterval(telling);
over.abort();
await rotating;
const { lines, broken } = summarize({
  ...{ minutes, seed, sets, ledger, faults, memory },
  rotations: rotations.count,
  tally: await traffic.tally(),
  failures: [...failures, ...restless],
  writesAtRest: atRest,
});
kube.close();
console.log(['', ...lines, '', ...broken].join('\n'));
process.exitCode = broken.length === 0 ? 0 : 1;
