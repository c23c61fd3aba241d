import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { installPermissions, SERVICE_ACCOUNTS } from '../stack/permissions.ts';
import { type Stack, type StackProcess, startStack } from '../stack/stack.ts';
import { eventually } from '../support/eventually.ts';

let stack: Stack;

beforeAll(async () => {
  stack = await startStack({ trust: false });
});
afterAll(() => stack?.stop());

/** What `/readyz` says is missing; empty when nothing is. */
async function missing({ metricsUrl }: StackProcess): Promise<string> {
  const answer = await fetch(metricsUrl.replace('/metrics', '/readyz'));
  const { missing: found = [] }: { missing?: { reason: string }[] } = JSON.parse(
    await answer.text(),
  );
  return found.map(({ reason }) => reason).join('; ');
}

interface LogLine {
  readonly level: string | number;
  readonly fault?: string;
  readonly err?: { readonly message: string };
}

/** Lines of a log that tell of this, from an offset on. */
function told(file: string, from: number, what: string | RegExp): readonly LogLine[] {
  const lines = readFileSync(file, 'utf8').slice(from).split('\n').slice(0, -1);
  return lines
    .map((line): LogLine => JSON.parse(line))
    .filter(({ err, fault }) => `${err?.message} ${fault}`.match(what) !== null);
}

/** @returns how to wait until it is ready; a test that fails before that leaves no rejection. */
function startInBackground(program: StackProcess): () => Promise<void> {
  const result = program.restart().then(
    () => undefined,
    (error: unknown) => ({ error }),
  );
  return async () => {
    const failed = await result;
    if (failed !== undefined) throw failed.error;
  };
}

interface Case {
  readonly process: 'controller' | 'issuer';
  /** In the readiness. */
  readonly says: string;
  /** In a line of the log. */
  readonly logs: RegExp;
  take(): Promise<unknown>;
  give(): Promise<unknown>;
}

const kubectl = (...args: readonly string[]) => stack.controlPlane.kubectl(args);
const restore = () => installPermissions(stack.controlPlane);

const CASES: Readonly<Record<string, Case>> = {
  'the CRD': {
    process: 'controller',
    says: 'the SigningKeySet API is not installed: install the chart with crds.enabled=true',
    logs: /could not find the requested resource|page not found/,
    take: () => kubectl('delete', 'crd', 'signingkeysets.signet.dev'),
    give: restore,
  },
  'a permission of the controller': {
    process: 'controller',
    says: 'cannot list resource "signingkeysets" in API group "signet.dev" at the cluster scope',
    logs: /cannot list resource "signingkeysets"/,
    take: () => kubectl('delete', 'clusterrolebinding', 'signet-controller'),
    give: restore,
  },
  'a permission of the issuer': {
    process: 'issuer',
    says: 'cannot list resource "secrets" in API group "" in the namespace "signet-system"',
    logs: /cannot list resource "secrets"/,
    take: () => kubectl('delete', 'rolebinding', 'signet-issuer', '-n', stack.namespace),
    give: restore,
  },
  'the API server': {
    process: 'controller',
    says: 'ECONNREFUSED',
    logs: /ECONNREFUSED/,
    take: () => stack.controlPlane.components.apiserver.kill(),
    give: () => stack.controlPlane.components.apiserver.restart(),
  },
};

describe('A process that starts without', () => {
  test.each(Object.entries(CASES))(
    '%s says so in its readiness and in its log, waits, and recovers by itself',
    async (_, { process, says, logs, take, give }) => {
      const program = stack[process];
      await program.kill('SIGTERM');
      await take();
      const from = readFileSync(program.logFile, 'utf8').length;
      const started = startInBackground(program);
      await eventually(async () => expect(await missing(program)).toContain(says));
      await eventually(() => told(program.logFile, from, logs).length > 0);
      await give();
      await started();
      await eventually(async () => expect(await missing(program)).toBe(''));
    },
  );
});

/** Waits until the API server has heard that it was taken away. */
async function mayNoMore(account: string, what: readonly string[]): Promise<void> {
  const user = `--as=system:serviceaccount:${stack.namespace}:${account}`;
  await eventually(async () => expect(kubectl('auth', 'can-i', ...what, user)).rejects.toThrow());
}

test('A controller that starts without a permission, where there are keys, leaves its pod ready to publish them', async () => {
  const { controller } = stack;
  const set = { apiVersion: 'signet.dev/v1alpha1', kind: 'SigningKeySet', metadata: { name: 'a' } };
  await stack.controlPlane.kubectl(['create', '-f', '-'], { input: JSON.stringify(set) });
  await kubectl('wait', 'sks/a', '--for=condition=Ready', '--timeout=60s');
  await controller.kill('SIGTERM');
  await kubectl('delete', 'clusterrolebinding', 'signet-controller');
  await mayNoMore(SERVICE_ACCOUNTS.controller, ['list', 'signingkeysets.signet.dev', '-A']);
  await controller.restart();
  const leads = async () => {
    const metrics = await (await fetch(controller.metricsUrl)).text();
    return /^signet_controller_leading 1$/m.test(metrics);
  };
  expect(await leads()).toBe(false);
  expect(told(controller.logFile, 0, /cannot list resource "signingkeysets"/)).not.toEqual([]);
  await restore();
  await eventually(async () => expect(await leads()).toBe(true));
});

test('An issuer that starts without the permission for its Lease publishes the sets that are there, and signs no more after R', async () => {
  const { issuer } = stack;
  const role = ['role', 'signet-issuer', '-n', stack.namespace];
  const { stdout } = await kubectl('get', ...role, '-o', 'json');
  const { rules }: { rules: { resources: string[] }[] } = JSON.parse(stdout);
  await issuer.kill('SIGTERM');
  const left = rules.filter(({ resources }) => !resources.includes('leases'));
  await kubectl('patch', ...role, '--type=merge', '-p', JSON.stringify({ rules: left }));
  await mayNoMore(SERVICE_ACCOUNTS.issuer, ['create', 'leases', '-n', stack.namespace]);
  const from = readFileSync(issuer.logFile, 'utf8').length;
  await issuer.restart();
  expect(told(issuer.logFile, from, /cannot create resource "leases"/)).not.toEqual([]);
  const jwks = await fetch(`${issuer.plainUrl}/default/a/.well-known/jwks.json`);
  expect(jwks.status).toBe(200);
  await eventually(() =>
    readFileSync(issuer.logFile, 'utf8').slice(from).includes('Signs nothing, and goes on'),
  );
  await restore();
});

describe('An issuer whose certificate', () => {
  test('is missing, then broken, names the file each time, and serves once it is right', async () => {
    const dir = join(stack.controlPlane.dir, 'tls-of-somebody');
    mkdirSync(dir);
    const issuer = await stack.replica('tls', ['--tls-dir', dir]);
    const started = startInBackground(issuer);
    try {
      const path = join(dir, 'tls.crt');
      await eventually(async () => expect(await missing(issuer)).toContain(path));
      await eventually(() => expect(told(issuer.logFile, 0, path)).toHaveLength(1));

      writeFileSync(path, 'not a certificate');
      writeFileSync(join(dir, 'tls.key'), 'not a key');
      const broken = `${path} holds no PEM certificate`;
      await eventually(async () => expect(await missing(issuer)).toContain(broken));
      await eventually(() => expect(told(issuer.logFile, 0, broken)).toHaveLength(1));

      const make = [
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:P-256',
        '-nodes',
      ];
      const files = [
        '-keyout',
        'tls.key',
        '-out',
        'tls.crt',
        '-days',
        '9',
        '-subj',
        '/CN=localhost',
      ];
      execFileSync('openssl', [...make, ...files], { cwd: dir, stdio: 'ignore' });
      await started();
      await eventually(async () => expect(await missing(issuer)).toBe(''));
    } finally {
      await issuer.kill();
    }
  });
});
