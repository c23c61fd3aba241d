import type { Keyring } from '../keys/keyring.ts';
import type { Caller, Power } from './authorize.ts';
import { type Exchange, setName } from './exchange.ts';
import { type IssuedToken, issueToken, signer, type TokenRequest } from './issue-token.ts';
import { sameSet } from './keyrings.ts';
import { peerOf, refuseAfter } from './limits.ts';
import { type Found, unavailable } from './locate.ts';
import { Refusal, type RefusalCode } from './refusals.ts';
import type { Services } from './services.ts';

export interface Issuing {
  /** The set as it stands at that moment. */
  readonly find: () => Found;
  /** The caller's ServiceAccount token. */
  readonly token: string;
  readonly power: Power;
  /** The code of a refusal of that token; default `token_invalid`. */
  readonly rejected?: RefusalCode | undefined;
  /** Reads what is asked for, once it is known who asks. */
  readonly read: (ring: Keyring, caller: Caller) => TokenRequest;
}

/** The one way to a signature: fresh keys, a caller who may, a request that is allowed. */
export async function issue(
  services: Services,
  { request, requestId }: Exchange,
  { find, token, power, rejected = 'token_invalid', read }: Issuing,
): Promise<IssuedToken> {
  const { authorizer, clock, freshness, log, metrics, rates } = services;
  const before = find();
  const current = before.set.ring.keys.find((key) => key.state === 'current');
  let result = 'internal_error';
  try {
    freshness.require(before);
    signer(before);
    const caller = await authorizer.authorize(token, power, before.set.ring, () =>
      refuseAfter(rates.peer.take(peerOf(request.socket.remoteAddress))),
    );
    refuseAfter(rates.caller.take(caller.username));
    // That took a while: what signs is in the JWKS served now, and was confirmed within R (I14).
    const found = find();
    freshness.require(found);
    if (!sameSet(before, found)) throw unavailable();
    const { ring } = found.set;
    const asked = read(ring, caller);
    const issued = await issueToken(found, asked, clock());
    audit(log, requestId, ring, caller, asked, issued);
    result = 'signed';
    return issued;
  } catch (error) {
    const refusal = isRejection(error) ? new Refusal(rejected, error.message) : error;
    if (refusal instanceof Refusal) result = refusal.code;
    throw refusal;
  } finally {
    metrics.tokens.inc({ algorithm: current?.algorithm ?? 'none', result });
  }
}

function isRejection(error: unknown): error is Refusal {
  return error instanceof Refusal && error.code === 'token_invalid';
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
