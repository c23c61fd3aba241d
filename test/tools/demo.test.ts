import { chmodSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { temporaryDirectory } from '../controlplane/supervise.ts';
import { start } from './program.ts';

const DEMO = 'test/demo/demo.ts';

/** A folder with an openssl that does this. */
function anOpenssl(script: string): string {
  const { path, remove } = temporaryDirectory('signet-openssl-');
  onTestFinished(remove);
  writeFileSync(join(path, 'openssl'), `#!/bin/sh\n${script}\n`);
  chmodSync(join(path, 'openssl'), 0o755);
  return path;
}

test('npm run demo plays the life of a set, exits 0, and leaves no process and no file', async () => {
  const demo = start(DEMO);
  expect(await demo.ended, demo.output()).toBe(0);
  const last = /All \d+ steps verified in (\d+) s\.\s*$/.exec(demo.output());
  console.log(`npm run demo: ${last?.[1]} s (aim: 60)`);
  // Twice the aim: other tests run at the same time.
  expect(Number(last?.[1])).toBeLessThan(120);
  await demo.leftNothing();
});

test('npm run demo names the step that fails and why, exits 1, and leaves nothing either', async () => {
  const broken = anOpenssl('echo openssl is out of order >&2; [ "$1" = version ]');
  const demo = start(DEMO, [], { PATH: `${broken}${delimiter}${process.env['PATH']}` });
  expect(await demo.ended, demo.output()).toBe(1);
  expect(demo.output()).toContain('\nopenssl is out of order\n');
  expect(demo.output()).toContain('\nfailed at: verify it with openssl, as a gateway does\n');
  await demo.leftNothing();
});

test('npm run demo says what to install before it starts anything', async () => {
  const { path, remove } = temporaryDirectory('signet-nothing-');
  onTestFinished(remove);
  const demo = start(DEMO, [], { PATH: path });
  expect(await demo.ended).toBe(1);
  expect(demo.output()).toBe(
    'The demo plays a gateway with openssl, and openssl is not on the PATH: install it (Debian: apt-get install openssl).\n',
  );
});
