import { ANY_ORIGIN, type PublicDocument } from './document.ts';
import { atEndOfTurn } from './end-of-turn.ts';
import type { Exchange } from './exchange.ts';
import type { Holding } from './keyrings.ts';
import { setUnknown } from './locate.ts';
import { Refusal, type RefusalCode } from './refusals.ts';
import type { Services } from './services.ts';

/** Names and values in turn, as `writeHead` takes them with the least work. */
type Headers = readonly string[];

/** Of every answer. */
const NO_SNIFFING: Headers = ['X-Content-Type-Options', 'nosniff'];

/**
 * Answers with these headers and those of every answer; `HEAD` with them alone.
 * @param body - one byte in each character (latin1): node:http writes such a text and the header at
 *   once, without looking at it, which is less work than a header and a buffer.
 */
function answer(
  { response, requestId }: Pick<Exchange, 'response' | 'requestId'>,
  status: number,
  headers: Headers,
  body?: string,
): void {
  const length = body === undefined ? [] : ['Content-Length', String(body.length)];
  const always = ['X-Request-Id', requestId, ...NO_SNIFFING];
  response.writeHead(status, [...always, ...headers, ...length]);
  response.end(body, 'latin1');
}

/** The bytes of a text (UTF-8), one in each character. */
function bytesOf(text: string): string {
  return Buffer.from(text).toString('latin1');
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

/** Tells a browser that any page may read a document, with any header but a credential (Fetch section 3.3). */
export function sendPreflight(exchange: Exchange, methods: string): void {
  const allows = ['Access-Control-Allow-Methods', methods, 'Access-Control-Allow-Headers', '*'];
  const remembered = ['Access-Control-Max-Age', '86400'];
  answer(exchange, 204, [...ANY_ORIGIN, ...allows, ...remembered, 'Allow', methods]);
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

/**
 * Answers with something that only the caller may see.
 * @param before - called right before it leaves; what it throws is answered instead.
 */
export function sendPrivate(
  services: Pick<Services, 'log' | 'lines' | 'metrics'>,
  exchange: Exchange,
  body: object,
  before: () => void,
): void {
  const bytes = bytesOf(JSON.stringify(body));
  atEndOfTurn(() => {
    try {
      before();
      answer(exchange, 200, PRIVATE, bytes);
    } catch (error) {
      refuse(services, exchange, error);
    }
  });
}

/** Refused in the middle of a body, of which the rest is not read. */
const UNREAD: ReadonlySet<RefusalCode> = new Set(['body_too_large', 'server_busy']);

/** Turns whatever was thrown into the error body of the route's standard, and counts it. */
export function refuse(
  { log, lines, metrics }: Pick<Services, 'log' | 'lines' | 'metrics'>,
  exchange: Exchange,
  error: unknown,
): void {
  const refusal = asRefusal(error);
  exchange.refused = refusal.code;
  if (exchange.gives === 'token') {
    const keys = exchange.holding?.set?.ring.keys ?? [];
    const algorithm = keys.find(({ state }) => state === 'current')?.algorithm ?? 'none';
    metrics.tokens.inc({ algorithm, result: refusal.code });
  }
  const err = refusal.cause;
  if (err !== undefined && lines.take(`why ${refusal.code}`)) {
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
    // So that a page in a browser can tell a refusal from a network that is down.
    ...(exchange.gives === 'document' ? ANY_ORIGIN : []),
    ...(retryAfter === undefined ? [] : ['Retry-After', String(retryAfter)]),
    ...(UNREAD.has(code) ? ['Connection', 'close'] : []),
    ...headers,
  ];
  answer(exchange, status, all, bytesOf(JSON.stringify(body)));
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
    const { status, title } = row;
    return {
      status,
      headers: [
        ...['Content-Type', 'application/problem+json; charset=utf-8'],
        ...challenge(row, holding),
      ],
      body: { type: 'about:blank', title, status, detail: message, code, requestId },
    };
  },

  /** RFC 6749 section 5.2; `code` says more exactly what `error` has no word for. */
  oauth({ code, message, row }, { requestId, holding }) {
    const { status, oauth: error, oauthStatus = status } = row;
    return {
      status: oauthStatus,
      headers: [
        ...['Pragma', 'no-cache', 'Content-Type', 'application/json; charset=utf-8'],
        // RFC 9110 section 15.5.2 wants it of every 401, whichever way the credential came.
        ...(oauthStatus === 401 ? challenge(row, holding) : []),
      ],
      body: { error, error_description: message.replaceAll('"', "'"), code, requestId },
    };
  },
};

function challenge({ bearer }: Refusal['row'], holding: Holding | undefined): Headers {
  const issuer = holding?.set?.ring.issuer;
  if (bearer === undefined || issuer === undefined) return [];
  const error = bearer === 'challenge' ? '' : `, error="${bearer}"`;
  const realm = encodeURI(issuer).replaceAll('%25', '%');
  return ['WWW-Authenticate', `Bearer realm="${realm}"${error}`];
}

function asRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  // A path that is no valid percent-encoding is the path of nothing.
  if (error instanceof URIError) return setUnknown();
  const internal = new Refusal('internal_error', 'The log says more.');
  internal.cause = error;
  return internal;
}
