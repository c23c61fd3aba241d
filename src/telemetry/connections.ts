import type { Server } from 'node:http';
import { isIPv6, type Socket } from 'node:net';
import { type Share, Shares } from './shares.ts';

/**
 * Caps the connections of a server, and those of one address, so that nobody alone holds them all.
 * One too many is closed as it comes; at the cap of all, those that only wait make room.
 */
export function capConnections(server: Server, share: Share, onDrop: () => void): void {
  const open = new Shares(share);
  server.maxConnections = share.total;
  server.on('drop', () => {
    onDrop();
    server.closeIdleConnections();
  });
  server.on('connection', (socket: Socket) => {
    const peer = peerOf(socket.remoteAddress);
    if (open.take(peer, 1)) {
      socket.once('close', () => open.giveBack(peer, 1));
      return;
    }
    onDrop();
    socket.destroy();
  });
}

/** The address as it counts: of an IPv6 one the /64, which is what one host has to itself. */
export function peerOf(address = ''): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined || !isIPv6(address)) return mapped ?? address;
  const [head = '', tail] = address.split('::');
  const groups = head === '' ? [] : head.split(':');
  const rest = tail ? tail.split(':') : [];
  const zeros = tail === undefined ? 0 : 8 - groups.length - rest.length;
  const all = [...groups, ...Array.from({ length: zeros }, () => '0'), ...rest];
  return `${all.slice(0, 4).join(':')}::/64`;
}
