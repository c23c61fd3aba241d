import express, { type Request, type Response } from 'express';
import { DAY, SECOND } from '../api/constants.ts';
import type { Keyring } from '../keys/keyring.ts';
import type { Caller, Power } from './authorize.ts';
import { exchangeOf, setName } from './exchange.ts';
import { type IssuedToken, issueToken, signer, type TokenRequest } from './issue-token.ts';
import { decodeUtf8, parseJson } from './json.ts';
import type { Holding } from './keyrings.ts';
import { requestedLocations } from './location.ts';
import { Refusal } from './refusals.ts';
import { sendDocument, sendPrivate, setUnknown } from './respond.ts';
import type { PublicDocument, ServedSet } from './served.ts';
import type { Services } from './services.ts';
import { readSignRequest } from './sign.ts';
import { readAssertion, readForm, readTokenRequest } from './token.ts';

export type Endpoint = (
  services: Services,
) => (request: Request, response: Response) => void | Promise<void>;

/** How long, in milliseconds, a replica publishes what it could not confirm any more. */
const PUBLISH_UNCONFIRMED = DAY;

/** `GET` of a document that is made when the keyring is loaded. */
export function publicDocument(choose: (set: ServedSet) => PublicDocument): Endpoint {
  return (services) => (request, response) => {
    const { set } = locate(services, request, response);
    if (set === undefined || services.freshness.age() >= PUBLISH_UNCONFIRMED) throw unavailable();
    sendDocument(request, response, choose(set));
  };
}

/** `POST /sign`: the issuing authority itself. */
export const signEndpoint: Endpoint = (services) => async (request, response) => {
  const holding = locate(services, request, response);
  const token = bearerToken(request);
  const body = await readBody(request, response, 'application/json');
  const issued = await issue(services, response, {
    holding,
    token,
    power: 'claims',
    read: (ring, caller) => readSignRequest(parseJson(body), ring, caller),
  });
  const expiresAt = new Date(issued.expiresAt * SECOND).toISOString().replace('.000', '');
  sendPrivate(response, { token: issued.token, kid: issued.kid, expiresAt });
};

/** `POST /oauth/token`: a token about the caller itself (RFC 6749 section 4.4, RFC 9068). */
export const tokenEndpoint: Endpoint = (services) => async (request, response) => {
  const holding = locate(services, request, response);
  const body = await readBody(request, response, 'application/x-www-form-urlencoded');
  const form = readForm(decodeUtf8(body));
  const issued = await issue(services, response, {
    holding,
    token: readAssertion(form),
    power: 'token',
    read: (ring, caller) => readTokenRequest(form, ring, caller),
  });
  sendPrivate(response, {
    access_token: issued.token,
    token_type: 'Bearer',
    expires_in: issued.expiresAt - issued.issuedAt,
  });
};

interface Issuing {
  readonly holding: Holding;
  readonly token: string;
  readonly power: Power;
  readonly read: (ring: Keyring, caller: Caller) => TokenRequest;
}

/** The one way to a signature: fresh keys, an authorized caller, a request that is allowed. */
async function issue(services: Services, response: Response, issuing: Issuing) {
  const { holding, token, power, read } = issuing;
  const { authorizer, clock, freshness, log, metrics } = services;
  const algorithm = holding.set?.ring.keys.find((key) => key.state === 'current')?.algorithm;
  let result = 'internal_error';
  try {
    freshness.require();
    const { ring } = signer(holding);
    const caller = await authorizer.authorize(token, power, ring);
    const request = read(ring, caller);
    const issued = await issueToken(holding, request, clock());
    audit(log, exchangeOf(response).requestId, ring, caller, request, issued);
    result = 'signed';
    return issued;
  } catch (error) {
    if (error instanceof Refusal) result = error.code;
    throw error;
  } finally {
    metrics.tokens.inc({ algorithm: algorithm ?? 'none', result });
  }
}

/** One line for each token: who, for which set, with which key, for whom, until when. */
function audit(
  log: Services['log'],
  requestId: string,
  ring: Keyring,
  caller: Caller,
  { type, audience }: TokenRequest,
  { kid, jti, expiresAt }: IssuedToken,
): void {
  const who = { caller: caller.username, callerUid: caller.uid };
  const what = { type, kid, jti, aud: audience, exp: expiresAt };
  const set = setName(ring.owner);
  log.info({ audit: 'TokenSigned', requestId, ...who, set, ...what }, 'Signed a token.');
}

function locate(services: Services, request: Request, response: Response): Holding {
  const { set: segments = [] } = request.params;
  const path = typeof segments === 'string' ? [segments] : segments;
  const holding = services.keyrings.find(requestedLocations(request.get('host'), path));
  if (holding === undefined) throw services.loaded() ? setUnknown() : unavailable();
  exchangeOf(response).holding = holding;
  if (holding.set === undefined) throw unavailable();
  return holding;
}

function unavailable(): Refusal {
  return new Refusal('keyring_unavailable', 'The keys cannot be read now; ask again later.');
}

/** RFC 6750 section 2.1; the scheme in any case. */
function bearerToken(request: Request): string {
  const [, token] = /^bearer +([\w.~+/-]+=*) *$/i.exec(request.get('authorization') ?? '') ?? [];
  if (token !== undefined) return token;
  throw new Refusal(
    'token_required',
    'Send a ServiceAccount token whose audience is the issuer: Authorization: Bearer <token>.',
  );
}

export const MAX_BODY = 64 * 1024;
const raw = express.raw({ type: () => true, limit: MAX_BODY, inflate: false });

/** @throws Refusal `media_type_unsupported`, `body_too_large`; or what Express throws for it. */
async function readBody(request: Request, response: Response, type: string): Promise<Buffer> {
  if (!request.is(type)) {
    throw new Refusal('media_type_unsupported', `Send Content-Type: ${type}, and a body.`);
  }
  await new Promise<void>((resolve, reject) => {
    raw(request, response, (error?: unknown) => (error === undefined ? resolve() : reject(error)));
  });
  return Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
}
