import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { cacheHomes, findBinaries, PROGRAMS } from './binaries.ts';
import { ARCHIVES } from './download.ts';

function assetsWith(programs: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'signet-assets-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  for (const name of programs) writeFileSync(join(folder, name), '', { mode: 0o755 });
  vi.stubEnv('KUBEBUILDER_ASSETS', folder);
  onTestFinished(() => {
    vi.unstubAllEnvs();
  });
  return folder;
}

test('takes all three programs from KUBEBUILDER_ASSETS', async () => {
  const folder = assetsWith(PROGRAMS);
  expect(Object.values(await findBinaries())).toEqual(PROGRAMS.map((name) => join(folder, name)));
});

test('names what KUBEBUILDER_ASSETS lacks', async () => {
  const folder = assetsWith(['etcd', 'kube-apiserver']);
  await expect(findBinaries()).rejects.toThrow(
    `KUBEBUILDER_ASSETS=${folder} holds no kube-controller-manager: put etcd,`,
  );
});

test('keeps what another download would bring apart from what is kept, and from what was built', () => {
  const { built, downloaded } = cacheHomes(ARCHIVES);
  const other = cacheHomes(ARCHIVES.map((archive) => ({ ...archive, name: 'another version' })));
  expect(other.built).toBe(built);
  expect(new Set([built, downloaded, other.downloaded]).size).toBe(3);
});
