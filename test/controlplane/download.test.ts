import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { type Archive, download } from './download.ts';
import type { Progress } from './progress.ts';

const quiet: Progress = {
  phase: () => undefined,
  update: () => undefined,
  say: () => undefined,
  stop: () => undefined,
};

let scratch: string;
let tarball: Buffer;

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'signet-download-'));
  mkdirSync(join(scratch, 'bin'));
  writeFileSync(join(scratch, 'bin', 'etcd'), '#!/bin/sh\n', { mode: 0o755 });
  execFileSync('tar', ['-czf', join(scratch, 'archive.tar.gz'), '-C', scratch, 'bin']);
  tarball = readFileSync(join(scratch, 'archive.tar.gz'));
});

afterAll(() => rmSync(scratch, { recursive: true }));

const sha512 = (content: Buffer): string => createHash('sha512').update(content).digest('hex');

/** Serves with `listener` and downloads `/archive` from it. */
async function downloadFrom(
  listener: RequestListener,
  { checksum = sha512(tarball), patience = 20_000, progress = quiet } = {},
): Promise<{ folder: string; problem: Error | undefined }> {
  const folder = mkdtempSync(join(scratch, 'into-'));
  const server = createServer(listener).listen(0, '127.0.0.1');
  onTestFinished(() => close(server));
  await once(server, 'listening');
  const archive: Archive = {
    name: 'a test archive',
    members: { etcd: 'bin/etcd' },
    platforms: { here: { url: `${urlOf(server)}/archive`, sha512: checksum } },
  };
  const options = { platform: 'here', patience };
  const problem = await download(archive, folder, progress, options).catch((error: Error) => error);
  return { folder, problem: problem ?? undefined };
}

function urlOf(server: Server): string {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not listening');
  return `http://127.0.0.1:${address.port}`;
}

function close(server: Server): void {
  server.closeAllConnections();
  server.close();
}

test('unpacks the programs of an archive whose checksum is the pinned one', async () => {
  const { folder, problem } = await downloadFrom((_, response) => response.end(tarball));
  expect(problem).toBeUndefined();
  expect(readdirSync(folder)).toEqual(['etcd']);
});

test('tells how much has come and how long the rest will take', async () => {
  const told: string[] = [];
  const update: Progress['update'] = (share, detail) => told.push(`${share} ${detail}`);
  await downloadFrom((_, response) => response.end(tarball), { progress: { ...quiet, update } });
  expect(told.at(-1)).toMatch(/^1 0 of 0 MB, about 0 s left,$/);
});

test('refuses an archive with another checksum and leaves nothing of it', async () => {
  const { folder, problem } = await downloadFrom(
    (_, response) => response.end(Buffer.concat([tarball, Buffer.from('x')])),
    { checksum: sha512(tarball) },
  );
  expect(problem?.message).toMatch(/\/archive has the checksum [0-9a-f]{128}, not [0-9a-f]{128}$/);
  expect(readdirSync(folder)).toEqual([]);
});

test('refuses an archive that ends early', async () => {
  const { folder, problem } = await downloadFrom((_, response) => {
    response.writeHead(200, { 'content-length': tarball.length });
    response.write(tarball.subarray(0, 20), () => response.destroy());
  });
  expect(problem).toBeInstanceOf(Error);
  expect(readdirSync(folder)).toEqual([]);
});

test('follows a redirect', async () => {
  const { folder } = await downloadFrom((request, response) => {
    if (request.url === '/moved') response.end(tarball);
    else response.writeHead(302, { location: '/moved' }).end();
  });
  expect(readdirSync(folder)).toEqual(['etcd']);
});

test.each([
  ['redirects in a circle', 302, '/archive', 'redirects more than 3 times'],
  ['redirects to another scheme', 302, 'ftp://example.com/', 'redirects to ftp://example.com/'],
  ['redirects to nowhere', 302, undefined, 'answered 302'],
  ['answers with an error', 404, undefined, 'answered 404'],
])('gives up when the server %s', async (_, status, location, message) => {
  const { problem } = await downloadFrom((_request, response) => {
    response.writeHead(status, location === undefined ? {} : { location }).end('no');
  });
  expect(problem?.message).toContain(message);
});

test('gives up when nothing answers in time', async () => {
  const { problem } = await downloadFrom(() => undefined, { patience: 300 });
  expect(problem?.message).toContain('no answer within 0.3 s');
});
