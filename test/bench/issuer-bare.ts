/**
 * The server that the issuer is measured against: node:http and a key, nothing else.
 *
 *   node test/bench/issuer-bare.ts RS256 | ES256             # signs what is posted
 *   node test/bench/issuer-bare.ts JWKS <body>               # answers with these bytes
 *
 * Prints its URL once it listens.
 */
import { generateKeyPairSync, sign } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

const signOnThreadPool = promisify(sign);

const ANSWERS: Readonly<Record<string, (bytes: Buffer) => Answer>> = {
  RS256() {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    return posted((bytes) => signOnThreadPool('sha256', bytes, privateKey));
  },
  ES256() {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const key = { key: privateKey, dsaEncoding: 'ieee-p1363' } as const;
    return posted((bytes) => sign('sha256', bytes, key));
  },
  JWKS: (bytes) => (_request, response) => {
    response.writeHead(200, {
      'Content-Type': 'application/jwk-set+json',
      'Content-Length': bytes.length,
    });
    response.end(bytes);
  },
};

/** Answers with a compact JWS (RFC 7515) over the body, as it came. */
function posted(signer: (bytes: Buffer) => Buffer | Promise<Buffer>): Answer {
  const header = Buffer.from('{"alg":"none of the business of a benchmark"}').toString('base64url');
  return (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', async () => {
      const signed = `${header}.${Buffer.concat(chunks).toString('base64url')}`;
      const signature = await signer(Buffer.from(signed));
      const body = `{"token":"${signed}.${signature.toString('base64url')}"}`;
      response.writeHead(200, {
        'Content-Type': 'application/json',
        'Content-Length': Buffer.byteLength(body),
      });
      response.end(body);
    });
  };
}

const [kind = '', body = ''] = process.argv.slice(2);
const answer = ANSWERS[kind];
if (answer === undefined) throw new Error(`one of ${Object.keys(ANSWERS).join(', ')}`);
const server = createServer(answer(Buffer.from(body)));
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo;
  console.log(`http://127.0.0.1:${port}`);
});
