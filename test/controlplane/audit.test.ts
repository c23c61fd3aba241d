import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { type AuditEvent, auditEvents, countWrites } from './audit.ts';

const CONTROLLER = 'system:serviceaccount:signet-system:signet-controller';

function event(verb: string, resource: string, rest: Partial<AuditEvent> = {}): AuditEvent {
  const [main = '', subresource] = resource.split('/');
  return {
    stage: 'ResponseComplete',
    verb,
    requestURI: `/api/v1/${resource}`,
    user: { username: CONTROLLER },
    objectRef: { resource: main, ...(subresource === undefined ? {} : { subresource }) },
    requestReceivedTimestamp: '2026-01-01T00:00:10.000000Z',
    ...rest,
  };
}

function logOf(...lines: readonly (AuditEvent | string)[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'signet-audit-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'audit.log');
  const text = lines.map((line) => (typeof line === 'string' ? line : `${JSON.stringify(line)}\n`));
  writeFileSync(file, text.join(''));
  return file;
}

test('counts writes by verb, resource and user, the most frequent first', () => {
  const file = logOf(
    event('update', 'secrets'),
    event('patch', 'signingkeysets/status'),
    event('patch', 'signingkeysets/status'),
  );
  expect(countWrites(auditEvents(file))).toEqual([
    { verb: 'patch', resource: 'signingkeysets/status', user: CONTROLLER, count: 2 },
    { verb: 'update', resource: 'secrets', user: CONTROLLER, count: 1 },
  ]);
});

test('counts nothing that stores nothing', () => {
  const file = logOf(
    event('list', 'secrets'),
    event('watch', 'secrets', { stage: 'ResponseStarted' }),
    event('create', 'tokenreviews'),
    event('create', 'serviceaccounts/token'),
    event('create', 'secrets', { requestURI: '/api/v1/secrets?dryRun=All' }),
  );
  expect(countWrites(auditEvents(file))).toEqual([]);
});

test('selects by time and user, and leaves out a line that is still being written', () => {
  const late = event('create', 'leases', { requestReceivedTimestamp: '2026-01-01T00:00:20.000Z' });
  const file = logOf(
    event('create', 'events'),
    late,
    { ...late, user: { username: 'somebody' } },
    '{"stage":"Resp',
  );
  const since = Date.parse('2026-01-01T00:00:15Z');
  expect(auditEvents(file, { since, user: CONTROLLER })).toEqual([late]);
});
