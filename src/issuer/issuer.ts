import { setTimeout as delay } from 'node:timers/promises';
import { MINUTE, SECOND, SECRET_TYPE } from '../api/constants.ts';
import type { Kube } from '../kube/client.ts';
import { Reflector } from '../kube/reflector.ts';
import type { Change } from '../kube/store.ts';
import type { Log } from '../telemetry/log.ts';
import { defineMetrics, type Registry } from '../telemetry/metrics.ts';
import { Shares } from '../telemetry/shares.ts';
import { createApp } from './app.ts';
import { Authorizer } from './authorize.ts';
import { Freshness } from './freshness.ts';
import { type KeySecret, type RawKeySecret, readKeySecret } from './key-secret.ts';
import { Keyrings, type Stamp } from './keyrings.ts';
import { DEFAULT_LIMITS, type Limits } from './limits.ts';
import { LineQuota } from './line-quota.ts';
import { type ListenerOptions, openListeners } from './listeners.ts';
import { ISSUER_METRICS } from './metrics.ts';
import { RateLimit } from './rate-limit.ts';
import { type ReplicaIdentity, ReplicaLease } from './replica-lease.ts';
import { RestartableWatch } from './restartable-watch.ts';
import { createReviewer } from './reviewer.ts';

/** So many Secrets are read at once: a whole list of them would stay in memory as garbage. */
const PAGE = 20;

export interface IssuerOptions {
  readonly kube: Kube;
  /** Where the key Secrets are: the operator's own namespace. */
  readonly namespace: string;
  /** As which it is known to the controller. */
  readonly replica: ReplicaIdentity;
  readonly listeners: ListenerOptions;
  /** How long a replica that stops goes on serving, so that nobody sends to it any more. In ms. */
  readonly drainDelay: number;
  readonly log: Log;
  readonly registry: Registry;
  /** Unix milliseconds. */
  readonly clock: () => number;
  /** R, in milliseconds. */
  readonly maxStaleness: number;
  /** S, in milliseconds. */
  readonly clockSkew: number;
  /** Where they differ from the defaults. */
  readonly limits?: Partial<Limits>;
  /** Stops the issuer, as `close` does. */
  readonly signal: AbortSignal;
}

export interface RunningIssuer {
  /** `host:port` of plain HTTP as bound. */
  readonly address: string;
  /** `host:port` of HTTPS as bound, where it was asked for. */
  readonly httpsAddress?: string;
  /** Whether this replica may be sent requests; else why not. */
  ready(): true | string;
  /** Not ready from now on; serves for the drain delay, answers what is in flight, then stops. */
  close(): Promise<void>;
}

/** Listens, and reads the key Secrets in the background. @throws the error of bind. */
export async function startIssuer(options: IssuerOptions): Promise<RunningIssuer> {
  const { kube, namespace, log, registry, clock, maxStaleness, clockSkew, signal } = options;
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const monotonic = () => performance.now();
  const stop = new AbortController();
  let stopping = false;
  const metrics = defineMetrics(registry, ISSUER_METRICS);
  const source = {
    path: `/api/v1/namespaces/${namespace}/secrets`,
    query: { fieldSelector: `type=${SECRET_TYPE}` },
  };
  const secrets = new Reflector<KeySecret>({
    ...{ kube, ...source, log, clock },
    parse: (object) => readKeySecret(object as RawKeySecret),
    pageSize: PAGE,
  });
  const watch = new RestartableWatch(secrets);
  const keyrings = new Keyrings();
  const recount = () => {
    for (const [standing, count] of Object.entries(keyrings.count())) {
      metrics.keyrings.set({ standing }, count);
    }
    const oldest = keyrings.oldestSigningSince();
    if (oldest === undefined) metrics.oldest.remove();
    else metrics.oldest.set(oldest / SECOND);
  };
  const lease = new ReplicaLease({
    ...{ kube, namespace, maxStaleness, log },
    replica: options.replica,
    seen: () => secrets.lastSeenResourceVersion,
    unloadable: () => keyrings.unloadable(),
    hasSets: () => Object.values(keyrings.count()).some((count) => count > 0),
    onWrite: (result) => metrics.leaseWrites.inc({ result }),
    onFirstWrite: () => freshness.again(),
  });
  const freshness = new Freshness({
    kube,
    ...source,
    copy: secrets,
    maxStaleness,
    clockSkew,
    clock,
    log,
    counts: () => lease.counts(),
    onConfirmed: (at) => {
      metrics.confirmed.set(at.wall / SECOND);
      lease.confirmed(at);
    },
    onSkew: (ms) => metrics.skew.set(ms / SECOND),
    onBehind: () => {
      log.warn({}, 'The watch of key Secrets does not see what is listed; opening it anew.');
      watch.restart();
    },
  });
  secrets.subscribe((change) => {
    follow(keyrings, change, { now: clock(), confirmed: freshness.confirmed }, log);
    recount();
    lease.changed();
  });
  const authorizer = new Authorizer(createReviewer(kube), monotonic, (result) =>
    metrics.reviews.inc({ result }),
  );
  const app = createApp({
    keyrings,
    freshness,
    authorizer,
    rates: {
      caller: new RateLimit(limits.perCaller, monotonic),
      peer: new RateLimit(limits.perPeer, monotonic),
    },
    bodies: new Shares(limits.bodies),
    loaded: () => secrets.isSynced,
    stopping: () => stopping,
    plainCredentials: options.listeners.plain.credentials ?? false,
    clock,
    log,
    lines: new LineQuota(log),
    metrics,
  });
  const listeners = await openListeners(app, options.listeners, {
    clock,
    log,
    registry,
    limits,
    onDrop: () => metrics.dropped.inc(),
  });
  const expiry = setInterval(() => {
    keyrings.expire(clock());
    recount();
  }, MINUTE).unref();
  const following = Promise.all([
    watch.run(stop.signal),
    freshness.run(stop.signal),
    lease.run(stop.signal),
  ]);

  let closed: Promise<void> | undefined;
  const close = () => {
    closed ??= (async () => {
      stopping = true;
      log.info({ drainDelayInMs: options.drainDelay }, 'The issuer stops.');
      await delay(options.drainDelay);
      await listeners.close();
      clearInterval(expiry);
      stop.abort();
      await following;
      log.info({}, 'The issuer has stopped.');
    })();
    return closed;
  };
  signal.addEventListener('abort', () => void close(), { once: true });
  if (signal.aborted) await close();
  const { plain, https } = listeners;
  log.info({ plain, https }, 'The issuer listens.');
  return {
    address: plain,
    ...(https === undefined ? {} : { httpsAddress: https }),
    ready: () => {
      if (stopping) return 'stopping';
      const reachable = listeners.ready();
      if (reachable !== true) return reachable;
      if (!secrets.isSynced) return unread(secrets.problem);
      const serves = freshness.serves();
      return serves === true ? lease.announced() : serves;
    },
    close,
  };
}

/** Why the first list has not come yet, in words for a person. */
function unread(problem: unknown): string {
  return `the key Secrets are not read yet${problem instanceof Error ? `: ${problem.message}` : ''}`;
}

interface Moment {
  readonly now: number;
  /** When what was held until now was last confirmed. */
  readonly confirmed: Stamp | undefined;
}

function follow(
  keyrings: Keyrings,
  change: Change<KeySecret>,
  { now, confirmed }: Moment,
  log: Log,
): void {
  const { name = '', resourceVersion } = change.object.metadata ?? {};
  const secret = { secret: name, resourceVersion };
  if (change.type === 'delete') {
    keyrings.remove(name, now);
    log.info(secret, 'A key Secret is gone.');
    return;
  }
  const { set, standing, damage } = keyrings.load(change.object, confirmed);
  if (damage === undefined) {
    const kids = set?.ring.keys.map(({ kid, state }) => `${state} ${kid}`);
    log.info({ ...secret, standing, kids }, 'Loaded a keyring.');
  } else {
    const kept = set === undefined ? 'the set is not served' : 'the last good copy is in use';
    log.error({ ...secret, damage }, `A key Secret is damaged; ${kept}.`);
  }
}
