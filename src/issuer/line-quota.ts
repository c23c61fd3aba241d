import { SECOND } from '../api/constants.ts';
import type { Log } from '../telemetry/log.ts';

/** Of one kind: enough to see what is asked, too few to fill a disk. */
const LINES_PER_SECOND = 10;

/**
 * Caps the lines that anybody can have written by being refused. What is left out is counted in one
 * line more, a second after it began.
 */
export class LineQuota {
  readonly #log: Pick<Log, 'info'>;
  readonly #asked = new Map<string, number>();

  constructor(log: Pick<Log, 'info'>) {
    this.#log = log;
  }

  /** @param kind - one of few, such as a code. @returns whether to write another line of it. */
  take(kind: string): boolean {
    const asked = this.#asked.get(kind) ?? 0;
    if (asked === 0) setTimeout(() => this.#close(kind), SECOND).unref();
    this.#asked.set(kind, asked + 1);
    return asked < LINES_PER_SECOND;
  }

  #close(kind: string): void {
    const leftOut = (this.#asked.get(kind) ?? 0) - LINES_PER_SECOND;
    this.#asked.delete(kind);
    if (leftOut > 0) this.#log.info({ kind, leftOut }, 'More lines of this kind were left out.');
  }
}
