import { setTimeout as delay } from 'node:timers/promises';
import type { ReplicaAddress } from './messages.ts';

const PROBE_EVERY = 200;
const PROBE_TIMEOUT = 1_000;
const ANSWER_TIMEOUT = 3_000;

/**
 * Sends to the ready replicas in turn, as a Service does. Where none is ready it sends to all: with
 * the API server gone nobody could take them out of the endpoints.
 */
export class Service {
  #replicas: readonly ReplicaAddress[] = [];
  #ready: readonly ReplicaAddress[] = [];
  #turn = 0;

  constructor(replicas: readonly ReplicaAddress[]) {
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
      // Probes of those that were replaced meanwhile say nothing.
      if (probed === this.#replicas) this.#ready = probed.filter((_, index) => ready[index]);
      await delay(PROBE_EVERY);
    }
  }

  /** @throws when no replica answers in time. */
  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const endpoints = this.#ready.length > 0 ? this.#ready : this.#replicas;
    this.#turn += 1;
    const replica = endpoints[this.#turn % endpoints.length];
    if (replica === undefined) throw new Error('the Service has no replicas');
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
