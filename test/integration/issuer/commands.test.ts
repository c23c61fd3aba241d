import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { invoke } from '../../controlplane/clients.ts';
import { temporaryDirectory } from '../../controlplane/supervise.ts';
import { writeEnvironment } from '../../demo/dev-folder.ts';
import { type Stack, startStack } from '../../stack/stack.ts';
import { eventually } from '../../support/eventually.ts';

const PAGE = join(import.meta.dirname, '..', '..', '..', 'docs', 'api.md');
const START = 'npm run dev ';

let stack: Stack;
/** Where a reader types: what `npm run dev` writes is in `.dev` there. */
const folder = temporaryDirectory('signet-api-');

beforeAll(async () => {
  stack = await startStack({ trust: false, maxStaleness: '1h' });
  const dev = join(folder.path, '.dev');
  mkdirSync(dev);
  await writeEnvironment(dev, stack);
});
afterAll(async () => {
  await stack?.stop();
  folder.remove();
});

interface Step {
  /** What is typed: a paragraph of a block. */
  readonly script: string;
  /** What the page shows as its answer. */
  readonly answer?: Readonly<Record<string, unknown>>;
}

/** The commands of the page in their order, without the one that starts everything. */
function steps(): readonly Step[] {
  const page = readFileSync(PAGE, 'utf8');
  const blocks = page.matchAll(/^```sh\n(.*?)^```\n(?:\n```json\n(.*?)```)?/gms);
  return [...blocks].flatMap(([, block = '', shown]) => {
    const lines = block.split('\n').filter((line) => !line.startsWith(START));
    const paragraphs = lines.join('\n').trim().split('\n\n');
    const answer = shown === undefined ? {} : { answer: JSON.parse(shown) };
    return paragraphs.map((script, index) => ({
      script,
      ...(index === paragraphs.length - 1 && answer),
    }));
  });
}

/** Types it in a shell that goes on where the last one stopped. @returns what it prints. */
async function type(script: string): Promise<string> {
  const shell = `touch state; . ./state; ${script}\ndeclare -p ISSUER ISSUER_URL ISSUER_METRICS_URL KUBECONFIG CURL_CA_BUNDLE PATH > state`;
  const { stdout } = await invoke('bash', ['-euo', 'pipefail', '-c', shell], process.env, {
    cwd: folder.path,
  });
  return stdout;
}

test('every command of docs/api.md does on npm run dev what the page says', async () => {
  const all = steps();
  expect(all.length).toBeGreaterThan(12);
  for (const { script, answer } of all) {
    // What makes something is typed once. A new permission takes a moment.
    if (script.startsWith('kubectl') || script.startsWith('source')) await type(script);
    else await eventually(async () => check(await type(script), answer));
  }
});

function check(printed: string, shown: Step['answer']): void {
  expect(printed).not.toBe('');
  if (shown === undefined) {
    expect(printed).not.toContain('"code":');
    return;
  }
  const last = printed.replaceAll('}{', '}\n{').trim().split('\n').at(-1) ?? '';
  const answer: Record<string, unknown> = JSON.parse(last);
  expect(Object.keys(answer), last).toEqual(expect.arrayContaining(Object.keys(shown)));
  expect(answer['code']).toBe(shown['code']);
}
