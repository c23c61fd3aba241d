import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { text } from 'node:stream/consumers';
import type { Credentials } from './credentials.ts';
import { ApiError, redact } from './errors.ts';

export interface Outgoing {
  readonly method: string;
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Until the whole answer is read, or, for a stream, until the next piece of it. */
  readonly timeoutMs?: number | undefined;
  /** Whether a call goes over connections that others do not use. */
  readonly apart?: boolean | undefined;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
}

const DEFAULT_TIMEOUT_MS = 10_000;
/** For calls. A watch has a connection of its own: there are as many as namespaces are watched. */
const MAX_CONNECTIONS = 32;
/** For calls that are kept apart. */
const MAX_APART = 4;
/** An idle connection may have died in silence: better a new one. */
const IDLE_MS = 60_000;

/** Kept connections, as one CA and one client certificate make them. */
interface Pools {
  readonly tls: object;
  readonly calls: Agent;
  readonly apart: Agent;
  /** Without a limit: a call that queued behind watches would never have its turn. */
  readonly watches: Agent;
}

type Use = 'calls' | 'apart' | 'watches';

/**
 * HTTPS to the API server over kept connections. HTTP/1.1 on purpose: over HTTP/2 one
 * connection that silently died takes every call and watch with it, here each timeout drops one.
 */
export class Transport {
  readonly #credentials: Credentials;
  readonly #userAgent: string;
  #pools: Pools | undefined;

  constructor(credentials: Credentials, userAgent: string) {
    this.#credentials = credentials;
    this.#userAgent = userAgent;
  }

  /** @throws ApiError when the answer is not 2xx, or none came in time. */
  async call(outgoing: Outgoing): Promise<Answer> {
    const { timeoutMs = DEFAULT_TIMEOUT_MS, signal } = outgoing;
    using deadline = new Deadline(timeoutMs, signal);
    try {
      const response = await this.#send(
        outgoing.apart === true ? 'apart' : 'calls',
        outgoing,
        deadline.signal,
      );
      const { headers, statusCode: status = 0 } = response;
      return { status, headers, text: await text(response) };
    } catch (error) {
      throw deadline.explain(error, outgoing);
    }
  }

  /**
   * The body as it comes, in pieces. Ends when the server ends it.
   * @throws ApiError as `call` does, and when no piece came for `timeoutMs`.
   */
  async *stream(outgoing: Outgoing): AsyncGenerator<Buffer, void, undefined> {
    const { timeoutMs = DEFAULT_TIMEOUT_MS, signal } = outgoing;
    using deadline = new Deadline(timeoutMs, signal);
    try {
      const response: AsyncIterable<Buffer> = await this.#send(
        'watches',
        outgoing,
        deadline.signal,
      );
      for await (const piece of response) {
        deadline.extend();
        yield piece;
        deadline.extend();
      }
    } catch (error) {
      throw deadline.explain(error, outgoing);
    }
  }

  close(): void {
    this.#pools?.calls.destroy();
    this.#pools?.apart.destroy();
    this.#pools?.watches.destroy();
  }

  async #send(use: Use, outgoing: Outgoing, signal: AbortSignal): Promise<IncomingMessage> {
    let response = await this.#sendOnce(use, outgoing, signal);
    if (response.statusCode === 401 && this.#credentials.refused()) {
      response.resume();
      response = await this.#sendOnce(use, outgoing, signal);
    }
    const { statusCode: status = 0 } = response;
    if (status >= 200 && status < 300) return response;
    const seconds = Number(response.headers['retry-after']);
    throw ApiError.fromStatus(
      status,
      parseJson(await text(response)),
      seconds > 0 ? seconds * 1_000 : undefined,
    );
  }

  async #sendOnce(use: Use, outgoing: Outgoing, signal: AbortSignal): Promise<IncomingMessage> {
    const { method, url, headers, body } = outgoing;
    const access = await this.#credentials.access();
    signal.throwIfAborted();
    return await new Promise((resolve, reject) => {
      const sent = request(url, {
        method,
        agent: this.#agents(access.tls)[use],
        signal,
        headers: {
          accept: 'application/json',
          // Node frames the body of a DELETE only if told how long it is.
          ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }),
          ...headers,
          'user-agent': this.#userAgent,
          ...access.headers,
        },
      });
      // One that waits for a connection would tell of its abort only when it has one.
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      sent.once('response', resolve).on('error', reject).end(body);
    });
  }

  /** A changed CA or certificate makes new pools; calls under way in the old ones come to their end. */
  #agents(tls: object): Pools {
    if (this.#pools?.tls !== tls) {
      const kept = { ...tls, keepAlive: true, timeout: IDLE_MS };
      this.#pools = {
        tls,
        calls: new Agent({ ...kept, maxSockets: MAX_CONNECTIONS }),
        apart: new Agent({ ...kept, maxSockets: MAX_APART }),
        watches: new Agent(kept),
      };
    }
    return this.#pools;
  }
}

/** Aborts after a time, or with the caller's signal, and knows afterwards which of them it was. */
class Deadline implements Disposable {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal | undefined;
  readonly #timer: NodeJS.Timeout;
  readonly #timeoutMs: number;
  readonly #abort = () => this.#controller.abort();
  #timedOut = false;

  constructor(timeoutMs: number, outer: AbortSignal | undefined) {
    this.#timeoutMs = timeoutMs;
    this.#outer = outer;
    this.#timer = setTimeout(() => {
      this.#timedOut = true;
      this.#abort();
    }, timeoutMs);
    outer?.addEventListener('abort', this.#abort);
    if (outer?.aborted) this.#abort();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  extend(): void {
    this.#timer.refresh();
  }

  explain(error: unknown, { method, url }: Outgoing): ApiError {
    if (error instanceof ApiError) return error;
    const what = `${method} ${new URL(url).pathname}`;
    if (this.#outer?.aborted) return new ApiError(0, 'Aborted', `${what} was aborted`);
    if (this.#timedOut) {
      return new ApiError(0, 'Timeout', `${what}: no answer within ${this.#timeoutMs} ms`);
    }
    const why = error instanceof Error ? error.message : String(error);
    return new ApiError(0, 'Unreachable', `${what}: ${redact(why || 'connection failed')}`);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#outer?.removeEventListener('abort', this.#abort);
  }
}

/** JSON where it is JSON, else the text itself. */
export function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return body;
  }
}
