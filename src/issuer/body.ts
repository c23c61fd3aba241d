import type { IncomingMessage } from 'node:http';
import { Refusal } from './refusals.ts';

const MAX_BODY = 64 * 1024;
const NO_BODY = Buffer.alloc(0);

/**
 * The bytes of a body of at most 64 KiB, of this media type and not compressed. What of a longer
 * one is still to come is not read.
 *
 * @throws Refusal `media_type_unsupported`, `body_too_large`, `request_invalid`.
 */
export function readBody(request: IncomingMessage, type: string): Promise<Buffer> {
  const { headers } = request;
  const [mediaType = ''] = (headers['content-type'] ?? '').split(';', 1);
  const hasBody = headers['content-length'] ?? headers['transfer-encoding'];
  if (hasBody === undefined || mediaType.trim().toLowerCase() !== type) {
    throw new Refusal('media_type_unsupported', `Send Content-Type: ${type}, and a body.`);
  }
  if ((headers['content-encoding'] ?? 'identity').toLowerCase() !== 'identity') {
    throw new Refusal('media_type_unsupported', 'Send the body uncompressed.');
  }
  if (Number(headers['content-length'] ?? 0) > MAX_BODY) throw tooLarge();
  return collect(request);
}

function collect(request: IncomingMessage): Promise<Buffer> {
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
    request.on('error', () => reject(new Refusal('request_invalid', 'The body ended early.')));
  });
}

function tooLarge(): Refusal {
  return new Refusal('body_too_large', 'Send at most 64 KiB.');
}
