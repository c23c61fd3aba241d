import type { Keyring } from '../keys/keyring.ts';
import { chooseAudience } from './audience.ts';
import type { Caller } from './authorize.ts';
import { type Form, readForm } from './form.ts';
import { chooseGrant } from './grants.ts';
import { issue } from './issue.ts';
import type { TokenRequest } from './issue-token.ts';
import { locate } from './locate.ts';
import { Refusal } from './refusals.ts';
import type { Endpoint } from './services.ts';

/** `POST /oauth/token`: an access token about the caller itself (RFC 9068). */
export const tokenEndpoint: Endpoint = (services) => async (exchange) => {
  const find = () => locate(services, exchange);
  find();
  const form = await readForm(services, exchange);
  const grant = chooseGrant(form);
  await issue(services, exchange, {
    find,
    token: grant.credential(form),
    power: 'token',
    rejected: grant.rejected,
    receive: () => form,
    read: readTokenRequest,
    answer: ({ token, issuedAt, expiresAt }) => ({
      access_token: token,
      ...grant.extra(form),
      token_type: 'Bearer',
      expires_in: expiresAt - issuedAt,
    }),
  });
};

/**
 * An access token about the caller itself (RFC 9068): `sub` is the ServiceAccount, whatever else
 * was sent. `resource` (RFC 8707) and `audience` say for whom it is.
 *
 * @throws Refusal `token_invalid`, `scope_unknown`, `audience_…`.
 */
function readTokenRequest(form: Form, ring: Keyring, caller: Caller): TokenRequest {
  const { username } = caller;
  const clientId = form.get('client_id');
  if (!username.startsWith('system:serviceaccount:') || (clientId && clientId !== username)) {
    throw new Refusal(
      'token_invalid',
      'Send the token of a ServiceAccount, and as client_id its user name or nothing.',
    );
  }
  if (form.get('scope')) {
    throw new Refusal('scope_unknown', 'Leave out scope: this issuer knows none.');
  }
  const audiences = [...form.getAll('resource').map(readResource), ...form.getAll('audience')];
  return {
    type: 'access_token',
    claims: { sub: username, client_id: username },
    audience: chooseAudience(
      ring,
      audiences.filter((one) => one !== ''),
    ),
  };
}

/** RFC 8707 section 2: an absolute URI without a fragment. */
function readResource(resource: string): string {
  if (URL.canParse(resource) && !resource.includes('#')) return resource;
  throw new Refusal('audience_invalid', 'A resource is an absolute URI without a fragment.');
}
