import { ALGORITHM_NAMES } from '../keys/algorithms.ts';

/** The endpoints of an issuer, below its own URL. */
export const PATHS = {
  openid: '/.well-known/openid-configuration',
  oauth: '/.well-known/oauth-authorization-server',
  jwks: '/.well-known/jwks.json',
  token: '/oauth/token',
  sign: '/sign',
} as const;

export const CLIENT_CREDENTIALS = 'client_credentials';

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
    token_endpoint_auth_methods_supported: ['private_key_jwt'],
    token_endpoint_auth_signing_alg_values_supported: ALGORITHM_NAMES,
    grant_types_supported: [CLIENT_CREDENTIALS],
    // Required, though there is no authorization endpoint: the API server says the same of its own.
    response_types_supported: ['id_token'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ALGORITHM_NAMES,
  };
}
