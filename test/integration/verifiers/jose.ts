/** A verifier that lives long: openid-client finds the keys, jose verifies with them. */
import { createInterface } from 'node:readline';
import { createRemoteJWKSet, errors, jwtVerify } from 'jose';
import { discovery } from 'openid-client';

const [issuer = '', audience = ''] = process.argv.slice(2);
const found = await discovery(new URL(issuer), 'verifier');
const { jwks_uri, id_token_signing_alg_values_supported: algorithms } = found.serverMetadata();
if (jwks_uri === undefined || !Array.isArray(algorithms))
  throw new Error('discovery lacks a member');
const jwks = createRemoteJWKSet(new URL(jwks_uri));
console.log('ready');
for await (const token of createInterface({ input: process.stdin })) {
  try {
    await jwtVerify(token, jwks, { issuer, audience, algorithms });
    console.log('ok');
  } catch (error) {
    if (!(error instanceof errors.JOSEError)) throw error;
    console.log(`error ${error.code}`);
  }
}
