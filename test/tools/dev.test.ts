import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { invoke } from '../controlplane/clients.ts';
import { temporaryDirectory } from '../controlplane/supervise.ts';
import { eventually } from '../support/eventually.ts';
import { type Program, start } from './program.ts';

const DEV = 'test/demo/dev.ts';

/** Where it is to write: a name that a shell must be given in quotes. */
function aFolder(): string {
  const { path, remove } = temporaryDirectory('signet-dev-');
  onTestFinished(remove);
  return join(path, "it's dev");
}

async function running(folder: string): Promise<Program> {
  const dev = start(DEV, [folder]);
  const ready = eventually(() => dev.output().includes('Ctrl-C ends it.'), { timeout: 120_000 });
  const early = dev.ended.then(() => Promise.reject(new Error(dev.output())));
  await Promise.race([ready, early]);
  return dev;
}

/** Types a command in a shell that has sourced what was written. */
async function type(folder: string, command: string): Promise<string> {
  const env = { PATH: process.env['PATH'], HOME: folder };
  const script = `. "$0/env"; ${command}`;
  return (await invoke('sh', ['-euc', script, folder], env)).stdout;
}

test('npm run dev serves without a terminal until SIGTERM, and cleans up', async () => {
  const folder = aFolder();
  const dev = await running(folder);
  await type(folder, 'kubectl create namespace tried');
  expect(await type(folder, 'curl -fsS "$METRICS_URL"')).toContain('signet_');
  expect(await type(folder, 'curl -sS "$ISSUER_URL/tried/login"')).toContain('set_unknown');
  expect(await type(folder, 'grep -c BEGIN "$CURL_CA_BUNDLE"')).toMatch(/^\d\d+$/m);

  const second = start(DEV, [folder]);
  expect(await second.ended).toBe(1);
  expect(second.output()).toMatch(/^Signet runs already, as process \d+: source /);
  expect(await type(folder, 'kubectl get namespace tried -o name')).toContain('tried');

  dev.signal('SIGTERM');
  expect(await dev.ended, dev.output()).toBe(0);
  expect(existsSync(folder)).toBe(false);
  await dev.leftNothing();
});

test('npm run dev ends when a program of it does, and shows that one’s log', async () => {
  const folder = aFolder();
  const dev = await running(folder);
  // Not the shell that sees to it that it ends with us.
  const issuer = dev
    .started()
    .find(
      ({ command: [program, _main, role] }) => program === process.execPath && role === 'issuer',
    );
  process.kill(issuer?.pid ?? expect.fail('no issuer runs'), 'SIGKILL');
  expect(await dev.ended, dev.output()).toBe(1);
  expect(dev.output()).toMatch(/the issuer has ended. The end of its log:\n\{/);
  expect(existsSync(folder)).toBe(false);
  await dev.leftNothing();
});

test('npm run dev that cannot start says why in a sentence, and leaves no folder', async () => {
  const folder = aFolder();
  const dev = start(DEV, [folder], { KUBEBUILDER_ASSETS: '/nowhere' });
  expect(await dev.ended).toBe(1);
  expect(dev.output()).toMatch(/^KUBEBUILDER_ASSETS=\/nowhere holds no etcd.*$/m);
  expect(dev.output()).not.toContain('    at ');
  expect(existsSync(folder)).toBe(false);
});
