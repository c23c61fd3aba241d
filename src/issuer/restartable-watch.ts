import type { Reflector } from '../kube/reflector.ts';
import type { StoredObject } from '../kube/store.ts';

/** Keeps a reflector running, and lets its watch be opened anew where it left off. */
export class RestartableWatch {
  readonly #reflector: Pick<Reflector<StoredObject>, 'run'>;
  #round = new AbortController();

  constructor(reflector: Pick<Reflector<StoredObject>, 'run'>) {
    this.#reflector = reflector;
  }

  restart(): void {
    this.#round.abort();
  }

  /** Runs until the signal aborts; then resolves. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#round = new AbortController();
      await this.#reflector.run(AbortSignal.any([signal, this.#round.signal]));
    }
  }
}
