import type { Keyring } from '../keys/keyring.ts';
import { chooseAudience } from './audience.ts';
import type { Caller } from './authorize.ts';
import { readBody } from './body.ts';
import { CLIENT_CREDENTIALS } from './discovery.ts';
import { issue } from './issue.ts';
import type { TokenRequest } from './issue-token.ts';
import { decodeUtf8 } from './json.ts';
import { locate } from './locate.ts';
import { Refusal } from './refusals.ts';
import { sendPrivate } from './respond.ts';
import type { Endpoint } from './services.ts';

/** RFC 7523 section 2.2. */
const JWT_BEARER = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
/** RFC 8707 section 2 allows this one to be sent several times; RFC 6749 section 3.2 no other. */
const REPEATABLE = 'resource';

/** `POST /oauth/token`: a token about the caller itself (RFC 6749 section 4.4, RFC 9068). */
export const tokenEndpoint: Endpoint = (services) => async (request, response) => {
  const find = () => locate(services, request, response);
  find();
  const body = await readBody(request, response, 'application/x-www-form-urlencoded');
  const form = readForm(decodeUtf8(body));
  const issued = await issue(services, response, {
    find,
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

/** @throws Refusal `parameter_repeated`. */
function readForm(text: string): URLSearchParams {
  const form = new URLSearchParams(text);
  const names = [...form.keys()].filter((name) => name !== REPEATABLE);
  if (new Set(names).size < names.length) {
    throw new Refusal('parameter_repeated', 'Send each parameter once (RFC 6749 section 3.2).');
  }
  return form;
}

/**
 * The ServiceAccount token by which the caller proves who it is (RFC 7523 section 2.2).
 * @throws Refusal `grant_unsupported`, `token_required`.
 */
function readAssertion(form: URLSearchParams): string {
  if (!form.get('grant_type')) throw new Refusal('request_invalid', 'Send a grant_type.');
  if (form.get('grant_type') !== CLIENT_CREDENTIALS) {
    throw new Refusal('grant_unsupported', `Set grant_type to ${CLIENT_CREDENTIALS}.`);
  }
  const assertion = form.get('client_assertion');
  if (!assertion || form.get('client_assertion_type') !== JWT_BEARER) {
    throw new Refusal(
      'token_required',
      `Send a ServiceAccount token as client_assertion, with client_assertion_type=${JWT_BEARER}.`,
    );
  }
  return assertion;
}

/**
 * An access token about the caller itself (RFC 9068): `sub` is the ServiceAccount, whatever else
 * was sent. `resource` (RFC 8707) and `audience` say for whom it is.
 *
 * @throws Refusal `token_invalid`, `scope_unknown`, `audience_…`.
 */
function readTokenRequest(form: URLSearchParams, ring: Keyring, caller: Caller): TokenRequest {
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
