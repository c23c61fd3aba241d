import type { Log } from '../telemetry/log.ts';
import type { PublicDocument } from './document.ts';
import { atEndOfTurn } from './end-of-turn.ts';
import type { Exchange } from './exchange.ts';
import { setUnknown } from './locate.ts';
import { Refusal } from './refusals.ts';

/** Names and values in turn, as `writeHead` takes them with the least work. */
type Headers = readonly string[];

/** Of every answer. */
const NO_SNIFFING: Headers = ['X-Content-Type-Options', 'nosniff'];

/** Answers with these headers and those of every answer; `HEAD` with them alone. */
function answer(
  { response, requestId }: Pick<Exchange, 'response' | 'requestId'>,
  status: number,
  headers: Headers,
  body?: string | Buffer,
): void {
  const length = body === undefined ? [] : ['Content-Length', String(Buffer.byteLength(body))];
  const always = ['X-Request-Id', requestId, ...NO_SNIFFING];
  response.writeHead(status, [...always, ...headers, ...length]);
  response.end(body);
}

/** Answers with a document that anyone may read, from anywhere; 304 where the client has it. */
export function sendDocument(exchange: Exchange, document: PublicDocument): void {
  if (hasAlready(exchange, document)) answer(exchange, 304, document.headers);
  else sendWhole(exchange, document);
}

/** The same, whatever the client has. */
export function sendWhole(
  exchange: Pick<Exchange, 'response' | 'requestId'>,
  { headers, contentType, body }: PublicDocument,
): void {
  answer(exchange, 200, [...headers, 'Content-Type', contentType], body);
}

/** RFC 9110 section 13.1.2. */
function hasAlready({ request }: Exchange, { etag }: PublicDocument): boolean {
  const tags = (request.headers['if-none-match'] ?? '').split(',').map((tag) => tag.trim());
  return tags.some((tag) => tag === '*' || tag.replace(/^W\//, '') === etag);
}

const PRIVATE: Headers = [
  ...['Cache-Control', 'no-store'],
  ...['Pragma', 'no-cache'],
  ...['Content-Type', 'application/json; charset=utf-8'],
];

/** Answers with something that only the caller may see. */
export function sendPrivate(exchange: Exchange, body: object): void {
  const text = JSON.stringify(body);
  atEndOfTurn(() => answer(exchange, 200, PRIVATE, text));
}

/** Turns whatever was thrown into the error body of the route's standard. */
export function refuse(log: Log, exchange: Exchange, error: unknown): void {
  const refusal = asRefusal(error);
  exchange.refused = refusal.code;
  const err = refusal.cause;
  if (err !== undefined) {
    log.error({ requestId: exchange.requestId, code: refusal.code, err }, refusal.message);
  }
  const { request, response } = exchange;
  if (response.headersSent) {
    request.socket.destroy();
    return;
  }
  const { status, headers, body } = ERRORS[exchange.errors](refusal, exchange);
  const { retryAfter, code } = refusal;
  const all = [
    ...['Cache-Control', 'no-store'],
    ...(retryAfter === undefined ? [] : ['Retry-After', String(retryAfter)]),
    // What is left of a body that is too large is not worth reading.
    ...(code === 'body_too_large' ? ['Connection', 'close'] : []),
    ...headers,
  ];
  answer(exchange, status, all, JSON.stringify(body));
}

interface ErrorAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: object;
}

type DescribeRefusal = (refusal: Refusal, exchange: Exchange) => ErrorAnswer;

const ERRORS: Readonly<Record<Exchange['errors'], DescribeRefusal>> = {
  /** RFC 9457, with the challenge of RFC 6750 section 3 where a token is missing or too weak. */
  problem({ code, message, row }, { requestId, holding }) {
    const { status, title, bearer } = row;
    const issuer = holding?.set?.ring.issuer;
    const challenges = bearer !== undefined && issuer !== undefined;
    return {
      status,
      headers: [
        ...['Content-Type', 'application/problem+json; charset=utf-8'],
        ...(challenges ? ['WWW-Authenticate', challenge(issuer, bearer)] : []),
      ],
      body: { type: 'about:blank', title, status, detail: message, code, requestId },
    };
  },

  /** RFC 6749 section 5.2; `code` says more exactly what `error` has no word for. */
  oauth({ code, message, row }, { requestId }) {
    const { status, oauth: error, oauthStatus = status } = row;
    return {
      status: oauthStatus,
      headers: ['Pragma', 'no-cache', 'Content-Type', 'application/json; charset=utf-8'],
      body: { error, error_description: message.replaceAll('"', "'"), code, requestId },
    };
  },
};

function challenge(issuer: string, bearer: NonNullable<Refusal['row']['bearer']>): string {
  const error = bearer === 'challenge' ? '' : `, error="${bearer}"`;
  return `Bearer realm="${encodeURI(issuer).replaceAll('%25', '%')}"${error}`;
}

function asRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  // A path that is no valid percent-encoding is the path of nothing.
  if (error instanceof URIError) return setUnknown();
  const internal = new Refusal('internal_error', 'The log says more.');
  internal.cause = error;
  return internal;
}
