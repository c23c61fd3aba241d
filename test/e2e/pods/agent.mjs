// A workload of the cluster, in a pod of its own: gets tokens with its own ServiceAccount token and
// verifies them as a resource server does. Plain JavaScript on Node alone, mounted from a ConfigMap.
//
//   node agent.mjs serve                 the pod's program
//   node agent.mjs '/verify?token=…'     asks it, from `kubectl exec`
import { createPublicKey, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { request } from 'node:https';

const PORT = 9000;
const { ISSUER, AUDIENCE } = process.env;
const TOKEN_FILE = '/var/run/secrets/signet/token';
const JWT_BEARER = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const HASHES = { RS256: 'sha256', ES256: 'sha256' };

/** A connection of its own for each request, as the first request of every new client has. */
function call(url, { method = 'GET', body } = {}) {
  return new Promise((resolve, reject) => {
    const headers = body ? { 'Content-Type': 'application/x-www-form-urlencoded' } : {};
    const sent = request(url, { method, headers, agent: false, timeout: 10_000 }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece) => {
        text += piece;
      });
      response.on('end', () => resolve({ status: response.statusCode, text }));
      response.on('error', reject);
    });
    sent.on('timeout', () => sent.destroy(new Error('no answer in 10 s')));
    sent.on('error', reject).end(body);
  });
}

async function callJson(url, options) {
  const { status, text } = await call(url, options);
  if (status !== 200) throw new Error(`${url} answered ${status} ${text}`);
  return JSON.parse(text);
}

/** RFC 7523: client_credentials, with the projected ServiceAccount token as the assertion. */
async function token() {
  const body = new URLSearchParams({
    grant_type: 'client_credentials',
    client_assertion_type: JWT_BEARER,
    client_assertion: readFileSync(TOKEN_FILE, 'utf8'),
    audience: AUDIENCE,
  });
  const url = `${ISSUER}/oauth/token`;
  return (await callJson(url, { method: 'POST', body: body.toString() })).access_token;
}

function decode(part) {
  return JSON.parse(Buffer.from(part, 'base64url').toString());
}

/** As a resource server with nothing cached: discovery, JWKS, signature, claims. */
async function verdict(jwt) {
  const [header, payload, signature] = jwt.split('.');
  const { kid, alg } = decode(header);
  const { iss, aud, exp } = decode(payload);
  const { issuer, jwks_uri } = await callJson(`${ISSUER}/.well-known/openid-configuration`);
  const jwk = (await callJson(jwks_uri)).keys.find((key) => key.kid === kid);
  if (jwk === undefined) return 'no key for it';
  const key = { key: createPublicKey({ key: jwk, format: 'jwk' }), dsaEncoding: 'ieee-p1363' };
  const signed = Buffer.from(`${header}.${payload}`);
  const genuine = verify(HASHES[alg], signed, key, Buffer.from(signature, 'base64url'));
  const meant = iss === issuer && [aud].flat().includes(AUDIENCE) && exp > Date.now() / 1_000;
  return genuine && meant ? 'verifies' : 'refused';
}

/** What clients do while pods come and go: each loop as fast as it is answered. */
const load = { running: false, token: '', counts: {}, failures: [], loops: [] };
const KINDS = {
  // A new token verifies at once for whoever fetches the JWKS.
  token: async () => expectVerdict(await token()),
  // So does one from before whatever happens meanwhile; and at the gateway too.
  'old token': () => expectVerdict(load.token),
  gateway: async () => {
    const status = await gateway(load.token);
    if (status !== 200) throw new Error(`the gateway answered ${status}`);
  },
  jwks: () => callJson(`${ISSUER}/.well-known/jwks.json`),
  'kept connection': async () => {
    const answer = await fetch(`${ISSUER}/.well-known/jwks.json`);
    if (!answer.ok) throw new Error(`answered ${answer.status}`);
    await answer.arrayBuffer();
  },
};

async function expectVerdict(jwt) {
  const found = await verdict(jwt);
  if (found !== 'verifies') throw new Error(`a token: ${found}`);
}

/** What a gateway of the cluster says of a token. */
async function gateway(jwt) {
  const headers = { Authorization: `Bearer ${jwt}` };
  return (await fetch('http://gateway:8080/', { headers })).status;
}

async function startLoad() {
  Object.assign(load, { running: true, token: await token(), counts: {}, failures: [] });
  load.loops = Object.entries(KINDS).map(async ([kind, ask]) => {
    while (load.running) {
      try {
        await ask();
        load.counts[kind] = (load.counts[kind] ?? 0) + 1;
      } catch (error) {
        const cause = error.cause ? ` (${error.cause.code ?? error.cause.message})` : '';
        load.failures.push(`${new Date().toISOString()} ${kind}: ${error.message}${cause}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  });
  return 'started';
}

async function stopLoad() {
  load.running = false;
  await Promise.all(load.loops);
  return { counts: load.counts, failures: load.failures };
}

const ROUTES = {
  '/token': token,
  '/verify': ({ searchParams }) => verdict(searchParams.get('token')),
  '/kids': async () => (await KINDS.jwks()).keys.map(({ kid }) => kid),
  '/load/start': startLoad,
  '/load/report': () => ({ counts: load.counts, failures: load.failures }),
  '/load/stop': stopLoad,
  '/gateway': ({ searchParams }) => gateway(searchParams.get('token')),
};

function serve() {
  const server = createServer(async (asked, answer) => {
    const url = new URL(asked.url, 'http://agent');
    try {
      const body = await ROUTES[url.pathname](url);
      answer.end(JSON.stringify(body));
    } catch (error) {
      answer.writeHead(500).end(JSON.stringify(`${error.message} ${error.cause ?? ''}`.trim()));
    }
  });
  server.listen(PORT, '127.0.0.1');
  process.on('SIGTERM', () => process.exit());
}

async function ask(path) {
  const answer = await fetch(`http://127.0.0.1:${PORT}${path}`);
  process.stdout.write(await answer.text());
  if (!answer.ok) process.exitCode = 1;
}

const [what] = process.argv.slice(2);
if (what === 'serve') serve();
else await ask(what);
