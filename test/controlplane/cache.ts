import {
  linkSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { homedir, hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isAlive, isCode } from './supervise.ts';

const HEARTBEAT = 5_000;
/** A lock that nobody has touched for so long has lost its holder, even on another machine. */
const ABANDONED = 60_000;

/** Where what is built or downloaded is kept between checkouts. */
export function cacheDirectory(): string {
  const { XDG_CACHE_HOME } = process.env;
  return join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'signet', 'controlplane');
}

/**
 * Runs `work` while no other process does, for the same lock file. The lock names its holder and
 * is touched while it is held; one whose holder is dead is broken.
 *
 * @param onWait called once, with the holder, when somebody else has the lock.
 */
export async function withLock<T>(
  file: string,
  work: () => Promise<T>,
  onWait?: (holder: string) => void,
): Promise<T> {
  await mkdir(dirname(file), { recursive: true });
  let told = false;
  while (!take(file)) {
    if (breakIfAbandoned(file)) continue;
    if (!told) onWait?.(holderOf(file) ?? 'another process');
    told = true;
    await delay(200);
  }
  const heartbeat = setInterval(touch, HEARTBEAT, file);
  try {
    return await work();
  } finally {
    clearInterval(heartbeat);
    rmSync(file, { force: true });
  }
}

/** Linking makes the lock appear together with its content, so nobody reads a half-written one. */
function take(file: string): boolean {
  const draft = `${file}.${process.pid}.${Math.random().toString(36).slice(2)}`;
  writeFileSync(draft, `${process.pid} ${hostname()}`);
  try {
    linkSync(draft, file);
    return true;
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

/** @returns true when the lock is gone, so that taking it is worth another try. */
function breakIfAbandoned(file: string): boolean {
  const holder = holderOf(file);
  if (holder === undefined) return true;
  if (!isAbandoned(file, holder)) return false;
  // Two may see the same dead holder: the one that moves the lock away must find that holder in
  // it, or else give back what the other has taken meanwhile.
  const aside = `${file}.broken.${process.pid}`;
  try {
    renameSync(file, aside);
    if (holderOf(aside) !== holder) linkSync(aside, file);
  } catch (error) {
    if (!isCode(error, 'ENOENT') && !isCode(error, 'EEXIST')) throw error;
  } finally {
    rmSync(aside, { force: true });
  }
  return true;
}

function isAbandoned(file: string, holder: string): boolean {
  const [pid, host] = holder.split(' ');
  if (host === hostname() && !isAlive(Number(pid))) return true;
  const touched = statSync(file, { throwIfNoEntry: false })?.mtimeMs;
  return touched !== undefined && Date.now() - touched > ABANDONED;
}

function holderOf(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

function touch(file: string): void {
  const now = new Date();
  try {
    utimesSync(file, now, now);
  } catch (error) {
    if (!isCode(error, 'ENOENT')) throw error;
  }
}
