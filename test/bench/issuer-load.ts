/** Load, and what the processor could do without anything around it. */
import { type ChildProcess, execFile, execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { spawnGuarded } from '../controlplane/supervise.ts';

const run = promisify(execFile);

/** One request, or several that are sent in turn over all connections. */
export interface Target {
  readonly url: string;
  /** Absent: GET. */
  readonly post?: { readonly body: string; readonly tokens: readonly string[] };
}

export interface LoadOptions {
  readonly connections: number;
  readonly seconds: number;
  /** Requests a second, come at random; absent: as many as are answered. */
  readonly rate?: number;
}

export interface Load {
  readonly perSecond: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
}

/** Debian's wrk, installed where there is none. @throws Error saying what to type. */
export function requireWrk(): void {
  if (spawnSync('wrk', ['-v']).error === undefined) return;
  console.log('… apt-get install wrk, which is not here yet');
  const { status } = spawnSync('apt-get', ['install', '--yes', 'wrk'], { stdio: 'ignore' });
  if (status !== 0) throw new Error('wrk is missing: type sudo apt-get install wrk');
}

/** @param dir - a folder for the script that tells wrk what to send. */
export async function load(dir: string, target: Target, options: LoadOptions): Promise<Load> {
  const { connections, seconds } = options;
  const script = join(dir, 'wrk.lua');
  writeFileSync(script, scriptFor(target, options));
  const { stdout } = await run('wrk', [
    ...['--threads', '1', '--connections', `${connections}`, '--duration', `${seconds}s`],
    ...['--script', script, target.url],
  ]);
  const last = stdout.trimEnd().split('\n').at(-1) ?? '';
  const { failed, ...result } = JSON.parse(last) as Load & { readonly failed: number };
  if (failed > 0) throw new Error(`${failed} requests to ${target.url} failed:\n${stdout}`);
  return result;
}

/** Requests are made once, before the first is sent; Lua then only counts. */
function scriptFor({ post }: Target, { rate }: LoadOptions): string {
  const requests =
    post === undefined
      ? ['wrk.format("GET")']
      : post.tokens.map((token) => {
          const headers = `{["Content-Type"]="application/json",["Authorization"]="Bearer ${token}"}`;
          return `wrk.format("POST", nil, ${headers}, ${JSON.stringify(post.body)})`;
        });
  return [
    'local requests, at = {}, 0',
    'function init()',
    ...requests.map((made, index) => `  requests[${index + 1}] = ${made}`),
    'end',
    `function request() at = at % ${requests.length} + 1; return requests[at] end`,
    rate === undefined ? '' : pace(1_000 / rate),
    'function done(summary, latency)',
    '  local e = summary.errors',
    '  local failed = e.connect + e.read + e.write + e.status + e.timeout',
    '  io.write(string.format(\'{"perSecond":%f,"p50":%f,"p99":%f,"failed":%d}\\n\',',
    '    summary.requests / summary.duration * 1e6,',
    '    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, failed))',
    'end',
  ].join('\n');
}

/**
 * Requests come at random (a Poisson process), whether those before have been answered or not: each
 * connection that is free takes the next time. wrk is LuaJIT, and has no clock of its own.
 *
 * @param mean - between two requests, in milliseconds.
 */
function pace(mean: number): string {
  return [
    'local ffi = require("ffi")',
    'ffi.cdef("typedef struct { long s; long ns; } moment; int clock_gettime(int, moment*);")',
    'local moment, coming = ffi.new("moment"), nil',
    'local function now()',
    '  ffi.C.clock_gettime(1, moment)',
    '  return tonumber(moment.s) * 1e3 + tonumber(moment.ns) / 1e6',
    'end',
    'math.randomseed(1)',
    'function delay()',
    `  coming = (coming or now()) - ${mean} * math.log(1 - math.random())`,
    '  return math.max(0, math.floor(coming - now() + 0.5))',
    'end',
  ].join('\n');
}

/** RSA-2048 signatures a second of OpenSSL, on all cores. */
export async function opensslSignatures(seconds: number): Promise<number> {
  const { stdout } = await run('openssl', [
    ...['speed', '-seconds', `${seconds}`, '-multi', `${cpus().length}`, 'rsa2048'],
  ]);
  const [, perSecond] = /^rsa 2048 bits +[\d.]+s +[\d.]+s +([\d.]+)/m.exec(stdout) ?? [];
  if (perSecond === undefined) throw new Error(`openssl speed said something new:\n${stdout}`);
  return Number(perSecond);
}

export function opensslVersion(): string {
  return execFileSync('openssl', ['version'], { encoding: 'utf8' }).trim();
}

/** A bare server (issuer-bare.ts); ends with us, or with `stop`. */
export interface Bare {
  readonly url: string;
  stop(): void;
}

/** @param threads - of its pool. */
export async function startBare(
  kind: string,
  { body = '', threads = cpus().length } = {},
): Promise<Bare> {
  const program = join(import.meta.dirname, 'issuer-bare.ts');
  const env = { ...process.env, UV_THREADPOOL_SIZE: String(threads) };
  const child = spawnGuarded(process.execPath, [program, kind, body], { output: 'pipe', env });
  return { url: await firstLine(child), stop: () => child.kill() };
}

async function firstLine({ stdout }: ChildProcess): Promise<string> {
  if (stdout === null) throw new TypeError('a child without output');
  const [line]: unknown[] = await once(createInterface({ input: stdout }), 'line');
  return String(line);
}
