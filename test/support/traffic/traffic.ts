/**
 * Tokens that are signed and verified all the time, in a process of their own, while a test does
 * harm to everything else:
 *
 *   await using traffic = await Traffic.start(stack);
 *   await traffic.follow(set);  …  const seen = await traffic.tally();  wronglyRefused(seen, ledger)
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Replica, Stack } from '../../stack/stack.ts';
import type { Command, FollowedSet, ReplicaAddress, Tally, TrafficOptions } from './messages.ts';

const PROGRAM = join(import.meta.dirname, 'process.ts');

export class Traffic implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #output: string[] = [];
  #counting: Promise<Tally> | undefined;

  private constructor(child: ChildProcess) {
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => this.#output.push(text));
    }
  }

  /** @param options - `interval` and `mountDelay` in milliseconds. */
  static async start(
    { controlPlane, issuer, caFile }: Stack,
    options: Pick<TrafficOptions, 'interval' | 'mountDelay'>,
  ): Promise<Traffic> {
    const { kubeconfig } = controlPlane;
    const all: TrafficOptions = { ...options, kubeconfig, replicas: [addressOf(issuer)] };
    const env = {
      ...process.env,
      ...(caFile === undefined ? {} : { NODE_EXTRA_CA_CERTS: caFile }),
    };
    const child = fork(PROGRAM, [JSON.stringify(all)], { env, execArgv: [], stdio: 'pipe' });
    const traffic = new Traffic(child);
    await traffic.#next();
    return traffic;
  }

  follow(set: FollowedSet): void {
    this.#tell({ do: 'follow', set });
  }

  /** Signs no more for a set; what was signed is verified to its end. */
  forget(namespace: string, name: string): void {
    this.#tell({ do: 'forget', namespace, name });
  }

  /** From now on these replicas are behind the Service. */
  route(replicas: readonly Replica[]): void {
    this.#tell({ do: 'route', replicas: replicas.map(addressOf) });
  }

  /** What has happened since the start. @throws Error with what the process printed, if it ended. */
  tally(): Promise<Tally> {
    this.#counting ??= this.#count().finally(() => {
      this.#counting = undefined;
    });
    return this.#counting;
  }

  async #count(): Promise<Tally> {
    this.#tell({ do: 'tally' });
    return (await this.#next()) as Tally;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }

  #tell(command: Command): void {
    this.#child.send(command);
  }

  async #next(): Promise<unknown> {
    const gone = new AbortController();
    const { signal } = gone;
    try {
      const ended = once(this.#child, 'exit', { signal }).then(() => {
        throw new Error(`the traffic process has ended: ${this.#output.join('')}`);
      });
      const [message]: unknown[] = await Promise.race([
        once(this.#child, 'message', { signal }),
        ended,
      ]);
      return message;
    } finally {
      gone.abort();
    }
  }
}

function addressOf({ url, metricsUrl }: Replica): ReplicaAddress {
  return { url, readyUrl: metricsUrl.replace(/metrics$/, 'readyz') };
}
