import { sleep } from './backoff.ts';
import type { Kube } from './client.ts';
import { ApiError, isAlreadyExists, isConflict, isNotFound } from './errors.ts';
import { type Lease, leasesPath, microTime } from './lease.ts';
import type { Log } from './log.ts';

export interface LeaderElectionOptions {
  readonly kube: Kube;
  readonly namespace: string;
  /** Of the Lease. */
  readonly name: string;
  /** Unique to this process, such as the pod's name with a random end. */
  readonly identity: string;
  readonly log: Log;
  /** How long others wait for a leader that is silent. Default 15 s. */
  readonly leaseDurationMs?: number;
  /** How long after its last renewal a leader still leads. Default 10 s. */
  readonly renewDeadlineMs?: number;
  /** How often to renew, or to try. Default 2 s. */
  readonly retryPeriodMs?: number;
  /** Unix ms. */
  readonly clock?: () => number;
  readonly random?: () => number;
}

/** The last record of the Lease, and since when it has not changed. */
interface Observation {
  readonly lease: Lease | undefined;
  readonly holder: string | undefined;
  readonly durationMs: number;
  readonly since: Stamp;
}

/** One moment by two clocks: either may stand still or jump. */
interface Stamp {
  readonly monotonic: number;
  readonly wall: number;
}

/**
 * One leader at a time, by a Lease. A leader that cannot renew stops before anyone else may start:
 * it counts from before its last renewal was sent, the others from after they saw it.
 */
export class LeaderElection {
  readonly #options: Required<LeaderElectionOptions>;
  readonly #path: string;
  #seen: Observation | undefined;
  #renewed: Stamp | undefined;

  constructor(options: LeaderElectionOptions) {
    this.#options = {
      leaseDurationMs: 15_000,
      renewDeadlineMs: 10_000,
      retryPeriodMs: 2_000,
      clock: Date.now,
      random: Math.random,
      ...options,
    };
    this.#path = leasesPath(options.namespace);
  }

  /**
   * Whether the lease is held at this very moment. By the clocks and not by a timer, so that a
   * process that was paused knows it before anything else runs. Ask before each write.
   */
  isLeading(): boolean {
    return this.#remainingMs() > 0;
  }

  /** The holder that was seen last, for a log line or a status page. */
  get holder(): string | undefined {
    return this.#seen?.holder;
  }

  /**
   * Campaigns until the signal aborts, again after each loss, and calls `lead` for each term. Its
   * signal aborts at once when the term ends; the next campaign begins when `lead` has returned. On
   * a graceful stop the lease stays ours until `lead` has returned, and is then given up.
   *
   * @throws what `lead` throws while it leads; the lease is given up then, too.
   */
  async run(signal: AbortSignal, lead: (leading: AbortSignal) => Promise<void>): Promise<void> {
    while (!signal.aborted) {
      if (await this.#tryToHold()) await this.#term(signal, lead);
      else await this.#pause(signal);
    }
  }

  async #term(signal: AbortSignal, lead: (leading: AbortSignal) => Promise<void>): Promise<void> {
    const { log, identity } = this.#options;
    log.info({ identity }, 'leading');
    const term = new AbortController();
    const stop = () => term.abort(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    const renewing = this.#renewUntilLost(term);
    try {
      await lead(term.signal);
    } catch (error) {
      if (!term.signal.aborted) throw error;
      log.debug({ err: error }, 'the end of the term interrupted the work');
    } finally {
      signal.removeEventListener('abort', stop);
      term.abort();
      await renewing;
      await this.#release();
    }
  }

  /** Returns when the term is over; aborts it, at the deadline if need be, when the lease is lost. */
  async #renewUntilLost(term: AbortController): Promise<void> {
    const { log, identity } = this.#options;
    const checkDeadline = () => {
      const ms = this.#remainingMs();
      if (ms > 0) deadline = setTimeout(checkDeadline, ms);
      else term.abort(new Error('the lease could not be renewed in time'));
    };
    let deadline = setTimeout(checkDeadline, this.#remainingMs());
    while (!term.signal.aborted) {
      await this.#pause(term.signal);
      if (term.signal.aborted) break;
      if (this.isLeading()) await this.#tryToHold();
      if (!this.isLeading())
        term.abort(new Error(`the lease is held by ${this.holder ?? 'nobody'}`));
    }
    clearTimeout(deadline);
    if (!this.isLeading()) log.warn({ identity, reason: term.signal.reason }, 'no longer leading');
  }

  /** One try to take or renew the lease. Failures are logged; time decides what they mean. */
  async #tryToHold(): Promise<boolean> {
    const { log, identity, name } = this.#options;
    try {
      if (!this.isLeading()) await this.#observe();
      if (this.#mayTake()) await this.#write();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      log.warn({ lease: name, identity, err: error }, 'could not take or renew the lease');
    }
    return this.isLeading();
  }

  async #observe(): Promise<void> {
    const { name, leaseDurationMs } = this.#options;
    let lease: Lease;
    try {
      lease = await this.#call('GET', `${this.#path}/${name}`);
    } catch (error) {
      if (!isNotFound(error)) throw error;
      // Whoever held it may not know yet that it was deleted: their time still counts.
      if (this.#seen !== undefined) this.#seen = { ...this.#seen, lease: undefined };
      return;
    }
    if (lease.metadata?.resourceVersion === this.#seen?.lease?.metadata?.resourceVersion) return;
    const { holderIdentity: holder, leaseDurationSeconds: seconds } = lease.spec ?? {};
    const durationMs = seconds === undefined ? leaseDurationMs : seconds * 1_000;
    this.#seen = { lease, holder, durationMs, since: this.#now() };
    if (holder !== this.#options.identity) this.#renewed = undefined;
  }

  #mayTake(): boolean {
    const { holder, since, durationMs } = this.#seen ?? {};
    if (!holder || holder === this.#options.identity || since === undefined) return true;
    return performance.now() - since.monotonic >= (durationMs ?? 0);
  }

  /** Guarded by the resourceVersion that was seen: whoever else wrote in between wins. */
  async #write(): Promise<void> {
    const { identity, leaseDurationMs, clock } = this.#options;
    const { lease } = this.#seen ?? {};
    const since = this.#now();
    const renewTime = microTime(clock());
    const taken = lease?.spec?.holderIdentity !== identity;
    const transitions = lease?.spec?.leaseTransitions ?? (lease === undefined ? -1 : 0);
    try {
      const written = await this.#put(lease, {
        holderIdentity: identity,
        leaseDurationSeconds: Math.ceil(leaseDurationMs / 1_000),
        acquireTime: taken ? renewTime : (lease?.spec?.acquireTime ?? renewTime),
        renewTime,
        leaseTransitions: taken ? transitions + 1 : transitions,
      });
      this.#seen = { lease: written, holder: identity, durationMs: leaseDurationMs, since };
      this.#renewed = since;
    } catch (error) {
      if (!isConflict(error) && !isAlreadyExists(error) && !isNotFound(error)) throw error;
      await this.#observe();
    }
  }

  async #release(): Promise<void> {
    const { log, name } = this.#options;
    const mine = this.isLeading();
    this.#renewed = undefined;
    const { lease } = this.#seen ?? {};
    if (!mine || lease === undefined) return;
    try {
      const { holderIdentity: _, ...spec } = lease.spec ?? {};
      await this.#put(lease, { ...spec, renewTime: microTime(this.#options.clock()) });
    } catch (error) {
      log.warn({ lease: name, err: error }, 'could not give up the lease; it ends by itself');
    }
  }

  #put(lease: Lease | undefined, spec: Lease['spec']): Promise<Lease> {
    const { name } = this.#options;
    const metadata = lease?.metadata ?? { name };
    const body = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec };
    return lease === undefined
      ? this.#call('POST', this.#path, body)
      : this.#call('PUT', `${this.#path}/${name}`, body);
  }

  /** Bounded so that a second try fits in before the deadline. */
  async #call(method: string, path: string, body?: object): Promise<Lease> {
    const { kube, renewDeadlineMs } = this.#options;
    const answer = await kube.request(method, path, { body, timeoutMs: renewDeadlineMs / 2 });
    return answer.body as Lease;
  }

  #pause(signal: AbortSignal): Promise<void> {
    const { retryPeriodMs, random } = this.#options;
    return sleep(retryPeriodMs * (0.9 + 0.2 * random()), signal);
  }

  /** The larger elapsed time counts: monotonic clocks stop in suspend, wall clocks are set back. */
  #remainingMs(): number {
    if (this.#renewed === undefined) return 0;
    const now = this.#now();
    const { monotonic, wall } = this.#renewed;
    const elapsed = Math.max(now.monotonic - monotonic, now.wall - wall);
    return this.#options.renewDeadlineMs - elapsed;
  }

  #now(): Stamp {
    return { monotonic: performance.now(), wall: this.#options.clock() };
  }
}
