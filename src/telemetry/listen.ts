import { once } from 'node:events';
import type { Server } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import type { Socket } from 'node:net';

/** A server that listens. */
export interface Listening {
  /** `host:port` as bound; the port is the real one where 0 was asked for. */
  readonly address: string;
  /** Takes no new connection, answers what is in flight, and cuts what is left after `graceMs`. */
  close(graceMs?: number): Promise<void>;
}

const ADDRESS = /^(?:\[(?<v6>[0-9a-fA-F:.]+)\]|(?<name>[^:[\]]*)):(?<port>\d{1,5})$/;
const CLOSE_GRACE = 10_000;
/** A connection that was busy when the server closed is closed so soon after its last answer. */
const SWEEP = 50;

/**
 * Reads `host:port`, `[v6]:port`, or `:port` for every interface.
 * @throws RangeError naming the text and what to type instead.
 */
export function parseListenAddress(text: string): { host?: string; port: number } {
  const { v6, name, port } = ADDRESS.exec(text)?.groups ?? {};
  if (port === undefined || Number(port) > 65_535) {
    throw new RangeError(`"${text}" is not a listen address: type host:port, such as :8080`);
  }
  const host = v6 ?? name;
  return host ? { host, port: Number(port) } : { port: Number(port) };
}

/** Binds `server` to `listenAddress`. @throws the error of bind, such as EADDRINUSE. */
export async function listen(
  server: Server | HttpsServer,
  listenAddress: string,
): Promise<Listening> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen(parseListenAddress(listenAddress));
  await once(server, 'listening');
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new TypeError('not a TCP listener');
  const host = bound.family === 'IPv6' ? `[${bound.address}]` : bound.address;
  return {
    address: `${host}:${bound.port}`,
    close: (graceMs = CLOSE_GRACE) => close(server, sockets, graceMs),
  };
}

async function close(
  server: Server | HttpsServer,
  sockets: ReadonlySet<Socket>,
  graceMs: number,
): Promise<void> {
  if (!server.listening) return;
  const closed = once(server, 'close');
  server.close();
  const sweep = setInterval(() => server.closeIdleConnections(), SWEEP);
  // Not closeAllConnections, which knows none that is still in its TLS handshake.
  const cut = setTimeout(() => {
    for (const socket of sockets) socket.destroy();
  }, graceMs);
  await closed;
  clearInterval(sweep);
  clearTimeout(cut);
}
