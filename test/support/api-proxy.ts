/**
 * A man in the middle of a client and the API server, with the API server's own certificate: sees
 * each request, may keep it back, answer it himself, or lose the answer; and may slow watches down.
 *
 *   const proxy = await startApiProxy(plane);
 *   proxy.before = ({ method }) => method === 'PUT' ? conflict() : undefined;
 *   startStack({ controlPlane: plane, servers: { controller: proxy.url } });
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Agent, createServer, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import type { ControlPlane } from '../controlplane/controlplane.ts';

/** One request, as the client sent it. */
export interface ApiCall {
  readonly method: string;
  /** Without its query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: Buffer;
}

/** What the client is told instead. */
export interface ApiReply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: object;
}

/** The connection ends without an answer. */
export const LOST = 'lost';

type Decision = ApiReply | typeof LOST | undefined;
type Hook = (call: ApiCall) => Promise<Decision> | Decision;
type AnswerHook = (call: ApiCall, status: number) => Promise<Decision> | Decision;

export interface ApiProxy extends AsyncDisposable {
  /** `https://127.0.0.1:<port>` */
  readonly url: string;
  /** Before a request is passed on. Undefined passes it on; a promise keeps it back. */
  before: Hook;
  /** After the API server has answered and before the client hears of it: the same. */
  after: AnswerHook;
  /** So much later the events of a watch arrive, in milliseconds. */
  watchDelay: number;
  /** The watches that are open now stay open, and nothing comes on them any more. */
  silenceWatches(): void;
}

export async function startApiProxy({ server, caPem, dir }: ControlPlane): Promise<ApiProxy> {
  const upstream = new Agent({ ca: caPem, keepAlive: true });
  let deadline = 0;
  const state: Pick<ApiProxy, 'before' | 'after' | 'watchDelay'> = {
    before: () => undefined,
    after: () => undefined,
    watchDelay: 0,
  };
  const listener = createServer({
    cert: readFileSync(join(dir, 'apiserver.crt')),
    key: readFileSync(join(dir, 'apiserver.key')),
  });
  const isSilenced = (openedAt: number): boolean => openedAt < deadline;

  async function pass(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(incoming.url ?? '/', server);
    const call: ApiCall = {
      method: incoming.method ?? 'GET',
      path: url.pathname,
      query: url.searchParams,
      body: await buffer(incoming),
    };
    const decided = await state.before(call);
    if (decided !== undefined) return reply(response, decided);
    const answer = await forward(url, incoming, call, response);
    if (url.searchParams.get('watch') === 'true') return await stream(answer, response);
    const content = await buffer(answer);
    const changed = await state.after(call, answer.statusCode ?? 0);
    if (changed !== undefined) return reply(response, changed);
    response.writeHead(answer.statusCode ?? 502, endToEnd(answer.headers)).end(content);
  }

  async function forward(
    url: URL,
    { headers }: IncomingMessage,
    { method, body }: ApiCall,
    response: ServerResponse,
  ): Promise<IncomingMessage> {
    const sent = request(url, { method, agent: upstream, headers: endToEnd(headers) });
    response.on('close', () => sent.destroy());
    sent.end(body);
    const [answer]: IncomingMessage[] = await once(sent, 'response');
    if (answer === undefined) throw new Error('no answer');
    return answer;
  }

  /** A watch, piece by piece, each as late as is asked for. */
  async function stream(answer: IncomingMessage, response: ServerResponse): Promise<void> {
    const openedAt = performance.now();
    response.writeHead(answer.statusCode ?? 502, endToEnd(answer.headers)).flushHeaders();
    let last = Promise.resolve();
    for await (const piece of answer as AsyncIterable<Buffer>) {
      const due = performance.now() + state.watchDelay;
      last = last
        .then(() => delay(Math.max(0, due - performance.now())))
        .then(() => {
          if (!isSilenced(openedAt)) response.write(piece);
        });
    }
    await last;
    if (!isSilenced(openedAt)) response.end();
  }

  listener.on('request', (incoming: IncomingMessage, response: ServerResponse) => {
    // Whoever hangs up, or cannot be reached, is what a test is about: the client sees the same.
    pass(incoming, response).catch(() => response.destroy());
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  return Object.assign(state, {
    url: `https://127.0.0.1:${port}`,
    silenceWatches() {
      deadline = performance.now();
    },
    async [Symbol.asyncDispose]() {
      listener.closeAllConnections();
      listener.close();
      upstream.destroy();
      await once(listener, 'close');
    },
  });
}

function reply(response: ServerResponse, decision: ApiReply | typeof LOST): void {
  if (decision === LOST) {
    response.destroy();
    return;
  }
  const { status, headers = {}, body } = decision;
  response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

/** RFC 9110 section 7.6.1: those of one connection are not passed on. */
function endToEnd(headers: IncomingMessage['headers']): IncomingMessage['headers'] {
  const {
    connection: _,
    'transfer-encoding': __,
    'keep-alive': ___,
    host: ____,
    ...rest
  } = headers;
  return rest;
}

/** A Status object, as the API server answers. */
export function status(code: number, reason: string, headers = {}): ApiReply {
  const body = { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason };
  return { status: code, headers, body: { ...body, message: `${reason}, says the test` } };
}
