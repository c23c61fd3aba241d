import { ALGORITHM_NAMES } from '../keys/algorithms.ts';

/** The endpoints of an issuer, below its own URL. */
export const PATHS = {
  openid: '/.well-known/openid-configuration',
  oauth: '/.well-known/oauth-authorization-server',
  jwks: '/.well-known/jwks.json',
  token: '/oauth/token',
  sign: '/sign',
} as const;

export const GRANT_TYPES = {
  clientCredentials: 'client_credentials',
  tokenExchange: 'urn:ietf:params:oauth:grant-type:token-exchange',
} as const;

/** RFC 7523 section 2.2. */
export const JWT_BEARER = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

/** What an access token of ours is called in an exchange (RFC 8693 section 3), the default first. */
export const TOKEN_TYPES: readonly [string, string] = [
  'urn:ietf:params:oauth:token-type:access_token',
  'urn:ietf:params:oauth:token-type:jwt',
];

/**
 * The metadata of OpenID Connect Discovery 1.0 section 3 and RFC 8414 section 2, one document for
 * both. `issuer` is byte for byte as stored, because clients compare it so. Every algorithm that a
 * set could turn to is listed, because clients read this once and a set may change later.
 */
export function discovery(issuer: string): object {
  const base = issuer.replace(/\/$/, '');
  return {
    issuer,
    jwks_uri: `${base}${PATHS.jwks}`,
    token_endpoint: `${base}${PATHS.token}`,
    // An exchange needs no client authentication besides the token that is exchanged.
    token_endpoint_auth_methods_supported: ['private_key_jwt', 'none'],
    token_endpoint_auth_signing_alg_values_supported: ALGORITHM_NAMES,
    grant_types_supported: Object.values(GRANT_TYPES),
    // Required, though there is no authorization endpoint: the API server says the same of its own.
    response_types_supported: ['id_token'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ALGORITHM_NAMES,
  };
}
