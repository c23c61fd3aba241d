import { createServer, type ServerResponse } from 'node:http';
import type { Registry } from 'prom-client';
import { capConnections } from './connections.ts';
import { type Listening, listen } from './listen.ts';

/** Why something is not well yet, in words for a person; true when it is. */
type Check = () => true | string;

/** By name, what a process depends on. Every name that is not well is named in the answer. */
type Checks = Readonly<Record<string, Check>>;

export interface TelemetryOptions {
  /** `host:port`; `:port` for every interface. */
  readonly listenAddress: string;
  readonly registry: Registry;
  /** Asked by `/readyz`: may work be sent here? */
  readonly ready: Checks;
  /** Asked by `/healthz`: would a restart help? Default: a process that answers is alive. */
  readonly healthy?: Checks;
}

interface Reply {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** In milliseconds; whoever says nothing makes room. */
const TIMES = {
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  connectionsCheckingInterval: 2_000,
};
const CONNECTIONS = { total: 256, each: 64 };

/**
 * Serves `/healthz`, `/readyz` and `/metrics` on a port of their own. The checks answer 200 with
 * `{"status":"ok"}`, or 503 with `{"status":"unavailable","missing":[{"check","reason"}]}`.
 */
export function startTelemetry(options: TelemetryOptions): Promise<Listening> {
  const { registry, ready, healthy = {}, listenAddress } = options;
  const routes: Readonly<Record<string, () => Reply | Promise<Reply>>> = {
    '/healthz': () => report(healthy),
    '/readyz': () => report(ready),
    '/metrics': async () => ({
      status: 200,
      type: registry.contentType,
      body: await registry.metrics(),
    }),
  };
  const server = createServer(TIMES, (request, response) => {
    // Not `new URL`: whatever anybody sends here must not throw.
    const [pathname = '/'] = (request.url ?? '/').split('?', 1);
    const route = Object.hasOwn(routes, pathname) ? routes[pathname] : undefined;
    const readable = request.method === 'GET' || request.method === 'HEAD';
    if (route === undefined) return send(response, json(404, { status: 'not found' }));
    if (!readable) return send(response, json(405, { status: 'use GET' }), { Allow: 'GET, HEAD' });
    void answer(route).then((reply) => send(response, reply));
  });
  // Where one address takes all it may, the kubelet's probes still come through.
  capConnections(server, CONNECTIONS, () => {});
  return listen(server, listenAddress);
}

async function answer(route: () => Reply | Promise<Reply>): Promise<Reply> {
  try {
    return await route();
  } catch (error) {
    return json(500, { status: 'failed', reason: String(error) });
  }
}

function report(checks: Checks): Reply {
  const missing = Object.entries(checks).flatMap(([check, ask]) => {
    const reason = ask();
    return reason === true ? [] : [{ check, reason }];
  });
  return missing.length === 0
    ? json(200, { status: 'ok' })
    : json(503, { status: 'unavailable', missing });
}

function json(status: number, body: object): Reply {
  return { status, type: 'application/json', body: `${JSON.stringify(body)}\n` };
}

function send(response: ServerResponse, reply: Reply, headers: Record<string, string> = {}): void {
  response.writeHead(reply.status, { 'Content-Type': reply.type, ...headers });
  response.end(reply.body);
}
