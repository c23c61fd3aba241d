/** JWS algorithms a set can use (RFC 7518 section 3.1, RFC 8037), as `spec.algorithm` names them. */
export type Algorithm =
  | 'RS256'
  | 'RS384'
  | 'RS512'
  | 'PS256'
  | 'PS384'
  | 'PS512'
  | 'ES256'
  | 'ES384'
  | 'ES512'
  | 'EdDSA';
