import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { DAY } from '../api/constants.ts';
import { makeAuthority } from '../keys/authority.ts';
import { createLog } from '../telemetry/log.ts';
import { CaFile } from './trust.ts';

const dir = mkdtempSync(join(tmpdir(), 'signet-ca-file-'));
afterAll(() => rmSync(dir, { recursive: true }));

const authority = await makeAuthority({ lifetime: DAY, now: Date.now() });

test('a mounted ca.crt is published without what is no certificate, and its last good content stays', async () => {
  const path = join(dir, 'ca.crt');
  const lines: string[] = [];
  let changes = 0;
  const file = new CaFile({
    path,
    onChange: () => {
      changes += 1;
    },
    log: createLog({ component: 'test', destination: { write: (line) => lines.push(line) } }),
  });
  expect(file.bundle).toBeUndefined();
  await file.look();
  expect(file.bundle).toBe('');
  writeFileSync(path, `# ours\n${authority.privateKey.exportPem()}${authority.certificate}`);
  await file.look();
  expect(file.bundle).toBe(authority.certificate);
  writeFileSync(path, 'x');
  await file.look();
  await file.look();
  expect(file.bundle).toBe(authority.certificate);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain('the file holds no PEM certificate');
  expect(changes).toBe(2);
});
