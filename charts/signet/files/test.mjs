// `helm test`: gets a token as a workload would, and verifies it as a resource server would.
import { createPublicKey, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { setTimeout as pause } from 'node:timers/promises';

const { ISSUER, SERVICE_HOST, SERVICE_PORT } = process.env;
const { hostname, host, pathname } = new URL(ISSUER);
const TIMEOUT = 10_000;
const PATIENCE = 120_000;

/** To the Service, under the name that clients outside of the cluster use. */
function call(path, { method = 'GET', body = '' } = {}) {
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        ...{ host: SERVICE_HOST, port: SERVICE_PORT, servername: hostname, timeout: TIMEOUT },
        ...{ method, path: pathname + path },
        headers: { Host: host, 'Content-Type': 'application/x-www-form-urlencoded' },
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (piece) => {
          text += piece;
        });
        response.on('end', () => {
          if (response.statusCode === 200) resolve(JSON.parse(text));
          else reject(new Error(`${method} ${path} answered ${response.statusCode} ${text}`));
        });
      },
    );
    sent.on('timeout', () => sent.destroy(new Error(`${path}: no answer in 10 s`)));
    sent.on('error', reject).end(body);
  });
}

async function mintAndVerify() {
  const body = new URLSearchParams({
    grant_type: 'client_credentials',
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: readFileSync('/var/run/secrets/signet/token', 'utf8'),
  }).toString();
  const { access_token: token } = await call('/oauth/token', { method: 'POST', body });
  const [header, payload, signature] = token.split('.');
  const { kid } = JSON.parse(Buffer.from(header, 'base64url'));
  const { iss, sub } = JSON.parse(Buffer.from(payload, 'base64url'));
  const { keys } = await call('/.well-known/jwks.json');
  const jwk = keys.find((key) => key.kid === kid);
  if (jwk === undefined) throw new Error(`the JWKS has no key ${kid}`);
  const key = { key: createPublicKey({ key: jwk, format: 'jwk' }), dsaEncoding: 'ieee-p1363' };
  const signed = Buffer.from(`${header}.${payload}`);
  if (!verify('sha256', signed, key, Buffer.from(signature, 'base64url')) || iss !== ISSUER) {
    throw new Error('the token does not verify');
  }
  return `a token of ${iss} about ${sub} verifies with the key ${kid}`;
}

for (const deadline = Date.now() + PATIENCE; ; await pause(1_000)) {
  try {
    process.stdout.write(`${await mintAndVerify()}\n`);
    break;
  } catch (error) {
    process.stdout.write(`${error.message}\n`);
    if (Date.now() > deadline) process.exit(1);
  }
}
