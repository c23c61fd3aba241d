import type { ErrorRequestHandler, Request, Response } from 'express';
import type { Log } from '../telemetry/log.ts';
import type { PublicDocument } from './document.ts';
import { type Exchange, exchangeOf } from './exchange.ts';
import { setUnknown } from './locate.ts';
import { Refusal } from './refusals.ts';

/** Answers with a document that anyone may read, from anywhere; 304 where the client has it. */
export function sendDocument(request: Request, response: Response, document: PublicDocument): void {
  const { fileName } = document;
  response.set({
    'Access-Control-Allow-Origin': '*',
    'Cache-Control': document.cacheControl,
    ETag: document.etag,
    // The name of a Kubernetes object needs no quoting (RFC 6266 section 4.1).
    ...(fileName !== undefined && {
      'Content-Disposition': `attachment; filename="${fileName}"`,
    }),
  });
  if (hasAlready(request, document)) response.status(304).end();
  else response.set('Content-Type', document.contentType).send(document.body);
}

/**
 * RFC 9110 section 13.1.2. Not `request.fresh`, which sends the body again to every client that
 * says `Cache-Control: no-cache`, and `fetch` says so whenever it asks by tag.
 */
function hasAlready(request: Request, { etag }: PublicDocument): boolean {
  const tags = (request.get('if-none-match') ?? '').split(',').map((tag) => tag.trim());
  return tags.some((tag) => tag === '*' || tag.replace(/^W\//, '') === etag);
}

/** Answers with something that only the caller may see. */
export function sendPrivate(response: Response, body: object): void {
  const text = JSON.stringify(body);
  // Not `response.json`, which takes longer than everything else here to find out the same.
  response.writeHead(200, {
    'Cache-Control': 'no-store',
    Pragma: 'no-cache',
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': Buffer.byteLength(text),
  });
  response.end(text);
}

/** Turns whatever was thrown into the error body of the route's standard. */
export function refuse(log: Log): ErrorRequestHandler {
  return (error: unknown, _request, response, next) => {
    const exchange = exchangeOf(response);
    const refusal = asRefusal(error);
    exchange.refused = refusal.code;
    const err = refusal.cause;
    if (err !== undefined) {
      log.error({ requestId: exchange.requestId, code: refusal.code, err }, refusal.message);
    }
    if (response.headersSent) return next(error);
    const { retryAfter } = refusal;
    response.set({
      'Cache-Control': 'no-store',
      ...(retryAfter !== undefined && { 'Retry-After': String(retryAfter) }),
      // What is left of a body that is too large is not worth reading.
      ...(refusal.code === 'body_too_large' && { Connection: 'close' }),
    });
    SEND[exchange.errors](refusal, exchange, response);
  };
}

type SendRefusal = (refusal: Refusal, exchange: Exchange, to: Response) => void;

const SEND: Readonly<Record<Exchange['errors'], SendRefusal>> = {
  /** RFC 9457, with the challenge of RFC 6750 section 3 where a token is missing or too weak. */
  problem({ code, message, row }, { requestId, holding }, response) {
    const { status, title, bearer } = row;
    const issuer = holding?.set?.ring.issuer;
    if (bearer !== undefined && issuer !== undefined) {
      const error = bearer === 'challenge' ? '' : `, error="${bearer}"`;
      const realm = encodeURI(issuer).replaceAll('%25', '%');
      response.set('WWW-Authenticate', `Bearer realm="${realm}"${error}`);
    }
    response.status(status).type('application/problem+json');
    response.json({ type: 'about:blank', title, status, detail: message, code, requestId });
  },

  /** RFC 6749 section 5.2; `code` says more exactly what `error` has no word for. */
  oauth({ code, message, row }, { requestId }, response) {
    const { status, oauth: error, oauthStatus = status } = row;
    response.status(oauthStatus).set('Pragma', 'no-cache');
    response.json({ error, error_description: message.replaceAll('"', "'"), code, requestId });
  },
};

function asRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  // A path that is no valid percent-encoding is the path of nothing.
  if (error instanceof URIError) return setUnknown();
  const internal = new Refusal('internal_error', 'The log says more.');
  internal.cause = error;
  return internal;
}
