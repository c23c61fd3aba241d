/** A third party's view: openid-client and jose, which know nothing of Signet. */
import {
  createRemoteJWKSet,
  decodeJwt,
  decodeProtectedHeader,
  errors,
  type JSONWebKeySet,
  jwtVerify,
} from 'jose';
import {
  type ClientAuth,
  type Configuration,
  clientCredentialsGrant,
  discovery,
} from 'openid-client';

const JWT_BEARER = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

/** Who proves itself by a ServiceAccount token (RFC 7523). */
export interface Client {
  /** `system:serviceaccount:<namespace>:<name>` */
  readonly id: string;
  /** A ServiceAccount token with the issuer as its audience. */
  readonly assertion: string;
}

/** Finds the token endpoint by discovery and gets an access token there. */
export async function requestToken(
  issuer: string,
  client: Client,
  resource: string,
): Promise<string> {
  const authentication: ClientAuth = (_server, _client, body) => {
    body.set('client_id', client.id);
    body.set('client_assertion_type', JWT_BEARER);
    body.set('client_assertion', client.assertion);
  };
  const configuration = await discover(issuer, client.id, authentication);
  const answer = await clientCredentialsGrant(configuration, { resource });
  return answer.access_token;
}

/** What a verifier says of a token. */
export type Verdict = 'verifies' | 'no key for it' | 'refused';

/** Verifies as a resource server that has nothing cached: discovery, JWKS, signature, claims. */
export async function verify(issuer: string, token: string, audience: string): Promise<Verdict> {
  const { jwks_uri } = (await discover(issuer, 'resource-server')).serverMetadata();
  if (jwks_uri === undefined) throw new Error(`discovery of ${issuer} names no jwks_uri`);
  try {
    await jwtVerify(token, createRemoteJWKSet(new URL(jwks_uri)), { issuer, audience });
    return 'verifies';
  } catch (error) {
    if (error instanceof errors.JWKSNoMatchingKey) return 'no key for it';
    if (error instanceof errors.JOSEError) return 'refused';
    throw error;
  }
}

/** The kids that a verifier finds now. */
export async function publishedKids(issuer: string): Promise<readonly string[]> {
  const { jwks_uri = '' } = (await discover(issuer, 'resource-server')).serverMetadata();
  const { keys }: JSONWebKeySet = JSON.parse(await (await fetch(jwks_uri)).text());
  return keys.flatMap(({ kid }) => kid ?? []);
}

export function kidOf(token: string): string {
  const { kid } = decodeProtectedHeader(token);
  if (kid === undefined) throw new Error('the token names no key');
  return kid;
}

/** When the token expires, in Unix ms. */
export function expiryOf(token: string): number {
  const { exp } = decodeJwt(token);
  if (exp === undefined) throw new Error('the token never expires');
  return exp * 1_000;
}

function discover(issuer: string, id: string, auth?: ClientAuth): Promise<Configuration> {
  return discovery(new URL(issuer), id, undefined, auth);
}
