import { setTimeout as delay } from 'node:timers/promises';
import type { ReplicaAddress } from './messages.ts';

const PROBE_EVERY = 200;
const PROBE_TIMEOUT = 1_000;
const ANSWER_TIMEOUT = 3_000;

/**
 * Sends to the ready replicas in turn, as a Service does: where none is ready, to nobody. While the
 * API server takes no writes, the endpoints stay as they were.
 */
export class Service {
  readonly #canWrite: () => Promise<boolean>;
  #replicas: readonly ReplicaAddress[] = [];
  #ready: readonly ReplicaAddress[] = [];
  #turn = 0;

  /** @param canWrite - whether the API server takes writes now. */
  constructor(replicas: readonly ReplicaAddress[], canWrite: () => Promise<boolean>) {
    this.#canWrite = canWrite;
    this.route(replicas);
  }

  route(replicas: readonly ReplicaAddress[]): void {
    this.#replicas = replicas;
    this.#ready = replicas;
  }

  /** Asks each replica whether it is ready, for ever. */
  async probe(): Promise<never> {
    for (;;) {
      const probed = this.#replicas;
      const ready = await Promise.all(probed.map(isReady));
      const isWritten = await this.#canWrite();
      // Probes of those that were replaced meanwhile say nothing.
      if (isWritten && probed === this.#replicas) {
        this.#ready = probed.filter((_, index) => ready[index]);
      }
      await delay(PROBE_EVERY);
    }
  }

  /** @throws when no replica is ready, or the one whose turn it is does not answer in time. */
  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    this.#turn += 1;
    const replica = this.#ready[this.#turn % this.#ready.length];
    if (replica === undefined) return Promise.reject(new Error('no replica is ready'));
    return fetch(replica.url + path, { ...init, signal: AbortSignal.timeout(ANSWER_TIMEOUT) });
  }
}

async function isReady({ readyUrl }: ReplicaAddress): Promise<boolean> {
  try {
    const answer = await fetch(readyUrl, { signal: AbortSignal.timeout(PROBE_TIMEOUT) });
    await answer.arrayBuffer();
    return answer.ok;
  } catch {
    return false;
  }
}
