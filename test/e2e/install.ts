import assert from 'node:assert/strict';
import { get, type Life, OPERATOR, RELEASE, strictNamespace } from './life.ts';
import type { Site } from './site.ts';
import { client, kidOf, SET, soon, TENANT, underLoad, verifiesEverywhere } from './workloads.ts';

const CHART = 'charts/signet';

/** As typed by somebody whose registry has the image: nothing else is set. */
async function helm({ site }: Life, verb: string, chart: string, image: string): Promise<void> {
  const [repository, tag] = image.split(':');
  // As docs/upgrade.md says.
  const reuse = verb === 'upgrade' ? ['--reset-then-reuse-values'] : [];
  await site.helm([
    ...[verb, RELEASE, chart, ...reuse, '-n', OPERATOR, '--wait', '--timeout', '5m'],
    ...['--set', `image.repository=${repository}`, '--set', `image.tag=${tag}`],
  ]);
}

export async function installPrevious(life: Life): Promise<void> {
  assert.ok(life.previous);
  await strictNamespace(life.site, OPERATOR);
  await helm(life, 'install', life.previous.chart, life.previous.image);
}

export async function install(life: Life): Promise<void> {
  await strictNamespace(life.site, OPERATOR);
  await helm(life, 'install', CHART, life.image);
}

export async function upgrade(life: Life): Promise<void> {
  const { site } = life;
  const before = await client.kids(site);
  await underLoad(site, () => helm(life, 'upgrade', CHART, life.image));
  assert.deepEqual((await client.kids(site)).toSorted(), before.toSorted());
  await verifiesEverywhere(site, life.tokens);
}

export async function tryHelmTest({ site }: Life): Promise<void> {
  await site.helm(['test', RELEASE, '-n', OPERATOR, '--timeout', '5m', '--logs']);
  const left = ['pods,sks,serviceaccounts,roles,rolebindings', '-n', OPERATOR, '-l'];
  const component = 'app.kubernetes.io/component=test';
  await soon(async () => {
    const { items } = await get<{ items: object[] }>(site, ...left, component);
    assert.deepEqual(items, []);
  });
}

/** A mistake, and its repair: keys outlive the release. */
export async function installAgain(life: Life): Promise<void> {
  const { site } = life;
  const secrets = await keySecrets(site);
  const { stdout } = await site.helm(['uninstall', RELEASE, '-n', OPERATOR, '--wait']);
  assert.match(stdout, /CustomResourceDefinition\] signingkeysets.signet.dev/);
  assert.deepEqual(await keySecrets(site), secrets);
  await site.kubectl(['get', `sks/${SET}`, '-n', TENANT]);
  await helm(life, 'install', CHART, life.image);
  await verifiesEverywhere(site, life.tokens);
  const token = await soon(() => client.token(site));
  assert.equal(kidOf(token), kidOf(life.tokens.at(-1) ?? ''));
}

async function keySecrets(site: Site): Promise<readonly string[]> {
  const selector = '--field-selector=type=signet.dev/signing-keys';
  const { stdout } = await site.kubectl(['get', 'secret', '-n', OPERATOR, selector, '-o', 'name']);
  assert.notEqual(stdout, '');
  return stdout.trim().split('\n').toSorted();
}

/** Types what NOTES.txt says. */
export async function uninstall({ site }: Life): Promise<void> {
  const { stdout } = await site.helm(['get', 'notes', RELEASE, '-n', OPERATOR]);
  const commands = stdout.split('To remove all of it afterwards')[1]?.match(/^ {2}kubectl .+$/gm);
  await site.helm(['uninstall', RELEASE, '-n', OPERATOR, '--wait']);
  for (const command of commands ?? []) await site.kubectl(command.trim().split(' ').slice(1));
  assert.equal(commands?.length, 5);
  const left = ['get', 'secrets,leases,configmaps', '-A', '-o', 'name'];
  await soon(async () => {
    const names = (await site.kubectl(left)).stdout.split('\n');
    assert.deepEqual(
      names.filter((name) => /\/(sks-|signet-|login-verification)/.test(name)),
      [],
    );
  });
  for (const name of [TENANT, OPERATOR]) await site.kubectl(['delete', 'namespace', name]);
}
