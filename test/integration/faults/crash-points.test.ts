import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PENDING_ANNOTATION } from '../../../src/api/constants.ts';
import { KeyringDamagedError } from '../../../src/keys/damage.ts';
import type { Keyring } from '../../../src/keys/keyring.ts';
import { type ApiProxy, startApiProxy } from '../../support/api-proxy.ts';
import { eventually } from '../../support/eventually.ts';
import { takeLeaseAway } from '../controller/watched-controller.ts';
import { type Tenant, TenantSet } from '../controller/world.ts';
import { type Breakpoint, Breakpoints, type Moment } from './breakpoints.ts';
import { type Before, OPERATIONS, type Operation, patientSpec } from './operations.ts';
import { FAULT, PATIENCE, Site } from './site.ts';

/** The controller works on 8 sets at once: all but one of them can stand at their points. */
const AT_ONCE = 7;
/** Of those that make a Secret only one is at work at a time. */
const ALONE = 'POST secrets 1';

/** After so long without a write, in milliseconds, an operation is over. */
const QUIET = 2_000;

let proxy: ApiProxy;
let breakpoints: Breakpoints;
let site: Site;
let made = 0;

beforeAll(async () => {
  site = await Site.start(async (plane) => {
    proxy = await startApiProxy(plane);
    breakpoints = new Breakpoints(proxy);
    return { servers: { controller: proxy.url } };
  });
}, FAULT.timeout);
afterAll(async () => {
  breakpoints?.release();
  await site?.stop();
  await proxy?.[Symbol.asyncDispose]();
});

/** One set on which an operation is tried. */
interface Trial {
  readonly set: TenantSet;
  readonly before: Before;
  readonly askedAt: number;
}

const NO_KEYS: Before = { keys: [], requests: { number: 0, ids: [] } };

async function setFor({ makesIt, prepare }: Operation, tenant: Tenant): Promise<TenantSet> {
  made += 1;
  const name = `set-${made}`;
  if (makesIt) return new TenantSet(tenant, name, '');
  const set = await tenant.apply(patientSpec(name), { name });
  breakpoints.owns(set.uid, name);
  await set.until('Published', 'PublishedEverywhere', PATIENCE.timeout);
  await site.follow(set);
  await prepare?.(set);
  return set;
}

/** Asks, with the controller to be stopped at a point of what follows. */
async function ask(operation: Operation, set: TenantSet, point?: Breakpoint): Promise<Trial> {
  const before = operation.makesIt ? NO_KEYS : await set.keyring();
  const askedAt = Date.now();
  breakpoints.follow(set.name, point);
  const asked = await operation.ask(set);
  breakpoints.owns(asked.uid, asked.name);
  if (asked !== set) site.goesOnAs(set, asked);
  return { set: asked, before, askedAt };
}

/** Exactly what was asked for has happened, and all of it is published. @returns the keys. */
async function carriedOut(operation: Operation, { set, before }: Trial): Promise<Keyring> {
  const ring = await set.keyring();
  operation.expect(before, ring);
  if (ring.retiredAt !== undefined) return ring;
  expect(ring.keys.every(({ publishedAt }) => publishedAt !== undefined)).toBe(true);
  const { metadata, status } = await set.read();
  expect(Object.keys(metadata.annotations ?? {})).not.toContain(PENDING_ANNOTATION);
  const live = status?.keys?.filter(({ state }) => state !== 'revoked').map(({ kid }) => kid);
  expect(live?.toSorted()).toEqual(ring.keys.map(({ kid }) => kid).toSorted());
  expect(status?.conditions).toContainEqual(
    expect.objectContaining({ type: 'Published', status: 'True' }),
  );
  const published = await set.tenant.configMap(`${set.name}-keys`);
  for (const { kid } of ring.keys) expect(published?.data).toHaveProperty(`${kid}.crt`);
  return ring;
}

/** The same in the end, and clients go on. */
async function succeeds(operation: Operation, trial: Trial): Promise<void> {
  const { set, before, askedAt } = trial;
  const after = await eventually(() => carriedOut(operation, trial), PATIENCE);
  operation.account?.(site, before, after, askedAt);
  if (operation.makesIt) await site.follow(set);
  else if (after.retiredAt === undefined) await site.verified(await set.kid('current'));
  site.forget(set);
}

/** Every key that the API server has now and that is not to be replaced; none of them may get lost. */
async function persisted(
  { replaces }: Operation,
  { set, before }: Trial,
): Promise<readonly string[]> {
  if ((await set.secret()) === undefined) return [];
  const { keys } = await set.keyring().catch((error) => {
    if (error instanceof KeyringDamagedError) return before;
    throw error;
  });
  return keys.filter(({ state }) => state !== replaces).map(({ kid }) => kid);
}

async function keeps({ set }: Trial, kids: readonly string[]): Promise<void> {
  const { keys, revoked } = await set.keyring();
  expect([...keys, ...revoked].map(({ kid }) => kid)).toEqual(expect.arrayContaining([...kids]));
}

/**
 * Two changes that come close may be one write, so that the later one does not come; which writes
 * there are at least does not depend on that.
 */
function mayBeSpared(write: string): boolean {
  return /status [2-9]$|PUT secrets [3-9]$/.test(write);
}

/** Waits until a set stands at its point. */
async function stands(operation: Operation, trial: Trial, write: string): Promise<void> {
  const { name } = trial.set;
  await eventually(async () => {
    if (breakpoints.isReached(name)) return;
    expect(mayBeSpared(write), `${write} after ${breakpoints.writes(name).join(', ')}`).toBe(true);
    await carriedOut(operation, trial);
  }, PATIENCE);
}

/** The writes that an operation takes, counted until no more come. */
async function count(operation: Operation, tenant: Tenant): Promise<readonly string[]> {
  const trial = await ask(operation, await setFor(operation, tenant));
  await succeeds(operation, trial);
  let writes = breakpoints.writes(trial.set.name).length;
  let since = performance.now();
  await eventually(() => {
    const found = breakpoints.writes(trial.set.name).length;
    if (found !== writes) since = performance.now();
    writes = found;
    return performance.now() > since + QUIET;
  }, PATIENCE);
  const counted = breakpoints.writes(trial.set.name);
  breakpoints.release();
  return counted;
}

/** Groups points that can be stood at together; the one that keeps others from theirs comes last. */
function batchesOf(writes: readonly string[], moments: readonly Moment[]): Breakpoint[][] {
  const points = moments.flatMap((moment) => writes.map((write) => ({ write, moment })));
  const alone = points.filter(({ write }) => write === ALONE);
  const others = points.filter(({ write }) => write !== ALONE);
  const batches: Breakpoint[][] = [];
  while (others.length + alone.length > 0) {
    const last = alone.splice(0, 1);
    batches.push([...others.splice(0, AT_ONCE - last.length), ...last]);
  }
  return batches;
}

async function dieAndComeBack(): Promise<void> {
  await site.stack.controller.kill('SIGKILL');
  breakpoints.release();
  await takeLeaseAway(site);
  await site.stack.controller.restart();
}

describe.each(Object.entries(OPERATIONS))('%s', FAULT, (_, operation) => {
  let tenant: Tenant;
  let writes: readonly string[] = [];

  beforeAll(async () => {
    tenant = await site.tenantWithAccounts();
    writes = await count(operation, tenant);
  }, FAULT.timeout);

  it('writes the Secret, and so can be told apart from nothing', () => {
    expect(writes.some((write) => write.includes(' secrets '))).toBe(true);
  });

  it('is carried out exactly once wherever the controller is killed, before and after each write', async () => {
    for (const points of batchesOf(writes, ['before', 'after'])) {
      const sets = await Promise.all(points.map(() => setFor(operation, tenant)));
      const trials: Trial[] = [];
      for (const [index, set] of sets.entries()) {
        const point = points[index];
        const trial = await ask(operation, set, point);
        trials.push(trial);
        await stands(operation, trial, point?.write ?? '');
      }
      const kids = await Promise.all(trials.map((trial) => persisted(operation, trial)));
      await dieAndComeBack();
      await Promise.all(trials.map((trial) => succeeds(operation, trial)));
      await Promise.all(trials.map((trial, index) => keeps(trial, kids[index] ?? [])));
    }
    await site.refusesNothing();
  });

  it('is carried out exactly once when the answer to any of its writes is lost', async () => {
    const sets = await Promise.all(writes.map(() => setFor(operation, tenant)));
    const asked = sets.map((set, index) =>
      ask(operation, set, { write: writes[index] ?? '', moment: 'lost' }),
    );
    const trials = await Promise.all(asked);
    await Promise.all(trials.map((trial, index) => stands(operation, trial, writes[index] ?? '')));
    await Promise.all(trials.map((trial) => succeeds(operation, trial)));
    breakpoints.release();
    await site.refusesNothing();
  });
});

it(
  'afterwards nothing but Leases is written, and every token verified to its end (I20)',
  FAULT,
  async () => {
    await site.set();
    await site.fallsSilent();
    await site.unbroken();
  },
);
