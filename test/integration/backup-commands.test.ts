import { readFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findClients, invoke } from '../controlplane/clients.ts';
import { temporaryDirectory } from '../controlplane/supervise.ts';
import { ES256, LONG_GRACE, startWorld, type TenantSet, type World } from './controller/world.ts';

const PAGE = join(import.meta.dirname, '..', '..', 'docs', 'troubleshooting.md');

let world: World;
const folder = temporaryDirectory('signet-backup-');

beforeAll(async () => {
  world = await startWorld();
});
afterAll(async () => {
  await world?.stop();
  folder.remove();
});

/** The block of the page that has this text in it, typed about this set. */
async function type(part: string, set: TenantSet): Promise<void> {
  const blocks = readFileSync(PAGE, 'utf8').matchAll(/^```sh\n(.*?)^```/gms);
  const found = [...blocks].map(([, block = '']) => block).filter((block) => block.includes(part));
  expect(found).toHaveLength(1);
  const { kubectl } = await findClients();
  const about = { identity: set.tenant.name, login: set.name };
  const script = (found[0] ?? '')
    .replaceAll('-n identity ', `-n ${about.identity} `)
    .replaceAll(/\b(sks|signingkeyset) login /g, `$1 ${about.login} `);
  await invoke(
    'bash',
    ['-euo', 'pipefail', '-c', script],
    {
      ...process.env,
      KUBECONFIG: world.cluster.kubeconfig,
      KUBECACHEDIR: join(folder.path, 'kubectl'),
      PATH: `${dirname(kubectl)}${delimiter}${process.env['PATH']}`,
    },
    { cwd: folder.path },
  );
}

async function damaged(): Promise<TenantSet> {
  const set = await (await world.tenant()).applyReady({ ...ES256, ...LONG_GRACE });
  await set.until('Published', 'True');
  await type('> backup.yaml', set);
  await world.patch(set.secretPath, {
    data: { 'keyring.json': Buffer.from('{').toString('base64') },
  });
  await set.until('Ready', 'KeyringDamaged');
  return set;
}

describe('A backup that is made by the commands in docs/troubleshooting.md', () => {
  test('is put back in place by those under KeyringDamaged', async () => {
    const set = await damaged();
    await type('kubectl -n signet-system replace -f -', set);
    await set.until('Ready', 'Signing');
  });

  test('is restored under another name by those under Keys from a backup', async () => {
    const set = await damaged();
    await type('"name":"login-backup"', set);
    expect((await set.told('KeysRestoredFromBackup')).message).toContain('login-backup');
    await set.until('Ready', 'Signing');
  });
});
