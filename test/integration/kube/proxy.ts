import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A network between client and API server that a test may break. */
export interface FaultyNetwork extends AsyncDisposable {
  readonly port: number;
  /** Connections that clients have opened so far. */
  readonly opened: number;
  /** Ends every connection. */
  cut(): void;
  /** Connections stay open, and nothing passes on them any more; new ones are as new. */
  swallow(): void;
  /** While false, new connections are ended at once. */
  accepting: boolean;
}

/** @param server such as `https://127.0.0.1:6443` */
export async function startProxy(server: string): Promise<FaultyNetwork> {
  const target = Number(new URL(server).port);
  const pairs = new Set<[Socket, Socket]>();
  let opened = 0;
  let accepting = true;
  const listener = createServer((client) => {
    if (!accepting) return client.destroy();
    opened += 1;
    const upstream = connect(target, '127.0.0.1');
    const pair: [Socket, Socket] = [client, upstream];
    const end = () => {
      pairs.delete(pair);
      for (const socket of pair) socket.destroy();
    };
    pairs.add(pair);
    for (const socket of pair) socket.on('error', end).on('close', end);
    return client.pipe(upstream).pipe(client);
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  const cut = () => {
    for (const pair of pairs) for (const socket of pair) socket.destroy();
  };
  return {
    port,
    cut,
    get opened() {
      return opened;
    },
    get accepting() {
      return accepting;
    },
    set accepting(value) {
      accepting = value;
    },
    swallow() {
      for (const [client, upstream] of pairs) {
        client.unpipe(upstream);
        upstream.unpipe(client);
      }
    },
    async [Symbol.asyncDispose]() {
      cut();
      listener.close();
      await once(listener, 'close');
    },
  };
}
