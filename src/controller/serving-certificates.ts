import { mkdir, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DAY, SECOND } from '../api/constants.ts';
import { type Authority, type Certified, issueServingCertificate } from '../keys/authority.ts';
import { sleep } from '../kube/backoff.ts';
import type { Log } from '../telemetry/log.ts';

interface ServingCertificatesOptions {
  /** Who signs now; undefined while nobody can. */
  readonly authority: () => Authority | undefined;
  /** DNS names and IP addresses under which the issuer is reached. */
  readonly names: readonly string[];
  /** A memory volume that the issuer's container mounts; `tls.crt` and `tls.key` stand there. */
  readonly dir: string;
  readonly clock: () => number;
  readonly log: Log;
  readonly signal: AbortSignal;
}

const LIFETIME = 7 * DAY;
const LOOK_EVERY = SECOND;
const RETRY = 5 * SECOND;

/** What was handed over last. */
interface Issued extends Pick<Certified, 'notBefore' | 'notAfter'> {
  /** PEM, of who signed it. */
  readonly by: string;
}

/**
 * Gives the issuer in the same pod a serving certificate, and another at half its life or when
 * another authority signs. Its key is made here, on every replica, and is never in etcd.
 */
export async function handOverServingCertificates(
  options: ServingCertificatesOptions,
): Promise<void> {
  const { authority, clock, log, signal } = options;
  let issued: Issued | undefined;
  while (!signal.aborted) {
    let wait = LOOK_EVERY;
    try {
      const by = authority();
      if (by !== undefined && isDue(issued, by, clock())) issued = await handOver(by, options);
    } catch (error) {
      wait = RETRY;
      log.warn({ err: error, retryInMs: wait }, 'the issuer could not be given its certificate');
    }
    await sleep(wait, signal);
  }
}

/** Whether another certificate is to be issued: also after a clock that was ahead came back. */
export function isDue(issued: Issued | undefined, by: Authority, now: number): boolean {
  if (issued === undefined || issued.by !== by.certificate) return true;
  const { notBefore, notAfter } = issued;
  return now < notBefore || now >= notBefore + (notAfter - notBefore) / 2;
}

async function handOver(by: Authority, options: ServingCertificatesOptions): Promise<Issued> {
  const { names, dir, clock, log } = options;
  const request = { names, lifetime: LIFETIME, now: clock() };
  const { certificate, privateKey, notBefore, notAfter } = await issueServingCertificate(
    by,
    request,
  );
  await replaceTogether(dir, { 'tls.crt': certificate, 'tls.key': privateKey.exportPem() });
  log.info({ names, notAfter: new Date(notAfter) }, 'gave the issuer a serving certificate');
  return { by: by.certificate, notBefore, notAfter };
}

const CURRENT = '..data';

/**
 * Puts files in place as the kubelet does, so that a reader who opens one after the other never
 * holds half of a pair for long: a folder for each version, and one symbolic link that is swapped.
 */
async function replaceTogether(
  dir: string,
  files: Readonly<Record<string, string>>,
): Promise<void> {
  await mkdir(dir, { recursive: true });
  const before = await readdir(dir);
  const version = `..${process.hrtime.bigint()}`;
  await mkdir(join(dir, version));
  for (const [name, content] of Object.entries(files)) {
    await writeFile(join(dir, version, name), content, { mode: 0o640 });
  }
  await rm(join(dir, `${CURRENT}.new`), { force: true });
  await symlink(version, join(dir, `${CURRENT}.new`));
  await rename(join(dir, `${CURRENT}.new`), join(dir, CURRENT));
  for (const name of Object.keys(files)) {
    if (!before.includes(name)) await symlink(join(CURRENT, name), join(dir, name));
  }
  const old = before.filter((name) => name.startsWith('..') && !name.startsWith(CURRENT));
  await Promise.all(old.map((name) => rm(join(dir, name), { recursive: true })));
}
