import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { API_VERSION, KIND, SECOND } from '../api/constants.ts';
import type { Kube } from '../kube/client.ts';
import { isConflict, isRefusal } from '../kube/errors.ts';
import { EventRecorder } from '../kube/events.ts';
import { LeaderElection } from '../kube/leader-election.ts';
import { WorkQueue } from '../kube/work-queue.ts';
import type { Notice } from '../rotation/situation.ts';
import type { Log } from '../telemetry/log.ts';
import type { Registry } from '../telemetry/metrics.ts';
import { Apply } from './apply.ts';
import { Caches } from './caches.ts';
import { ClockCheck, Timekeeper } from './clock.ts';
import { ForeignSecrets } from './foreign-secrets.ts';
import { type IssuerTls, type IssuerTlsOptions, issuerTls } from './issuer-tls.ts';
import { controllerMetrics } from './metrics.ts';
import type { Flags } from './policy.ts';
import { Publications } from './publish.ts';
import { Reconciler } from './reconcile.ts';
import { Replicas } from './replicas.ts';
import { defineSetMetrics } from './set-metrics.ts';
import { unread } from './unread.ts';
import { guardedWrite, NotLeadingError } from './write.ts';

export interface ControllerOptions {
  readonly kube: Kube;
  /** The operator's own namespace, where Secrets and Leases are. */
  readonly namespace: string;
  /** Under which the issuer service is reached: default issuers are `<publicUrl>/<namespace>/<name>`. */
  readonly publicUrl: string;
  /** Whose sets are seen to; none: those of all. */
  readonly watchNamespaces?: readonly string[];
  readonly flags: Flags;
  /** Default: the issuer's TLS is no concern of ours. */
  readonly issuerTls?: IssuerTlsOptions;
  readonly log: Log;
  readonly registry: Registry;
  /** Unix ms. */
  readonly clock: () => number;
}

/** So many sets are worked on at once; one set never twice. */
const CONCURRENCY = 8;
const LEASE = 'signet-controller';
const UNREADABLE =
  'a watched namespace may not be read: its sets, keys and ConfigMaps stay as they are until it may. ' +
  'Type the helm upgrade of this release again, which makes the RoleBinding there anew, or take the ' +
  'namespace out of watchNamespaces';

/** observe → plan → apply → report, for each set, on the replica that leads. */
export class Controller {
  readonly #options: ControllerOptions;
  readonly #caches: Caches;
  readonly #events: EventRecorder;
  readonly #election: LeaderElection;
  readonly #replicas: Replicas;
  readonly #publications: Publications;
  readonly #issuerTls: IssuerTls;
  readonly #apply: Apply;
  readonly #reconciler: Reconciler;
  readonly #time: Timekeeper;
  readonly #metrics;
  #queue: WorkQueue | undefined;
  #waitsLonger = false;
  #unreadable: readonly string[] = [];

  constructor(options: ControllerOptions) {
    const { kube, namespace, log, registry, clock, flags } = options;
    const instance = `${hostname()}-${randomUUID().slice(0, 8)}`;
    this.#options = options;
    this.#metrics = controllerMetrics(registry);
    this.#time = new Timekeeper(clock);
    const now = () => this.#time.read().now;
    const onChange = (key: string) => this.#enqueue(key);
    this.#caches = new Caches({
      ...{ kube, namespace, log, onChange, watchNamespaces: options.watchNamespaces ?? [] },
      onReadable: (name) => this.#onReadable(name),
      onFinding: (about, finding) => this.#report(about, finding),
    });
    this.#replicas = new Replicas({
      ...{ kube, namespace, log, now },
      clockSkew: flags.clockSkew,
      onEvidence: onChange,
      onStaleness: () => this.#enqueueAll(),
    });
    const check = new ClockCheck({
      allowed: flags.clockSkew,
      wall: clock,
      onMeasured: (skew) => this.#metrics.skew.set(skew / SECOND),
      onChange: (skew) => this.#onSkew(skew),
      onFirstAgreed: () => this.#time.trustWall(),
    });
    kube.onDate((date, tookMs) => {
      check.heard(date, tookMs);
      this.#noteExcess();
    });
    defineSetMetrics(registry, () => this.#caches.sets.list());
    this.#events = new EventRecorder({ kube, component: 'signet', instance, log, clock });
    this.#election = new LeaderElection({ kube, namespace, name: LEASE, identity: instance, log });
    const foreignSecrets = new ForeignSecrets(now);
    const write = guardedWrite(kube, () => this.#election.isLeading());
    this.#issuerTls = issuerTls(options.issuerTls ?? {}, {
      ...{ kube, namespace, log, registry, clock },
      publicUrl: options.publicUrl,
      clockSkew: flags.clockSkew,
      write,
      onChange: () => this.#enqueueAll(),
    });
    this.#publications = new Publications({
      kube,
      write,
      cache: this.#caches.configMaps,
      trust: this.#issuerTls.trust,
    });
    this.#apply = new Apply({
      kube,
      namespace,
      write,
      caches: this.#caches,
      publications: this.#publications,
      foreignSecrets,
      events: this.#events,
      metrics: this.#metrics,
      clock,
    });
    this.#reconciler = new Reconciler({
      ...{ kube, namespace, flags, foreignSecrets, write },
      publicUrl: options.publicUrl,
      caches: this.#caches,
      publications: this.#publications,
      replicas: this.#replicas,
      apply: this.#apply,
      metrics: this.#metrics,
      time: () => this.#time.read(),
      clockSkew: () => check.skew,
    });
  }

  /**
   * Why this replica is not ready yet; true once its caches are filled. A pod is ready when both its
   * containers are: where there are keys to serve, a list that the API server refuses us keeps the
   * issuer beside us in the Service. That nobody leads is told by a metric.
   */
  ready(): true | string {
    const lists = { ...this.#caches.named, Leases: this.#replicas.leases };
    const missing = unread(lists);
    if (missing === '') return true;
    const isRefused = Object.values(lists).every(
      ({ isSynced, problem }) => isSynced || isRefusal(problem),
    );
    return (isRefused && this.#caches.keyrings.all().length > 0) || missing;
  }

  /** Runs until the signal aborts; then writes out its events and resolves. */
  async run(signal: AbortSignal): Promise<void> {
    const background = Promise.all([
      this.#caches.run(signal),
      this.#replicas.leases.run(signal),
      this.#issuerTls.run(signal),
    ]);
    await this.#election.run(signal, (leading) => this.#lead(leading));
    await this.#events.flush();
    await background;
  }

  async #lead(leading: AbortSignal): Promise<void> {
    const { log } = this.#options;
    try {
      await Promise.all([this.#caches.synced(), this.#replicas.leases.synced]);
    } catch {
      return; // Stopped before the caches were filled: there was nothing to lead yet.
    }
    await this.#issuerTls.settle();
    const queue = new WorkQueue({
      concurrency: CONCURRENCY,
      process: (key) => this.#reconciler.reconcile(key),
      onError: (key, error, failed) => this.#onError(key, error, failed.retryInMs),
      onPass: ({ outcome, durationMs }) => {
        this.#metrics.passes.observe({ outcome }, durationMs / 1_000);
        this.#metrics.queued.set(queue.depth);
      },
      clock: () => this.#time.read().now,
    });
    this.#queue = queue;
    this.#metrics.leading.set(1);
    log.info({ sets: this.#caches.sets.list().length }, 'leading');
    this.#enqueueAll();
    await Promise.all([queue.run(leading), this.#issuerTls.lead(leading)]);
    this.#queue = undefined;
    this.#metrics.leading.set(0);
  }

  #enqueueAll(): void {
    for (const key of this.#keys()) this.#enqueue(key);
  }

  /** A keyring stays where its namespace is watched no more: it is for another controller to see to. */
  #enqueue(key: string): void {
    const [namespace = ''] = key.split('/');
    if (this.#caches.sees(namespace)) this.#queue?.add(key);
  }

  /** A namespace that we may not read stands still; as soon as we may, all that waited is seen to. */
  #onReadable(namespace: string): void {
    const { log } = this.#options;
    const { unreadable } = this.#caches;
    const [was, is] = [this.#unreadable, unreadable].map((each) => each.includes(namespace));
    this.#unreadable = unreadable;
    this.#metrics.unreadable.set(unreadable.length);
    if (is && !was) log.warn({ namespace }, UNREADABLE);
    if (was && !is) log.info({ namespace }, 'the watched namespace can be read again');
    this.#enqueueAll();
  }

  /** Every set, and every name whose set is gone and has left a keyring or a ConfigMap. */
  #keys(): Set<string> {
    const sets = this.#caches.sets.list().map(({ metadata }) => metadata);
    const owners = this.#caches.keyrings.all().map(({ owner }) => owner);
    const published = this.#publications.owners();
    const all = [...sets, ...owners, ...published];
    return new Set(all.map(({ namespace, name }) => `${namespace}/${name}`));
  }

  /** Whoever leads tells of it; everybody logs it. */
  #report(about: Parameters<Apply['tell']>[0], finding: Notice): void {
    const { namespace, name } = about;
    const { reason, message } = finding;
    this.#options.log.warn({ set: `${namespace}/${name}`, reason }, message);
    if (this.#election.isLeading()) this.#apply.tell(about, [finding]);
  }

  #onSkew(skew: number | undefined): void {
    const { log } = this.#options;
    if (skew === undefined) log.info({}, 'the clock agrees with the API server’s again');
    else log.error({ skewInMs: skew }, 'the clock is off: nothing is promoted or revoked');
    this.#enqueueAll();
  }

  /** A jump that nothing took back, as when the machine was suspended: waits stay that much longer. */
  #noteExcess(): void {
    const { log, flags } = this.#options;
    const excessInMs = this.#time.excess;
    this.#metrics.excess.set(excessInMs / SECOND);
    const isLong = excessInMs > flags.clockSkew;
    if (isLong && !this.#waitsLonger) {
      log.warn({ excessInMs }, 'the clock jumped: each wait is that much longer until a restart');
    }
    this.#waitsLonger = isLong;
  }

  #onError(key: string, error: unknown, retryInMs: number): void {
    const { log } = this.#options;
    if (isConflict(error) || error instanceof NotLeadingError) {
      log.debug({ set: key, err: error, retryInMs }, 'the pass was given up; planning anew');
      return;
    }
    log.error({ set: key, err: error, retryInMs }, 'the pass failed');
    const [namespace = '', name = ''] = key.split('/');
    const set = this.#caches.sets.get(namespace, name);
    if (set === undefined) return;
    const message =
      error instanceof Error ? error.message : 'something that is not an error was thrown';
    this.#events.record(
      { apiVersion: API_VERSION, kind: KIND, namespace, name, uid: set.metadata.uid },
      { type: 'Warning', reason: 'ReconcileFailed', message: `Trying again: ${message}` },
    );
  }
}
