/**
 * What the issuer refuses, by stable code. `status` and `title` make the RFC 9457 problem; `oauth`
 * is the `error` of RFC 6749 section 5.2 (and RFC 8707) for the same thing at the token endpoint,
 * whose own status differs where `oauthStatus` says so; `bearer` is the `error` of RFC 6750.
 */
interface Row {
  readonly status: number;
  readonly title: string;
  readonly oauth: string;
  readonly oauthStatus?: number;
  readonly bearer?: 'challenge' | 'invalid_token' | 'insufficient_scope';
  /** Seconds after which it makes sense to ask again. */
  readonly retryAfter?: number;
}

const TABLE = {
  set_unknown: { status: 404, title: 'No signing key set here', oauth: 'invalid_request' },
  key_unknown: { status: 404, title: 'No such key', oauth: 'invalid_request' },
  key_invalid: { status: 400, title: 'Not the name of a key', oauth: 'invalid_request' },
  https_required: { status: 403, title: 'HTTPS required', oauth: 'invalid_request' },
  method_not_allowed: { status: 405, title: 'Method not allowed', oauth: 'invalid_request' },
  request_invalid: { status: 400, title: 'Malformed request', oauth: 'invalid_request' },
  media_type_unsupported: {
    status: 415,
    title: 'Unsupported media type',
    oauth: 'invalid_request',
    oauthStatus: 400,
  },
  body_too_large: { status: 413, title: 'Request body too large', oauth: 'invalid_request' },
  json_invalid: { status: 400, title: 'Invalid JSON', oauth: 'invalid_request' },
  json_too_deep: { status: 400, title: 'JSON nested too deep', oauth: 'invalid_request' },
  number_inexact: { status: 400, title: 'Inexact number', oauth: 'invalid_request' },
  member_forbidden: { status: 400, title: 'Forbidden member name', oauth: 'invalid_request' },
  member_unknown: { status: 400, title: 'Unknown member', oauth: 'invalid_request' },
  parameter_repeated: { status: 400, title: 'Repeated parameter', oauth: 'invalid_request' },
  grant_unsupported: {
    status: 400,
    title: 'Unsupported grant type',
    oauth: 'unsupported_grant_type',
  },
  scope_unknown: { status: 400, title: 'Unknown scope', oauth: 'invalid_scope' },
  claims_invalid: { status: 400, title: 'Invalid claims', oauth: 'invalid_request' },
  claim_reserved: { status: 400, title: 'Reserved claim', oauth: 'invalid_request' },
  type_unknown: { status: 400, title: 'Unknown token type', oauth: 'invalid_request' },
  lifetime_invalid: { status: 400, title: 'Invalid lifetime', oauth: 'invalid_request' },
  lifetime_too_long: { status: 400, title: 'Lifetime too long', oauth: 'invalid_request' },
  audience_invalid: { status: 400, title: 'Invalid audience', oauth: 'invalid_target' },
  audience_reserved: { status: 400, title: 'Reserved audience', oauth: 'invalid_target' },
  audience_not_allowed: { status: 400, title: 'Audience not allowed', oauth: 'invalid_target' },
  token_required: {
    status: 401,
    title: 'Token required',
    oauth: 'invalid_client',
    bearer: 'challenge',
  },
  token_invalid: {
    status: 401,
    title: 'Token not accepted',
    oauth: 'invalid_client',
    bearer: 'invalid_token',
  },
  subject_token_required: {
    status: 400,
    title: 'Subject token required',
    // RFC 8693 section 2.2.2 wants this error for anything wrong with the tokens.
    oauth: 'invalid_request',
  },
  subject_token_invalid: {
    status: 400,
    title: 'Subject token not accepted',
    oauth: 'invalid_request',
  },
  actor_unsupported: { status: 400, title: 'Actor not supported', oauth: 'invalid_request' },
  permission_denied: {
    status: 403,
    title: 'Permission denied',
    oauth: 'unauthorized_client',
    oauthStatus: 400,
    bearer: 'insufficient_scope',
  },
  server_busy: {
    status: 503,
    title: 'Too much to read',
    oauth: 'temporarily_unavailable',
    retryAfter: 1,
  },
  rate_limited: { status: 429, title: 'Too many requests', oauth: 'temporarily_unavailable' },
  set_deleted: { status: 410, title: 'The signing key set was deleted', oauth: 'invalid_request' },
  keyring_unavailable: {
    status: 503,
    title: 'Keys not available',
    oauth: 'temporarily_unavailable',
    retryAfter: 5,
  },
  replica_lapsed: {
    status: 503,
    title: 'This replica has lost touch with the cluster',
    oauth: 'temporarily_unavailable',
    retryAfter: 10,
  },
  authorization_unavailable: {
    status: 503,
    title: 'The caller could not be checked',
    oauth: 'temporarily_unavailable',
    retryAfter: 2,
  },
  internal_error: { status: 500, title: 'Internal error', oauth: 'server_error' },
} as const satisfies Record<string, Row>;

export type RefusalCode = keyof typeof TABLE;
const REFUSALS: Readonly<Record<RefusalCode, Row>> = TABLE;

/**
 * A request that is not answered as asked. `detail` is one sentence with what to do instead; it
 * repeats nothing that the caller sent, so it can hold no token.
 */
export class Refusal extends Error {
  readonly code: RefusalCode;
  /** Seconds after which it makes sense to ask again. */
  readonly retryAfter: number | undefined;

  /** @param retryAfter - in seconds; default: what the table says. */
  constructor(code: RefusalCode, detail: string, retryAfter?: number) {
    super(detail);
    this.name = 'Refusal';
    this.code = code;
    this.retryAfter = retryAfter ?? REFUSALS[code].retryAfter;
  }

  get row(): Row {
    return REFUSALS[this.code];
  }
}
