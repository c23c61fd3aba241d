const MAX_MESSAGE = 512;
const SECRETS = [
  /-----BEGIN [A-Z ]+-----[\s\S]*?(?:-----END [A-Z ]+-----|$)/g,
  /\beyJ[\w-]+\.[\w-]+\.[\w-]*/g,
  /[A-Za-z0-9+/_-]{64,}={0,2}/g,
];

/** Takes out whatever looks like a key or a token: others may quote back what they were given. */
export function redact(text: string): string {
  const clean = SECRETS.reduce((rest, secret) => rest.replace(secret, '[redacted]'), text);
  return clean.length > MAX_MESSAGE ? `${clean.slice(0, MAX_MESSAGE - 1)}…` : clean;
}

/**
 * What every failed call to the API server throws. Never holds a header, a token or a key.
 * `reason` is stable: the `reason` of the server's Status object or, when no answer came,
 * `Unreachable`, `Timeout` or `Aborted`.
 */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  /** HTTP status; 0 when no answer came, and then a write may or may not have happened. */
  readonly status: number;
  readonly reason: string;
  /** How long the server asks to wait before the next try. */
  readonly retryAfterMs?: number;

  constructor(status: number, reason: string, message: string, retryAfterMs?: number) {
    super(message);
    this.status = status;
    this.reason = reason;
    if (retryAfterMs !== undefined) this.retryAfterMs = retryAfterMs;
  }

  /** @param body the Status object of an answer or of an ERROR event, or any other text. */
  static fromStatus(status: number, body: unknown, retryAfterMs?: number): ApiError {
    const { code, reason, message, details } = asStatus(body);
    const seconds = details?.retryAfterSeconds;
    return new ApiError(
      code ?? status,
      reason || 'Unknown',
      redact(message || `the API server answered ${status}`),
      retryAfterMs ?? (seconds ? seconds * 1_000 : undefined),
    );
  }
}

interface Status {
  code?: number;
  reason?: string;
  message?: string;
  details?: { retryAfterSeconds?: number };
}

function asStatus(body: unknown): Status {
  if (typeof body === 'string') return { message: body };
  return typeof body === 'object' && body !== null ? body : {};
}

/** A file or an address that is needed to reach the API server is missing: tells what to do. */
export class CredentialsError extends Error {
  override readonly name = 'CredentialsError';
  readonly code = 'CredentialsMissing';
}

function check(status: number, reason?: string): (error: unknown) => error is ApiError {
  return (error): error is ApiError =>
    error instanceof ApiError &&
    error.status === status &&
    (reason === undefined || error.reason === reason);
}

/** The object changed since it was read: read it again, and decide again. */
export const isConflict = check(409, 'Conflict');
export const isAlreadyExists = check(409, 'AlreadyExists');
export const isNotFound = check(404);
/** The history that was asked for is compacted: list again. */
export const isGone = check(410);
export const isForbidden = check(403);
export const isUnauthorized = check(401);
export const isTooManyRequests = check(429);

/** No answer came: a write may or may not have happened. */
export function isUnanswered(error: unknown): error is ApiError {
  return error instanceof ApiError && error.status === 0;
}

/** The API server answered and will not do it, however often it is asked; not that it cannot now. */
export function isRefusal(error: unknown): error is ApiError {
  const isClientError = error instanceof ApiError && error.status >= 400 && error.status < 500;
  return isClientError && !isTooManyRequests(error);
}
