import type { IncomingMessage } from 'node:http';
import { peerOf } from '../telemetry/connections.ts';
import type { Exchange } from './exchange.ts';
import { Refusal } from './refusals.ts';
import type { Services } from './services.ts';

const MAX_BODY = 64 * 1024;
const NO_BODY = Buffer.alloc(0);

/**
 * Looks at what the headers say of a body: at most 64 KiB, of this media type, not compressed. Holds
 * as much of the budget until the request is answered: what comes takes memory, read or not.
 *
 * @throws Refusal `media_type_unsupported`, `body_too_large`, `server_busy`.
 */
export function expectBody(
  { bodies }: Pick<Services, 'bodies'>,
  exchange: Exchange,
  type: string,
): void {
  const { headers, socket } = exchange.request;
  const [mediaType = ''] = (headers['content-type'] ?? '').split(';', 1);
  const { 'content-length': length, 'transfer-encoding': chunked } = headers;
  if ((length ?? chunked) === undefined || mediaType.trim().toLowerCase() !== type) {
    throw new Refusal('media_type_unsupported', `Send Content-Type: ${type}, and a body.`);
  }
  if ((headers['content-encoding'] ?? 'identity').toLowerCase() !== 'identity') {
    throw new Refusal('media_type_unsupported', 'Send the body uncompressed.');
  }
  const bytes = Number(length ?? MAX_BODY);
  if (bytes > MAX_BODY) throw tooLarge();
  const peer = peerOf(socket.remoteAddress);
  if (!bodies.take(peer, bytes)) {
    throw new Refusal('server_busy', 'Ask again in a moment, with fewer large requests at once.');
  }
  exchange.holds = { peer, bytes };
}

/**
 * The bytes of a body of at most 64 KiB. What of a longer one is still to come is not read.
 * @throws Refusal `body_too_large`, `request_invalid`.
 */
export function readBody(request: IncomingMessage): Promise<Buffer> {
  if (request.destroyed) throw endedEarly();
  const chunks: Buffer[] = [];
  let length = 0;
  return new Promise((resolve, reject) => {
    request.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length <= MAX_BODY) chunks.push(chunk);
      else {
        request.removeAllListeners('data').pause();
        reject(tooLarge());
      }
    });
    request.once('end', () =>
      resolve(chunks.length > 1 ? Buffer.concat(chunks) : (chunks[0] ?? NO_BODY)),
    );
    request.on('error', () => reject(endedEarly()));
  });
}

function tooLarge(): Refusal {
  return new Refusal('body_too_large', 'Send at most 64 KiB.');
}

function endedEarly(): Refusal {
  return new Refusal('request_invalid', 'The body ended early.');
}
