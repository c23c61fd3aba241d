import { StringDecoder } from 'node:string_decoder';
import { type Credentials, ServiceAccountFolder } from './credentials.ts';
import { ApiError } from './errors.ts';
import type { StoredObject } from './store.ts';
import { parseJson, Transport } from './transport.ts';

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export interface CallOptions {
  readonly query?: Query;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Default `application/json`; for PATCH `application/merge-patch+json`. */
  readonly contentType?: string;
  /** Default `application/json`; {@link METADATA_ONLY} for a list without the rest of its objects. */
  readonly accept?: string;
  readonly signal?: AbortSignal;
  /** Default 10 s. */
  readonly timeoutMs?: number;
  /** Over connections of its own, for what must not wait behind a flood of other calls. */
  readonly apart?: boolean;
}

export interface KubeAnswer {
  readonly body: unknown;
  /** The API server's clock, to the second. */
  readonly date?: Date;
}

/** @param tookMs how many milliseconds ago the answer was asked for. */
export type ClockListener = (date: Date, tookMs: number) => void;

export interface WatchOptions {
  readonly query?: Query;
  readonly signal?: AbortSignal;
  /** A watch on which nothing, not even a bookmark, came for so long is dead. Default 100 s. */
  readonly idleTimeoutMs?: number;
}

export interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
  readonly object: StoredObject;
}

export interface ConnectOptions {
  /** A folder laid out as /var/run/secrets/kubernetes.io/serviceaccount. */
  readonly credentialsDir?: string;
  /** A path. Without it and `credentialsDir`: `KUBECONFIG`, else ~/.kube/config. */
  readonly kubeconfig?: string;
  readonly userAgent: string;
  /** Where KUBERNETES_SERVICE_HOST and _PORT are looked up. Default: `process.env`. */
  readonly env?: NodeJS.ProcessEnv;
}

/** Asks for a PartialObjectMetadataList: what the objects are called, and which versions they are. */
export const METADATA_ONLY = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1';

/** The API server sends a bookmark about each minute. */
const IDLE_TIMEOUT_MS = 100_000;

/** One connection pool to the API server, and every way to call over it. All throw `ApiError`. */
export class Kube {
  /** The namespace of the ServiceAccount, or of the kubeconfig's context. */
  readonly namespace: string;
  readonly #server: string;
  readonly #transport: Transport;
  readonly #clockListeners = new Set<ClockListener>();

  constructor(credentials: Credentials, userAgent: string) {
    this.#server = credentials.server;
    this.namespace = credentials.namespace;
    this.#transport = new Transport(credentials, userAgent);
  }

  /**
   * One call with JSON both ways.
   * @param path such as `/api/v1/namespaces/x/secrets/y`, its parts already escaped.
   * @throws ApiError
   */
  async request(method: string, path: string, options: CallOptions = {}): Promise<KubeAnswer> {
    const { body, contentType = defaultContentType(method), accept, ...sending } = options;
    const askedAt = performance.now();
    const { text, headers } = await this.#transport.call({
      method,
      url: this.#url(path, options.query),
      signal: sending.signal,
      timeoutMs: sending.timeoutMs,
      apart: sending.apart,
      headers: {
        ...(accept !== undefined && { accept }),
        ...(body !== undefined && { 'content-type': contentType }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const answer = { body: parseJson(text) };
    if (headers.date === undefined) return answer;
    const date = new Date(headers.date);
    for (const listener of this.#clockListeners) listener(date, performance.now() - askedAt);
    return { ...answer, date };
  }

  /** Tells of the API server's clock with each answer, as it comes. */
  onDate(listener: ClockListener): void {
    this.#clockListeners.add(listener);
  }

  /**
   * The events of one watch, until the server ends it. Nothing is resumed: see `Reflector`.
   * @throws ApiError also for an ERROR event; `isGone` when the resourceVersion is too old.
   */
  async *watch(path: string, options: WatchOptions = {}): AsyncGenerator<WatchEvent, void, void> {
    const { query, signal, idleTimeoutMs = IDLE_TIMEOUT_MS } = options;
    const url = this.#url(path, { ...query, watch: true });
    const pieces = this.#transport.stream({ method: 'GET', url, signal, timeoutMs: idleTimeoutMs });
    for await (const line of lines(pieces)) yield toEvent(line);
  }

  /** Ends every connection; calls under way fail. */
  close(): void {
    this.#transport.close();
  }

  #url(path: string, query: Query = {}): string {
    const url = new URL(this.#server + path);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) url.searchParams.set(name, String(value));
    }
    return url.href;
  }
}

/**
 * Opens a client; the first call opens the first connection.
 * @throws CredentialsError naming what is missing. A token that comes later: call again.
 */
export async function connect(options: ConnectOptions): Promise<Kube> {
  const { credentialsDir, kubeconfig, userAgent, env } = options;
  if (credentialsDir !== undefined) {
    return new Kube(new ServiceAccountFolder(credentialsDir, env), userAgent);
  }
  // In a pod there is none, and what reads one takes 20 MB of memory.
  const { KubeconfigFile } = await import('./kubeconfig.ts');
  return new Kube(new KubeconfigFile(kubeconfig), userAgent);
}

function defaultContentType(method: string): string {
  return method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
}

async function* lines(pieces: AsyncIterable<Buffer>): AsyncGenerator<string, void, void> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  for await (const piece of pieces) {
    const parts = (rest + decoder.write(piece)).split('\n');
    rest = parts.pop() ?? '';
    for (const part of parts) if (part !== '') yield part;
  }
}

const EVENT_TYPES: ReadonlySet<unknown> = new Set(['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK']);

function isWatchEvent(event: unknown): event is WatchEvent {
  return (
    typeof event === 'object' && event !== null && 'type' in event && EVENT_TYPES.has(event.type)
  );
}

function toEvent(line: string): WatchEvent {
  const event = parseJson(line);
  if (isWatchEvent(event)) return event;
  const status = typeof event === 'object' && event !== null && 'object' in event && event.object;
  throw ApiError.fromStatus(500, status || 'the watch sent something that is not an event');
}
