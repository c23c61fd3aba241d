import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type Backoff, backoffMs } from './backoff.ts';
import type { Kube } from './client.ts';
import { ApiError, isAlreadyExists, isNotFound, isTooManyRequests } from './errors.ts';
import type { Log } from './log.ts';
import { RecentMap } from './recent-map.ts';

/** The object that an Event is about. */
export interface ObjectReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace?: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion?: string;
}

export interface EventContent {
  readonly type: 'Normal' | 'Warning';
  /** One word, such as `KeysResumed`. */
  readonly reason: string;
  /** For people. Cut after 1024 characters. */
  readonly message: string;
}

export interface EventRecorderOptions {
  readonly kube: Kube;
  /** Shown under `From`. */
  readonly component: string;
  /** Such as the pod's name. */
  readonly instance: string;
  readonly log: Log;
  /** Unix ms. */
  readonly clock?: () => number;
}

const MAX_MESSAGE = 1_024;
/** The same thing within this time is counted on the Event that is there. */
const SAME_EVENT_MS = 600_000;
/** For each object: so many at once, then one for each interval. */
const BURST = 25;
const REFILL_MS = 5_000;
/** Objects and Events remembered. */
const REMEMBERED = 4_096;
const MAX_WAITING = 1_000;
const TRIES = 5;
const BACKOFF: Backoff = { baseMs: 200, maxMs: 5_000, jitter: 0.5 };

/** What is to be said, and how often it has been since it was last written. */
interface Waiting {
  readonly involved: ObjectReference;
  readonly content: EventContent;
  readonly name: string;
  readonly firstAt: number;
  lastAt: number;
  count: number;
}

interface Written {
  readonly name: string;
  readonly count: number;
  readonly lastAt: number;
}

/**
 * Events as `kubectl describe` and `kubectl get events` show them. Best effort: recording never
 * throws and never waits; what cannot be written is logged.
 */
export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #clock: () => number;
  readonly #waiting = new Map<string, Waiting>();
  readonly #written = new RecentMap<string, Written>(REMEMBERED);
  readonly #budgets = new RecentMap<string, { tokens: number; at: number }>(REMEMBERED);
  #draining: Promise<void> | undefined;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#clock = options.clock ?? Date.now;
  }

  record(involved: ObjectReference, { type, reason, message }: EventContent): void {
    const { log } = this.#options;
    const now = this.#clock();
    const content = { type, reason, message: shorten(message) };
    const key = JSON.stringify([involved.uid, type, reason, content.message]);
    const waiting = this.#waiting.get(key);
    if (!this.#spend(involved.uid, now) || (!waiting && this.#waiting.size >= MAX_WAITING)) {
      log.warn({ involved, reason }, 'too many events; this one is not written');
      return;
    }
    if (waiting === undefined) {
      const name = eventName(involved);
      this.#waiting.set(key, { involved, content, name, firstAt: now, lastAt: now, count: 1 });
    } else {
      waiting.count += 1;
      waiting.lastAt = now;
    }
    this.#draining ??= this.#drain();
  }

  /** Waits until all is written, or until the time is over. For a graceful stop. */
  async flush(timeoutMs = 2_000): Promise<void> {
    const giveUp = new AbortController();
    const timeout = delay(timeoutMs, undefined, { signal: giveUp.signal }).catch(() => {});
    await Promise.race([this.#draining, timeout]);
    giveUp.abort();
  }

  async #drain(): Promise<void> {
    for (const [key, waiting] of this.#waiting) {
      this.#waiting.delete(key);
      await this.#write(key, waiting);
    }
    this.#draining = undefined;
  }

  async #write(key: string, waiting: Waiting): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      try {
        await this.#countOrCreate(key, waiting);
        return;
      } catch (error) {
        if (tries >= TRIES || !mayPass(error)) {
          const { involved, content } = waiting;
          this.#options.log.warn(
            { involved, reason: content.reason, err: error },
            'event not written',
          );
          return;
        }
        await delay(backoffMs(BACKOFF, tries, error), undefined, { ref: false });
      }
    }
  }

  async #countOrCreate(key: string, waiting: Waiting): Promise<void> {
    const known = this.#written.get(key);
    if (known !== undefined && waiting.lastAt - known.lastAt < SAME_EVENT_MS) {
      const count = known.count + waiting.count;
      if (await this.#patchCount(waiting, known.name, count)) {
        this.#written.set(key, { name: known.name, count, lastAt: waiting.lastAt });
        return;
      }
    }
    await this.#create(waiting);
    const { name, count, lastAt } = waiting;
    this.#written.set(key, { name, count, lastAt });
  }

  /** @returns false when the Event is gone: the server keeps them for an hour. */
  async #patchCount({ involved, lastAt }: Waiting, name: string, count: number): Promise<boolean> {
    try {
      await this.#options.kube.request('PATCH', `${eventsPath(involved)}/${name}`, {
        body: { count, lastTimestamp: timestamp(lastAt) },
      });
      return true;
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
  }

  async #create({ involved, content, name, firstAt, lastAt, count }: Waiting): Promise<void> {
    const { kube, component, instance } = this.#options;
    try {
      await kube.request('POST', eventsPath(involved), {
        body: {
          apiVersion: 'v1',
          kind: 'Event',
          metadata: { name },
          involvedObject: involved,
          ...content,
          count,
          firstTimestamp: timestamp(firstAt),
          lastTimestamp: timestamp(lastAt),
          source: { component },
          reportingComponent: component,
          reportingInstance: instance,
        },
      });
    } catch (error) {
      if (!isAlreadyExists(error)) throw error; // A try before, whose answer was lost, made it.
    }
  }

  #spend(uid: string, now: number): boolean {
    const { tokens, at } = this.#budgets.get(uid) ?? { tokens: BURST, at: now };
    const available = Math.min(BURST, tokens + Math.max(0, now - at) / REFILL_MS);
    if (available < 1) return false;
    this.#budgets.set(uid, { tokens: available - 1, at: now });
    return true;
  }
}

/** Whether the same call may succeed later. */
function mayPass(error: unknown): boolean {
  if (!(error instanceof ApiError)) return false;
  return error.status === 0 || error.status >= 500 || isTooManyRequests(error);
}

function shorten(message: string): string {
  return message.length > MAX_MESSAGE ? `${message.slice(0, MAX_MESSAGE - 1)}…` : message;
}

function eventsPath({ namespace }: ObjectReference): string {
  return `/api/v1/namespaces/${namespace ?? 'default'}/events`;
}

function eventName({ name }: ObjectReference): string {
  return `${name.slice(0, 230).replace(/\W+$/, '')}.${randomBytes(8).toString('hex')}`;
}

/** metav1.Time: to the second. */
function timestamp(unixMs: number): string {
  return new Date(Math.floor(unixMs / 1_000) * 1_000).toISOString();
}
