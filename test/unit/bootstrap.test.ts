import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';

const BOOTSTRAP = join(import.meta.dirname, '..', 'bootstrap.mjs');

test('an npm that runs no install scripts brings no Node: it is said what to type', () => {
  const folder = mkdtempSync(join(tmpdir(), 'signet-bootstrap-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, 'test'));
  cpSync(BOOTSTRAP, join(folder, 'test', 'bootstrap.mjs'));
  const name = { name: 'nothing', version: '1.0.0' };
  const lock = { ...name, lockfileVersion: 3, packages: { '': name } };
  writeFileSync(join(folder, 'package.json'), JSON.stringify(name));
  writeFileSync(join(folder, 'package-lock.json'), JSON.stringify(lock));
  const { status, stderr } = spawnSync(process.execPath, ['test/bootstrap.mjs', 'x.ts'], {
    cwd: folder,
    encoding: 'utf8',
  });
  expect(stderr).toContain('type npm ci --ignore-scripts=false');
  expect(status).toBe(1);
});
