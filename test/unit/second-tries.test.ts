import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { invoke } from '../controlplane/clients.ts';
import { readSecondTries, SECOND_TRIES } from '../support/second-tries.ts';

const ROOT = join(import.meta.dirname, '..', '..');

const TESTS = `
let tries = 0;
test('passes at once', () => undefined);
test('passes at the second try', () => {
  tries += 1;
  if (tries === 1) throw new Error('3 tokens were refused\\nand more');
});`;

test('what passed only at the second try is told, with why the first one failed', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'signet-tries-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'some.test.mjs'), TESTS);
  const found = join(folder, 'second-tries.json');
  const reporter = `--reporter=${join(ROOT, 'test', 'support', 'second-tries.ts')}`;
  const vitest = join(ROOT, 'node_modules', '.bin', 'vitest');
  await invoke(vitest, ['run', '--root', folder, '--globals', '--retry=1', reporter], {
    ...process.env,
    [SECOND_TRIES]: found,
  });
  expect(readSecondTries(found)).toEqual([
    { name: 'passes at the second try', why: '3 tokens were refused' },
  ]);
});
