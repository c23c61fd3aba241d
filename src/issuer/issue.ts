import type { Keyring } from '../keys/keyring.ts';
import { peerOf } from '../telemetry/connections.ts';
import type { Caller, Power } from './authorize.ts';
import { type Exchange, setName } from './exchange.ts';
import { type IssuedToken, issueToken, signer, type TokenRequest } from './issue-token.ts';
import { sameSet } from './keyrings.ts';
import { refuseAfter } from './limits.ts';
import { type Found, lapsed, unavailable } from './locate.ts';
import { Refusal, type RefusalCode } from './refusals.ts';
import { sendPrivate } from './respond.ts';
import type { Services } from './services.ts';

export interface Issuing<Body> {
  /** The set as it stands at that moment. */
  readonly find: () => Found;
  /** The caller's ServiceAccount token. */
  readonly token: string;
  readonly power: Power;
  /** The code of a refusal of that token; default `token_invalid`. */
  readonly rejected?: RefusalCode | undefined;
  /** Takes what was sent, once it is known who sends it. */
  readonly receive: () => Body | Promise<Body>;
  /** Reads what is asked for. */
  readonly read: (body: Body, ring: Keyring, caller: Caller) => TokenRequest;
  readonly answer: (issued: IssuedToken) => object;
}

/**
 * The one way to a signature: fresh keys, a caller who may, a request that is allowed. Answers when
 * the turn of the event loop ends.
 */
export async function issue<Body>(
  services: Services,
  exchange: Exchange,
  { find, token, power, rejected = 'token_invalid', receive, read, answer }: Issuing<Body>,
): Promise<void> {
  const { authorizer, clock, freshness, rates } = services;
  const before = find();
  freshness.require(before);
  signer(before);
  try {
    const caller = await authorizer.authorize(token, power, before.set.ring, () =>
      refuseAfter(rates.peer.take(peerOf(exchange.request.socket.remoteAddress))),
    );
    refuseAfter(rates.caller.take(caller.username));
    const body = await receive();
    // That took a while: what signs is in the JWKS served now, and was confirmed within R (I14).
    const found = find();
    freshness.require(found);
    if (!sameSet(before, found)) throw unavailable();
    const { ring } = found.set;
    const asked = read(body, ring, caller);
    const issued = await issueToken(found, asked, clock());
    sendPrivate(services, exchange, answer(issued), () => {
      stillStands(services, find(), issued);
      record(services, exchange, ring, caller, asked, issued);
    });
  } catch (error) {
    throw isRejection(error) ? new Refusal(rejected, error.message) : error;
  }
}

/**
 * A signature may have waited its turn for long, as in a process that was stopped: it leaves only
 * while its key is still served, by a replica that was confirmed within R (I14).
 * @throws Refusal `replica_lapsed`, `set_deleted`, `keyring_unavailable`.
 */
function stillStands({ freshness }: Services, after: Found, { kid }: IssuedToken): void {
  freshness.require(after);
  signer(after);
  if (!after.set.ring.keys.some((key) => key.kid === kid)) throw lapsed();
}

function isRejection(error: unknown): error is Refusal {
  return error instanceof Refusal && error.code === 'token_invalid';
}

/** Counts, and one line for each token: who, for which set, with which key, for whom, until when. */
function record(
  { log, metrics }: Services,
  { requestId }: Exchange,
  ring: Keyring,
  caller: Caller,
  { type, audience }: TokenRequest,
  { algorithm, kid, jti, expiresAt }: IssuedToken,
): void {
  metrics.tokens.inc({ algorithm, result: 'signed' });
  const who = { caller: caller.username, callerUid: caller.uid };
  const what = { type, kid, jti, aud: audience, exp: expiresAt };
  const set = setName(ring.owner);
  log.audit({ audit: 'TokenSigned', requestId, ...who, set, ...what }, 'Signed a token.');
}
