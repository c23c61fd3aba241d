import { expect, test, vi } from 'vitest';
import { Kube } from './client.ts';
import { Reflector } from './reflector.ts';

test('a failure that repeats itself is told once, and is to be asked for until it is over', async () => {
  const lines: { readonly level: string; readonly message: string }[] = [];
  const at = (level: string) => (_: object, message: string) => void lines.push({ level, message });
  const log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  // Nobody listens there.
  const credentials = {
    ...{ server: 'https://127.0.0.1:1', namespace: 'x' },
    access: () => ({ headers: {}, tls: {} }),
    refused: () => false,
  };
  const kube = new Kube(credentials, 'test');
  const reflector = new Reflector({ kube, log, path: '/api/v1/pods', random: () => 0 });
  const stop = new AbortController();
  const running = reflector.run(stop.signal);
  await vi.waitUntil(() => lines.length >= 3, { timeout: 10_000 });
  expect(lines.slice(0, 3).map(({ level }) => level)).toEqual(['warn', 'debug', 'debug']);
  expect(reflector.problem).toMatchObject({ message: expect.stringContaining('ECONNREFUSED') });
  stop.abort();
  await running;
  kube.close();
});
