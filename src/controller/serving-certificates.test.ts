import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { eventually } from '../../test/support/eventually.ts';
import { DAY } from '../api/constants.ts';
import { type Authority, makeAuthority } from '../keys/authority.ts';
import { createLog } from '../telemetry/log.ts';
import { handOverServingCertificates, isDue } from './serving-certificates.ts';

const now = Date.now();
const authority = await makeAuthority({ lifetime: 730 * DAY, now });
const other = await makeAuthority({ lifetime: 730 * DAY, now });
const issued = { by: authority.certificate, notBefore: now, notAfter: now + 7 * DAY };

test.each([
  ['nothing was issued yet', undefined, authority, now, true],
  ['it is fresh', issued, authority, now + DAY, false],
  ['half of its life is over', issued, authority, now + 3.5 * DAY, true],
  ['another authority signs', issued, other, now + DAY, true],
  ['the clock was ahead when it was made', issued, authority, now - DAY, true],
])('when %s', (_when, held, by, at, due) => {
  expect(isDue(held, by, at)).toBe(due);
});

test('a certificate waits for its authority, and only the newest one is left in the folder', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'signet-serving-'));
  const stop = new AbortController();
  let by: Authority | undefined;
  const running = handOverServingCertificates({
    authority: () => by,
    names: ['localhost'],
    dir: join(dir, 'tls'),
    clock: () => now,
    log: createLog({ component: 'test', level: 'silent' }),
    signal: stop.signal,
  });
  const certificate = () => readFileSync(join(dir, 'tls', 'tls.crt'), 'utf8');
  expect(certificate).toThrow('ENOENT');
  by = authority;
  const first = await eventually(certificate);
  by = other;
  await eventually(() => certificate() !== first);
  await eventually(() => readdirSync(join(dir, 'tls')).length === 4);
  expect(readdirSync(join(dir, 'tls')).filter((name) => !name.startsWith('..'))).toEqual([
    'tls.crt',
    'tls.key',
  ]);
  stop.abort();
  await running;
  rmSync(dir, { recursive: true });
});
