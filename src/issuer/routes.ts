import { PATHS } from './discovery.ts';
import { DOWNLOADS } from './downloads.ts';
import { encrypted } from './encryption.ts';
import type { Exchange } from './exchange.ts';
import { publish } from './publish.ts';
import type { Endpoint } from './services.ts';
import { signEndpoint } from './sign.ts';
import { tokenEndpoint } from './token.ts';

/** What is answered at one path below each issuer. */
export interface Route {
  readonly name: string;
  readonly method: 'get' | 'post';
  readonly path: string;
  /** RFC 8414 section 3.1: also between the host and the path of the issuer. */
  readonly inserted?: true;
  readonly errors: Exchange['errors'];
  readonly gives: NonNullable<Exchange['gives']>;
  readonly endpoint: Endpoint;
}

/** One row for each path; a POST carries a credential, and is encrypted. */
export const ROUTES: readonly Route[] = [
  post('sign', PATHS.sign, 'problem', signEndpoint),
  post('token', PATHS.token, 'oauth', tokenEndpoint),
  ...[PATHS.openid, PATHS.oauth].map((path) => ({
    ...get(
      'discovery',
      path,
      publish(({ discovery }) => discovery),
    ),
    inserted: true as const,
  })),
  get(
    'jwks',
    PATHS.jwks,
    publish(({ jwks }) => jwks),
  ),
  ...DOWNLOADS.map(({ path, endpoint }) => get('download', path, endpoint)),
];

function get(name: string, path: string, endpoint: Endpoint): Route {
  return { name, method: 'get', path, errors: 'problem', gives: 'document', endpoint };
}

function post(name: string, path: string, errors: Exchange['errors'], endpoint: Endpoint): Route {
  return { name, method: 'post', path, errors, gives: 'token', endpoint: encrypted(endpoint) };
}
