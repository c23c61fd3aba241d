import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MINUTE, SECOND } from '../api/constants.ts';
import { sleep } from '../kube/backoff.ts';
import type { Kube } from '../kube/client.ts';
import type { Log } from '../telemetry/log.ts';
import { paths } from './objects.ts';

interface HandoverOptions {
  readonly kube: Kube;
  readonly namespace: string;
  /** Whose token it is. */
  readonly serviceAccount: string;
  /** Our own credentials: the CA is handed on from here. */
  readonly ownDir: string;
  /** A memory volume that the issuer's container mounts as its ServiceAccount folder. */
  readonly issuerDir: string;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** The shortest that the API server grants. */
const TOKEN_SECONDS = 600;
const RETRY = 2 * SECOND;

/**
 * Hands the issuer in the same pod a token of its own, smaller ServiceAccount (design section 6),
 * and renews it at half its life. Runs on every replica, until the signal aborts.
 */
export async function handOverIssuerCredentials(options: HandoverOptions): Promise<void> {
  const { log, signal } = options;
  while (!signal.aborted) {
    let wait = RETRY;
    try {
      wait = await handOver(options);
    } catch (error) {
      if (signal.aborted) return;
      log.warn({ err: error, retryInMs: wait }, 'the issuer could not be given its token');
    }
    await sleep(wait, signal);
  }
}

/** @returns how long until it is due again, in milliseconds. */
async function handOver(options: HandoverOptions): Promise<number> {
  const { kube, namespace, serviceAccount, ownDir, issuerDir, signal } = options;
  const { body } = await kube.request('POST', paths.token(namespace, serviceAccount), {
    body: {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { expirationSeconds: TOKEN_SECONDS },
    },
    signal,
  });
  const { token } = (body as { status: { token: string } }).status;
  await mkdir(issuerDir, { recursive: true });
  await replaceFile(join(issuerDir, 'ca.crt'), await readFile(join(ownDir, 'ca.crt'), 'utf8'));
  await replaceFile(join(issuerDir, 'namespace'), namespace);
  await replaceFile(join(issuerDir, 'token'), token);
  return Math.max(MINUTE, (TOKEN_SECONDS * SECOND) / 2);
}

/** A reader sees the old content or the new, never half of it. */
async function replaceFile(path: string, content: string): Promise<void> {
  await writeFile(`${path}.new`, content, { mode: 0o640 });
  await rename(`${path}.new`, path);
}
