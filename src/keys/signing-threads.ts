import { type SignKeyObjectInput, sign } from 'node:crypto';
import { availableParallelism } from 'node:os';

/** What `crypto.sign` takes. */
interface SigningTask {
  /** Absent where the algorithm has a hash of its own. */
  readonly hash: string | undefined;
  readonly bytes: Uint8Array;
  readonly key: SignKeyObjectInput;
}

interface Waiting extends SigningTask {
  readonly resolve: (signature: Uint8Array) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * How many threads of the pool sign: one for each core but that of the event loop, which signs too.
 * With one more, the event loop would have to wait for a core while all of them sign.
 */
export const SIGNING_THREADS = Math.max(1, availableParallelism() - 1);

/** Of what waits, the part for the pool: all signers get as much. */
const PART_FOR_POOL = SIGNING_THREADS / (SIGNING_THREADS + 1);

/** So much lies ready for each thread at least, lest it have nothing to do while the event loop signs. */
const READY = 4;

/**
 * Makes signatures on every core: the thread pool takes what it has a thread for, and what is more
 * than that it shares with the event loop, which signs one in each of its turns, so that it never
 * stands still for longer than one signature takes.
 */
class SigningThreads {
  readonly #waiting: Waiting[] = [];
  #onPool = 0;
  #isTurnComing = false;

  /** On the pool in any case: for what takes less time than a turn of the event loop. */
  sign(task: SigningTask): Promise<Uint8Array> {
    return new Promise((resolve, reject) => this.#handOver({ ...task, resolve, reject }));
  }

  /** On the pool, or in the event loop while the pool is busy: for what takes long. */
  share(task: SigningTask): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const waiting = { ...task, resolve, reject };
      if (this.#onPool < SIGNING_THREADS) return this.#handOver(waiting);
      this.#waiting.push(waiting);
      this.#comeAgain();
    });
  }

  #handOver({ hash, bytes, key, resolve, reject }: Waiting): void {
    try {
      sign(hash, bytes, key, (error, signature) => {
        this.#onPool -= 1;
        const next = this.#waiting.shift();
        if (next !== undefined) this.#handOver(next);
        if (error) reject(error);
        else resolve(signature);
      });
      this.#onPool += 1;
    } catch (error) {
      reject(error);
    }
  }

  #comeAgain(): void {
    if (this.#isTurnComing) return;
    this.#isTurnComing = true;
    setImmediate(() => this.#turn());
  }

  #turn(): void {
    this.#isTurnComing = false;
    const ours = this.#waiting.shift();
    if (ours === undefined) return;
    const part = Math.ceil((this.#waiting.length + this.#onPool) * PART_FOR_POOL);
    const room = Math.max(READY * SIGNING_THREADS, part) - this.#onPool;
    for (const task of this.#waiting.splice(0, Math.max(0, room))) this.#handOver(task);
    if (this.#waiting.length > 0) this.#comeAgain();
    try {
      ours.resolve(sign(ours.hash, ours.bytes, ours.key));
    } catch (error) {
      ours.reject(error);
    }
  }
}

/** Of this process, as the pool is. */
export const signingThreads = new SigningThreads();
