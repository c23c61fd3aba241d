import express, { type Request, type Response } from 'express';
import { Refusal } from './refusals.ts';

const MAX_BODY = 64 * 1024;
const raw = express.raw({ type: () => true, limit: MAX_BODY, inflate: false });

/**
 * The bytes of a body of at most 64 KiB, of this media type and not compressed.
 * @throws Refusal `media_type_unsupported`; else what Express throws, see `respond.ts`.
 */
export async function readBody(request: Request, response: Response, type: string) {
  if (!request.is(type)) {
    throw new Refusal('media_type_unsupported', `Send Content-Type: ${type}, and a body.`);
  }
  await new Promise<void>((resolve, reject) => {
    raw(request, response, (error?: unknown) => (error === undefined ? resolve() : reject(error)));
  });
  const body: unknown = request.body;
  return Buffer.isBuffer(body) ? body : Buffer.alloc(0);
}
