import type { RequestHandler } from 'express';
import { locate } from './locate.ts';
import { Refusal } from './refusals.ts';
import type { Services } from './services.ts';

/**
 * Keeps credentials off plain HTTP, in both directions: refused before the body is read, though
 * what was sent has been sent. Names the issuer as stored, never a URL made from a Host header.
 *
 * @throws Refusal `https_required`.
 */
export function requireEncryption(services: Services): RequestHandler {
  return (request, response, next) => {
    if (services.plainCredentials || request.secure) return next();
    const { issuer } = locate(services, request, response).set.ring;
    response.set('Connection', 'close');
    const where = issuer.startsWith('https:') ? ` to ${issuer}` : '';
    throw new Refusal(
      'https_required',
      `Send it over HTTPS${where}; a token that was sent in the clear is no secret any more.`,
    );
  };
}
