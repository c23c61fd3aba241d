import type { IncomingMessage } from 'node:http';
import { peerOf } from '../telemetry/connections.ts';
import type { Exchange } from './exchange.ts';
import { Refusal } from './refusals.ts';
import type { Services } from './services.ts';

const MAX_BODY = 64 * 1024;
const NO_BODY = Buffer.alloc(0);

/**
 * Looks at what the headers say of a body: at most 64 KiB, of this media type, not compressed.
 * @throws Refusal `media_type_unsupported`, `body_too_large`.
 */
export function checkBody({ headers }: IncomingMessage, type: string): void {
  const [mediaType = ''] = (headers['content-type'] ?? '').split(';', 1);
  const hasBody = headers['content-length'] ?? headers['transfer-encoding'];
  if (hasBody === undefined || mediaType.trim().toLowerCase() !== type) {
    throw new Refusal('media_type_unsupported', `Send Content-Type: ${type}, and a body.`);
  }
  if ((headers['content-encoding'] ?? 'identity').toLowerCase() !== 'identity') {
    throw new Refusal('media_type_unsupported', 'Send the body uncompressed.');
  }
  if (Number(headers['content-length'] ?? 0) > MAX_BODY) throw tooLarge();
}

/**
 * The bytes of a body of at most 64 KiB, held against the budget until the request is answered.
 * What of a longer one is still to come is not read.
 *
 * @throws Refusal `body_too_large`, `server_busy`, `request_invalid`.
 */
export function readBody(
  { bodies }: Pick<Services, 'bodies'>,
  exchange: Exchange,
): Promise<Buffer> {
  const { request } = exchange;
  if (request.destroyed) throw endedEarly();
  const chunks: Buffer[] = [];
  const holds = { peer: peerOf(request.socket.remoteAddress), bytes: 0 };
  exchange.holds = holds;
  return new Promise((resolve, reject) => {
    const stop = (refusal: Refusal) => {
      request.removeAllListeners('data').pause();
      reject(refusal);
    };
    request.on('data', (chunk: Buffer) => {
      if (holds.bytes + chunk.length > MAX_BODY) return stop(tooLarge());
      if (!bodies.take(holds.peer, chunk.length)) return stop(busy());
      holds.bytes += chunk.length;
      chunks.push(chunk);
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

function busy(): Refusal {
  return new Refusal('server_busy', 'Ask again in a moment, with fewer large requests at once.');
}
