import { expect, it } from 'vitest';
import { eventually } from '../../test/support/eventually.ts';
import { createLog } from '../telemetry/log.ts';
import { LineQuota } from './line-quota.ts';

it('ten lines of one kind are written in a second, and one says how many were not', async () => {
  const lines: string[] = [];
  const destination = { write: (line: string) => lines.push(line) };
  const quota = new LineQuota(createLog({ component: 'issuer', destination }));
  const written = Array.from({ length: 25 }, () => quota.take('set_unknown')).filter(Boolean);
  expect(written).toHaveLength(10);
  expect(quota.take('token_invalid')).toBe(true);
  await eventually(() => expect(lines).toHaveLength(1));
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({ kind: 'set_unknown', leftOut: 15 });
  expect(quota.take('set_unknown')).toBe(true);
});
