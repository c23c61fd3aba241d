import { locate } from './locate.ts';
import { Refusal } from './refusals.ts';
import type { Endpoint } from './services.ts';

/**
 * Keeps credentials off plain HTTP, in both directions: refused before the body is read, though
 * what was sent has been sent. Names the issuer as stored, never a URL made from a Host header.
 *
 * @throws Refusal `https_required`.
 */
export function encrypted(endpoint: Endpoint): Endpoint {
  return (services) => {
    const run = endpoint(services);
    return (exchange) => {
      const { request, response } = exchange;
      if (services.plainCredentials || 'encrypted' in request.socket) return run(exchange);
      const { issuer } = locate(services, exchange).set.ring;
      response.setHeader('Connection', 'close');
      const where = issuer.startsWith('https:') ? ` to ${issuer}` : '';
      throw new Refusal(
        'https_required',
        `Send it over HTTPS${where}; a token that was sent in the clear is no secret any more.`,
      );
    };
  };
}
