import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { API_VERSION, KIND } from '../api/constants.ts';
import type { Kube } from '../kube/client.ts';
import { isConflict } from '../kube/errors.ts';
import { EventRecorder } from '../kube/events.ts';
import { LeaderElection } from '../kube/leader-election.ts';
import { type PassResult, WorkQueue } from '../kube/work-queue.ts';
import { plan } from '../rotation/plan.ts';
import type { Log } from '../telemetry/log.ts';
import type { Registry } from '../telemetry/metrics.ts';
import { Apply } from './apply.ts';
import { Caches } from './caches.ts';
import { ForeignSecrets } from './foreign-secrets.ts';
import { type IssuerTls, type IssuerTlsOptions, issuerTls } from './issuer-tls.ts';
import { controllerMetrics } from './metrics.ts';
import { observe, type View } from './observe.ts';
import type { Flags } from './policy.ts';
import { Publications } from './publish.ts';
import { report } from './report.ts';
import { defineSetMetrics } from './set-metrics.ts';
import { guardedWrite, NotLeadingError } from './write.ts';

export interface ControllerOptions {
  readonly kube: Kube;
  /** The operator's own namespace, where Secrets and Leases are. */
  readonly namespace: string;
  /** Under which the issuer service is reached: default issuers are `<publicUrl>/<namespace>/<name>`. */
  readonly publicUrl: string;
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
/** A set that has not settled after so many passes waits its turn again. */
const MOST_STEPS = 8;
const LEASE = 'signet-controller';
/** How often a ConfigMap that is not ours is looked at again: no watch of ours shows it. */
const FOREIGN_RECHECK = 10_000;

/** observe → plan → apply → report, for each set, on the replica that leads. */
export class Controller {
  readonly #options: ControllerOptions;
  readonly #caches: Caches;
  readonly #events: EventRecorder;
  readonly #election: LeaderElection;
  readonly #foreignSecrets: ForeignSecrets;
  readonly #publications: Publications;
  readonly #issuerTls: IssuerTls;
  readonly #apply: Apply;
  readonly #metrics;
  readonly #write;
  #queue: WorkQueue | undefined;

  constructor(options: ControllerOptions) {
    const { kube, namespace, log, registry, clock } = options;
    const instance = `${hostname()}-${randomUUID().slice(0, 8)}`;
    this.#options = options;
    this.#metrics = controllerMetrics(registry);
    this.#caches = new Caches({ kube, namespace, log, onChange: (key) => this.#queue?.add(key) });
    defineSetMetrics(registry, () => this.#caches.sets.list());
    this.#events = new EventRecorder({ kube, component: 'signet', instance, log, clock });
    this.#election = new LeaderElection({ kube, namespace, name: LEASE, identity: instance, log });
    this.#foreignSecrets = new ForeignSecrets(clock);
    this.#write = guardedWrite(kube, () => this.#election.isLeading());
    this.#issuerTls = issuerTls(options.issuerTls ?? {}, {
      ...{ kube, namespace, log, registry, clock },
      publicUrl: options.publicUrl,
      clockSkew: options.flags.clockSkew,
      write: this.#write,
      onChange: () => this.#enqueueAll(),
    });
    this.#publications = new Publications({
      kube,
      write: this.#write,
      cache: this.#caches.configMaps,
      trust: this.#issuerTls.trust,
    });
    this.#apply = new Apply({
      kube,
      namespace,
      write: this.#write,
      caches: this.#caches,
      publications: this.#publications,
      foreignSecrets: this.#foreignSecrets,
      events: this.#events,
      metrics: this.#metrics,
      clock,
    });
  }

  /** Why this replica is not ready yet; true once its caches are filled. */
  ready(): true | string {
    return this.#caches.areSynced || 'the first lists of sets, Secrets and ConfigMaps are not done';
  }

  /** Runs until the signal aborts; then writes out its events and resolves. */
  async run(signal: AbortSignal): Promise<void> {
    const background = Promise.all([this.#caches.run(signal), this.#issuerTls.run(signal)]);
    await this.#election.run(signal, (leading) => this.#lead(leading));
    await this.#events.flush();
    await background;
  }

  async #lead(leading: AbortSignal): Promise<void> {
    const { log } = this.#options;
    try {
      await this.#caches.synced();
    } catch {
      return; // Stopped before the caches were filled: there was nothing to lead yet.
    }
    await this.#issuerTls.settle();
    const queue = new WorkQueue({
      concurrency: CONCURRENCY,
      process: (key) => this.#reconcile(key),
      onError: (key, error, failed) => this.#onError(key, error, failed.retryInMs),
      onPass: ({ outcome, durationMs }) => {
        this.#metrics.passes.observe({ outcome }, durationMs / 1_000);
        this.#metrics.queued.set(queue.depth);
      },
      clock: this.#options.clock,
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
    for (const key of this.#keys()) this.#queue?.add(key);
  }

  /** Every set, and every name whose set is gone and has left a keyring or a ConfigMap. */
  #keys(): Set<string> {
    const sets = this.#caches.sets.list().map(({ metadata }) => metadata);
    const owners = this.#caches.keyrings.all().map(({ owner }) => owner);
    const published = this.#publications.owners();
    const all = [...sets, ...owners, ...published];
    return new Set(all.map(({ namespace, name }) => `${namespace}/${name}`));
  }

  async #reconcile(key: string): Promise<PassResult> {
    const [namespace = '', name = ''] = key.split('/');
    const { clock, flags, publicUrl } = this.#options;
    const sources = {
      caches: this.#caches,
      publications: this.#publications,
      foreignSecrets: this.#foreignSecrets,
      flags,
      publicUrl,
    };
    this.#metrics.sets.set(this.#caches.sets.list().length);
    await this.#apply.sweep(namespace, name);
    for (let step = 0; step < MOST_STEPS; step += 1) {
      const look = () => observe(namespace, name, sources);
      const view = look();
      if (view === undefined) return { recheckAt: clock() + 1_000 };
      const settled = await this.#pass(view, look);
      if (settled !== undefined) return settled;
    }
    return { recheckAt: clock() };
  }

  /** One pass: at most one write of each object. @returns undefined while there is more to do. */
  async #pass(view: View, look: () => View | undefined): Promise<PassResult | undefined> {
    const { clock } = this.#options;
    const { observed, policy, set } = view;
    const now = clock();
    const time = { now, stamp: now };
    const { intake, transition, discard, report: said, recheckAt } = plan(observed, policy, time);
    if (intake !== undefined && set !== undefined) {
      return await this.#apply.intake(set, intake);
    }
    if (transition !== undefined) {
      const stillClaims = () => look()?.observed.claim.granted === true;
      return await this.#apply.transition(set, transition, stillClaims);
    }
    if (discard !== undefined) return await this.#apply.discard(discard.keyring);
    const failure = await this.#publish(view);
    if (failure === 'changed') return undefined;
    const after = failure === undefined ? view : (look() ?? view);
    const settled = failure === undefined ? said : plan(after.observed, policy, time).report;
    if (set !== undefined && settled !== undefined) {
      await report(set, settled, now, { write: this.#write, cache: this.#caches.sets });
    }
    if (failure !== undefined) throw failure.error;
    return { recheckAt: earliest(recheckAt, this.#foreignRecheck(view, now)) };
  }

  /** Publishes; a failure is reported before it is thrown, so that status tells of it. */
  async #publish(view: View): Promise<'changed' | { readonly error: unknown } | undefined> {
    const { keyring, former } = view.observed;
    const names = view.set?.spec?.publish?.configMaps?.map(({ name }) => name) ?? [];
    try {
      let changed = false;
      for (const ring of former) if (await this.#publications.refresh(ring)) changed = true;
      if (keyring !== undefined && (await this.#publications.publish(keyring, names)))
        changed = true;
      return changed ? 'changed' : undefined;
    } catch (error) {
      return { error };
    }
  }

  #foreignRecheck({ observed }: View, now: number): number | undefined {
    if (observed.publishers.some(({ fault }) => fault !== undefined)) return now + FOREIGN_RECHECK;
    return observed.set === undefined
      ? undefined
      : this.#foreignSecrets.recheckAt(observed.set.uid);
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

function earliest(...times: readonly (number | undefined)[]): number | undefined {
  const known = times.filter((time) => time !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}
