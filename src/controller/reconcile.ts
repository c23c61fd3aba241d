import { SECOND } from '../api/constants.ts';
import type { SigningKeySet } from '../api/signingkeyset.generated.ts';
import type { Instant } from '../keys/keyring.ts';
import type { Kube } from '../kube/client.ts';
import type { PassResult } from '../kube/work-queue.ts';
import { longestStaleness } from '../rotation/lifetimes.ts';
import { type Plan, plan } from '../rotation/plan.ts';
import type { Backup, Time, Transition } from '../rotation/situation.ts';
import type { Apply } from './apply.ts';
import { readBackup } from './backups.ts';
import type { Caches } from './caches.ts';
import type { ForeignSecrets } from './foreign-secrets.ts';
import type { ControllerMetrics } from './metrics.ts';
import { observe, type View } from './observe.ts';
import type { Flags } from './policy.ts';
import type { Publications } from './publish.ts';
import type { Replicas } from './replicas.ts';
import { report, reportFailure } from './report.ts';
import { passesByItself, type Write } from './write.ts';

interface ReconcilerOptions {
  readonly kube: Kube;
  readonly namespace: string;
  readonly flags: Flags;
  readonly publicUrl: string;
  readonly caches: Caches;
  readonly publications: Publications;
  readonly foreignSecrets: ForeignSecrets;
  readonly replicas: Replicas;
  readonly apply: Apply;
  readonly metrics: ControllerMetrics;
  readonly write: Write;
  readonly time: () => Time;
  /** By how much, in milliseconds, our clock is off; undefined while that is within S. */
  readonly clockSkew: () => number | undefined;
}

type Look = () => View | undefined;

/** A plan that asks for no write, and what it was made from. */
interface Made {
  readonly view: View;
  readonly time: Time;
  readonly made: Plan;
}

/** A set that has not settled after so many passes waits its turn again. */
const MOST_STEPS = 8;
/** How often a ConfigMap that is not ours is looked at again: no watch of ours shows it. */
const FOREIGN_RECHECK = 10 * SECOND;

/** observe → plan → apply → report: everything that is to be done about the sets of one name. */
export class Reconciler {
  readonly #options: ReconcilerOptions;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
  }

  /**
   * Passes until nothing is left to do.
   * @param key `<namespace>/<name>`
   * @throws what a write threw; the next try plans anew.
   */
  async reconcile(key: string): Promise<PassResult> {
    const [namespace = '', name = ''] = key.split('/');
    const { caches, apply, metrics, time } = this.#options;
    if (!caches.sees(namespace)) return {};
    metrics.sets.set(caches.sets.list().length);
    metrics.damaged.set(caches.keyrings.damaged);
    await apply.sweep(namespace, name);
    const backup = await readBackup(caches.sets.get(namespace, name), this.#options);
    for (let step = 0; step < MOST_STEPS; step += 1) {
      if (!caches.sees(namespace)) return {};
      const look = () => this.#look(namespace, name, backup);
      const outcome = await this.#telling(namespace, name, () => this.#step(look));
      if (outcome === 'unseen') return { recheckAt: time().now + SECOND };
      const settled = outcome === 'acted' ? undefined : await this.#settle(outcome, look);
      if (settled !== undefined) return settled;
    }
    return { recheckAt: time().now };
  }

  #look(namespace: string, name: string, backup: Backup | undefined): View | undefined {
    const clockSkew = this.#options.clockSkew();
    return observe(namespace, name, { ...this.#options, clockSkew, backup });
  }

  /** What the plan says is done; nothing but a report is left where it says nothing. */
  async #step(look: Look): Promise<'unseen' | 'acted' | Made> {
    const { apply, time: clock } = this.#options;
    const view = look();
    if (view === undefined) return 'unseen';
    const { set, observed, policy } = view;
    const time = clock();
    const made = plan(observed, policy, time);
    const { intake, transition, discard } = made;
    if (intake !== undefined && set !== undefined) await apply.intake(set, intake);
    else if (transition !== undefined) await this.#change(set, transition, look);
    else if (discard !== undefined) await apply.discard(discard.keyring);
    else return { view, time, made };
    return 'acted';
  }

  /** Tells in status what a step threw and what another try alone will not mend, and throws it on. */
  async #telling<T>(namespace: string, name: string, step: () => Promise<T>): Promise<T> {
    const { caches, write, time } = this.#options;
    try {
      return await step();
    } catch (error) {
      const set = caches.sets.get(namespace, name);
      if (set !== undefined && !passesByItself(error)) {
        await reportFailure(set, error, time().stamp, { write, cache: caches.sets });
      }
      throw error;
    }
  }

  /** Publishes and reports. @returns undefined while there is more to do. */
  async #settle({ view, time, made }: Made, look: Look): Promise<PassResult | undefined> {
    const { apply, caches, write } = this.#options;
    const { set, policy } = view;
    const failure = await this.#publish(view);
    if (failure === 'changed') return undefined;
    const after = failure === undefined ? view : (look() ?? view);
    const settled = failure === undefined ? made : plan(after.observed, policy, time);
    if (set !== undefined && settled.report !== undefined) {
      const isNew = await report(set, settled.report, time.stamp, { write, cache: caches.sets });
      if (isNew) apply.tell(set.metadata, settled.notices ?? []);
    }
    if (failure !== undefined) throw failure.error;
    const rechecks = [made.recheckAt, view.lapsesAt, this.#foreignRecheck(view, time.now)];
    return { recheckAt: earliest(...rechecks) };
  }

  async #change(
    set: SigningKeySet | undefined,
    transition: Transition,
    look: Look,
  ): Promise<undefined> {
    const { apply, replicas, caches } = this.#options;
    if (ON_LEASES.has(transition.kind)) {
      const { uid } = transition.keyring.owner;
      const planned = caches.keyrings.of(uid);
      const known = longestStaleness(look()?.observed.replicas);
      await replicas.refresh();
      const now = look();
      if (caches.keyrings.of(uid) !== planned || longestStaleness(now?.observed.replicas) !== known)
        return;
      const isLoaded = now?.observed.replicas.every(({ hasLoaded }) => hasLoaded);
      if (transition.kind === 'Publish' && isLoaded !== true) return;
    }
    const stillClaims = () => look()?.observed.claim.granted === true;
    await apply.transition(set, transition, stillClaims);
  }

  /** Publishes; a failure is reported before it is thrown, so that status tells of it. */
  async #publish(view: View): Promise<'changed' | { readonly error: unknown } | undefined> {
    const { publications } = this.#options;
    const { keyring, former } = view.observed;
    const names = view.set?.spec?.publish?.configMaps?.map(({ name }) => name) ?? [];
    try {
      let changed = false;
      for (const ring of former) if (await publications.refresh(ring)) changed = true;
      if (keyring !== undefined && (await publications.publish(keyring, names))) changed = true;
      return changed ? 'changed' : undefined;
    } catch (error) {
      return { error };
    }
  }

  #foreignRecheck({ observed }: View, now: Instant): Instant | undefined {
    if (observed.publishers.some(({ fault }) => fault !== undefined)) return now + FOREIGN_RECHECK;
    return observed.set === undefined
      ? undefined
      : this.#options.foreignSecrets.recheckAt(observed.set.uid);
  }
}

/** What rests on what replicas have loaded, or on how long they may sign on that (I15). */
const ON_LEASES: ReadonlySet<Transition['kind']> = new Set(['Publish', 'Promote', 'RollBack']);

function earliest(...times: readonly (Instant | undefined)[]): Instant | undefined {
  const known = times.filter((time) => time !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}
