import { type Algorithm, sign } from './algorithms.ts';
import type { PrivateKey } from './private-key.ts';

export interface JwtInput {
  readonly algorithm: Algorithm;
  readonly kid: string;
  readonly privateKey: PrivateKey;
  /** `typ` of the header: `JWT`, or `at+jwt` for an access token (RFC 9068). */
  readonly type: string;
  /** The payload as it is: the caller sets `iss`, `exp` and the rest, in seconds. */
  readonly claims: Readonly<Record<string, unknown>>;
}

/** A signed JWT (RFC 7519) in the compact form of JWS (RFC 7515 section 7.1). */
export async function signJwt(input: JwtInput): Promise<string> {
  const { algorithm, kid, privateKey, type, claims } = input;
  const signed = `${segment({ alg: algorithm, typ: type, kid })}.${segment(claims)}`;
  const signature = await sign(algorithm, privateKey, Buffer.from(signed));
  return `${signed}.${Buffer.from(signature).toString('base64url')}`;
}

function segment(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
