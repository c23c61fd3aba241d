// A gateway that cannot read a JWKS: it knows the issuer from the ConfigMap mounted at /keys and
// from nothing else. It reads the files when a request comes, so it follows without a restart.
import { createPublicKey, verify } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';

const HASHES = { RS256: 'sha256', ES256: 'sha256' };

function admits(jwt) {
  const [header = '', payload = '', signature = ''] = jwt.split('.');
  const { kid, alg } = JSON.parse(Buffer.from(header, 'base64url'));
  const { iss, exp } = JSON.parse(Buffer.from(payload, 'base64url'));
  const file = `/keys/${kid}.pub`;
  if (!/^[\w-]{43}$/.test(kid) || !existsSync(file)) return false;
  const key = { key: createPublicKey(readFileSync(file)), dsaEncoding: 'ieee-p1363' };
  const signed = Buffer.from(`${header}.${payload}`);
  const genuine = verify(HASHES[alg], signed, key, Buffer.from(signature, 'base64url'));
  return genuine && iss === readFileSync('/keys/issuer', 'utf8').trim() && exp > Date.now() / 1_000;
}

createServer((request, response) => {
  const jwt = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1] ?? '';
  let status = 401;
  try {
    if (admits(jwt)) status = 200;
  } catch (error) {
    console.error(`refused: ${error.message}`);
  }
  response.writeHead(status).end();
}).listen(8080);
process.on('SIGTERM', () => process.exit());
