import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { withLock } from './cache.ts';

const scratch = mkdtempSync(join(tmpdir(), 'signet-lock-'));
const lock = join(scratch, 'lock');

afterAll(() => rmSync(scratch, { recursive: true }));
beforeEach(() => rmSync(lock, { force: true }));

test('never lets two in at once', async () => {
  let inside = 0;
  let most = 0;
  const visit = async (): Promise<void> => {
    inside += 1;
    most = Math.max(most, inside);
    await setImmediate();
    inside -= 1;
  };
  await Promise.all(Array.from({ length: 4 }, () => withLock(lock, visit)));
  expect(most).toBe(1);
  expect(existsSync(lock)).toBe(false);
});

test('is free again after work that failed', async () => {
  const failing = withLock(lock, () => Promise.reject(new Error('out of disk')));
  await expect(failing).rejects.toThrow('out of disk');
  expect(await withLock(lock, async () => 'done')).toBe('done');
});

test('tells who holds it while it waits', async () => {
  writeFileSync(lock, `${process.pid} ${hostname()}`);
  const holder = await new Promise<string>((resolve) => {
    const waiting = withLock(
      lock,
      async () => undefined,
      (told) => {
        rmSync(lock);
        resolve(waiting.then(() => told));
      },
    );
  });
  expect(holder).toBe(`${process.pid} ${hostname()}`);
});

test('is broken when its holder is dead', async () => {
  const { pid } = spawnSync('true');
  writeFileSync(lock, `${pid} ${hostname()}`);
  expect(await withLock(lock, async () => 'in')).toBe('in');
});

test('is broken when its holder, on another machine, has not touched it for a minute', async () => {
  writeFileSync(lock, `${process.pid} elsewhere`);
  const past = new Date(Date.now() - 61_000);
  utimesSync(lock, past, past);
  expect(await withLock(lock, async () => 'in')).toBe('in');
});
