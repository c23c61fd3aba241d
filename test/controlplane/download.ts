import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdtemp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import type { Program } from './binaries.ts';
import type { Progress } from './progress.ts';

/** From the first request to the first byte; a machine without internet goes on at once. */
const CONNECT_TIMEOUT = 5_000;
/** A transfer without a byte for so long is given up. */
const STALL_TIMEOUT = 20_000;
const MOST_REDIRECTS = 3;

/** The newest that envtest is published for: older than what go.mod builds, and told so. */
const VERSION = 'v1.36.0';

interface Pinned {
  readonly url: string;
  readonly sha512: string;
}

export interface Archive {
  readonly name: string;
  /** Path in the archive of each program that we take. */
  readonly members: Readonly<Partial<Record<Program, string>>>;
  /** By `<platform>-<arch>`, as Node names them. */
  readonly platforms: Readonly<Record<string, Pinned>>;
}

function envtest(platform: string, sha512: string): Pinned {
  const folder = 'https://github.com/kubernetes-sigs/controller-tools/releases/download';
  return { url: `${folder}/envtest-${VERSION}/envtest-${VERSION}-${platform}.tar.gz`, sha512 };
}

function server(platform: string, sha512: string): Pinned {
  return { url: `https://dl.k8s.io/${VERSION}/kubernetes-server-${platform}.tar.gz`, sha512 };
}

/** Checksums: controller-tools' envtest-releases.yaml, and the Kubernetes changelog. */
export const ARCHIVES: readonly Archive[] = [
  {
    name: `envtest ${VERSION}`,
    members: {
      etcd: 'controller-tools/envtest/etcd',
      'kube-apiserver': 'controller-tools/envtest/kube-apiserver',
    },
    platforms: {
      'linux-x64': envtest(
        'linux-amd64',
        '302d6a4c3b7d79b8a6168cd9fd5f18e718048211d25012d969d320e06b39672d17338bcd008c29adf98b41048a6f7d80c90ab0165b4b861497ef74c7bc6c1531',
      ),
      'linux-arm64': envtest(
        'linux-arm64',
        '16b416776b6f5e6a13be33b7e9f248cbffb71b40bc286436c93b83239b965d07b902ce0da75b721aea9356a764ca896154bc420618bc7fb9d1dc4a6b2fa49405',
      ),
      'darwin-x64': envtest(
        'darwin-amd64',
        '2f73d7c2c1408c3334f978c2c7f8a64bc691277d1b482930ae516b425882464f8970b0e47010520cdd29f1e756adfab2721a53857a976a462c16edcef9604644',
      ),
      'darwin-arm64': envtest(
        'darwin-arm64',
        '4b3542f707ffaa4bc0d5a07d25290323ff0ad1efd90560571705daf958db772fd8e78b5d6ae878df1840d8d39c1250ebfaf8518bfd02b10757ae445ec0cafe9e',
      ),
    },
  },
  {
    name: `the Kubernetes server ${VERSION}`,
    members: { 'kube-controller-manager': 'kubernetes/server/bin/kube-controller-manager' },
    platforms: {
      'linux-x64': server(
        'linux-amd64',
        '1c64da92575451c2c7ff97c79b772e603995f8e76da1371a6b0746aaa27b65dce81c4d734cbb50f40e71486a8e08df36f14e12974f97d4d29e41f23a172a6a25',
      ),
      'linux-arm64': server(
        'linux-arm64',
        '7f95e451baedd9368a2fa637afa84c9ed1b958736540ca27a379e5e292e1a10c5d9a29539f833047574bf5d3b6f907f32dee5735acecc11aa4686f078108dcf8',
      ),
    },
  },
];

/**
 * Downloads an archive, verifies its checksum, and puts its programs into `folder`. Nothing is
 * unpacked, and nothing is left behind, unless the checksum is the pinned one.
 *
 * @param options.platform as Node names it, `linux-x64`; default: this one.
 * @param options.patience milliseconds until the answer must have begun.
 * @throws Error saying what went wrong; the caller then builds instead.
 */
export async function download(
  archive: Archive,
  folder: string,
  progress: Progress,
  { platform = `${process.platform}-${process.arch}`, patience = CONNECT_TIMEOUT } = {},
): Promise<void> {
  const pinned = archive.platforms[platform];
  if (pinned === undefined) throw new Error(`none is published for ${platform}`);
  const scratch = await mkdtemp(join(folder, 'download-'));
  try {
    const file = join(scratch, 'archive.tar.gz');
    progress.phase(`downloading ${archive.name}`);
    const sha512 = await fetchTo(await connect(pinned.url, patience), file, progress);
    if (sha512 !== pinned.sha512) {
      throw new Error(`${pinned.url} has the checksum ${sha512}, not ${pinned.sha512}`);
    }
    progress.phase(`unpacking ${archive.name}`);
    const members = Object.entries(archive.members);
    const paths = members.map(([, path]) => path);
    await promisify(execFile)('tar', ['-xzf', file, '-C', scratch, ...paths]);
    for (const [program, path] of members) await rename(join(scratch, path), join(folder, program));
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** @returns the SHA-512 of what was written, in hex. */
async function fetchTo(response: Response, file: string, progress: Progress): Promise<string> {
  const { url } = response;
  const length = Number(response.headers.get('content-length'));
  const hash = createHash('sha512');
  const stalled = new AbortController();
  const stall = (): void => stalled.abort(new Error(`${url} stopped sending`));
  let timer = setTimeout(stall, STALL_TIMEOUT);
  const begun = performance.now();
  let received = 0;
  const meter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      clearTimeout(timer);
      timer = setTimeout(stall, STALL_TIMEOUT);
      hash.update(chunk);
      received += chunk.length;
      const share = received / (length || Number.POSITIVE_INFINITY);
      progress.update(share, amount(received, length, performance.now() - begun));
      done(null, chunk);
    },
  });
  if (response.body === null) throw new Error(`${url} answered without a body`);
  try {
    const body = Readable.fromWeb(response.body);
    await pipeline(body, meter, createWriteStream(file), { signal: stalled.signal });
  } finally {
    clearTimeout(timer);
  }
  return hash.digest('hex');
}

/** `12 of 90 MB, about 40 s left` @param length 0 where the server does not tell it. */
function amount(received: number, length: number, milliseconds: number): string {
  const megabytes = (bytes: number): string => `${Math.round(bytes / 1e6)}`;
  if (length === 0) return `${megabytes(received)} MB`;
  const left = ((length - received) / received) * (milliseconds / 1_000);
  return `${megabytes(received)} of ${megabytes(length)} MB, about ${Math.ceil(left)} s left,`;
}

/** Follows few redirects, never to a weaker scheme, all within one deadline. */
async function connect(url: string, patience: number): Promise<Response> {
  const deadline = new AbortController();
  const late = new Error(`no answer within ${patience / 1_000} s`);
  const timer = setTimeout(() => deadline.abort(late), patience);
  try {
    let at = new URL(url);
    for (let hops = 0; hops <= MOST_REDIRECTS; hops += 1) {
      const response = await fetch(at, { redirect: 'manual', signal: deadline.signal }).catch(
        explain,
      );
      if (response.ok) return response;
      await response.body?.cancel();
      const location = response.headers.get('location');
      if (location === null) throw new Error(`${at.href} answered ${response.status}`);
      const next = new URL(location, at);
      if (next.protocol !== at.protocol) throw new Error(`${at.href} redirects to ${next.href}`);
      at = next;
    }
    throw new Error(`${url} redirects more than ${MOST_REDIRECTS} times`);
  } finally {
    clearTimeout(timer);
  }
}

/** fetch says only that it failed; why is in the cause. */
function explain(error: Error): never {
  throw error.cause instanceof Error ? error.cause : error;
}
