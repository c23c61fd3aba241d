import assert from 'node:assert/strict';
import { readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryDirectory } from '../controlplane/supervise.ts';
import { get, type Life, MADE_BY_E2E } from './life.ts';
import type { Site } from './site.ts';

const ROOT = join(import.meta.dirname, '..', '..');

interface Block {
  readonly kind: 'sh' | 'console';
  readonly text: string;
}

/** The fenced blocks of the chapters of a page that `wanted` takes. */
function blocks(page: string, wanted: (chapter: string) => boolean = () => true): Block[] {
  const chapters = readFileSync(join(ROOT, 'docs', page), 'utf8').split(/^## /m);
  return chapters
    .filter((chapter) => wanted(chapter.split('\n')[0] ?? ''))
    .flatMap((chapter) => [...chapter.matchAll(/^```(sh|console)\n([\s\S]*?)^```/gm)])
    .map(([, kind, text = '']) => ({ kind: kind === 'sh' ? 'sh' : 'console', text }));
}

const isUninstall = (chapter: string) => chapter === 'Uninstall';

/** As a reader would who does what the pages say, in this order, and in the end removes all of it. */
export async function typeThePages({ site, image }: Life): Promise<void> {
  const folder = temporaryDirectory('signet-pages-');
  symlinkSync(join(ROOT, 'charts'), join(folder.path, 'charts'));
  const adapted = await adapting(site, image);
  try {
    for (const { kind, text } of [
      ...blocks('install.md', (chapter) => !isUninstall(chapter)),
      ...blocks('rbac.md'),
      ...blocks('upgrade.md'),
      ...blocks('install.md', isUninstall),
    ]) {
      if (kind === 'console') await showsRefusals(site, folder.path, text);
      else if (/# (yes|no)$/m.test(text)) await answers(site, folder.path, text);
      else await site.shell(adapted(text), folder.path);
    }
    await site.helm(['uninstall', 'second', '-n', 'second-system', '--wait']);
    await site.kubectl(['delete', 'namespaces', '-l', MADE_BY_E2E, '--timeout=180s']);
  } finally {
    folder.remove();
  }
}

/** What differs between the reader's cluster and this one. The image is built and brought already. */
async function adapting(site: Site, image: string): Promise<(script: string) => string> {
  const [repository, tag] = image.split(':');
  const { spec } = await get<{ spec: { clusterIP: string } }>(site, 'service', 'kubernetes');
  const slice = ['endpointslice', 'kubernetes'];
  const { endpoints } = await get<{ endpoints: { addresses: string[] }[] }>(site, ...slice);
  const address = endpoints[0]?.addresses[0];
  assert.ok(address);
  return (script) =>
    script
      .replaceAll(/^docker .*\n/gm, '')
      .replaceAll(/^npm .*\n/gm, '')
      .replaceAll(/image\.tag=\S+/g, `image.tag=${tag}`)
      .replaceAll(/image\.repository=\S+/g, `image.repository=${repository} --set image.tag=${tag}`)
      .replaceAll('10.96.0.1/32', `${spec.clusterIP}/32`)
      .replaceAll('192.0.2.10/32', `${address}/32`)
      .replaceAll(
        /^kubectl create namespace (\S+)$/gm,
        `$&\nkubectl label namespace $1 ${MADE_BY_E2E}=true`,
      );
}

/** Each `$ command` of the block fails, with what the line below it shows. */
async function showsRefusals(site: Site, folder: string, text: string): Promise<void> {
  const shown = [...text.matchAll(/^\$ (.+)\n… (.+)$/gm)];
  assert.notEqual(shown.length, 0, text);
  for (const [, command = '', message = ''] of shown) {
    await assert.rejects(site.shell(command, folder), (error: Error) => {
      assert.ok(error.message.includes(message), `${command}\n${error.message}`);
      return true;
    });
  }
}

/** Each line answers what the comment at its end says; kubectl exits 1 with a no. */
async function answers(site: Site, folder: string, text: string): Promise<void> {
  for (const line of text.trim().split('\n')) {
    const [command = '', answer] = line.split(/ +# /);
    const { stdout } = await site.shell(`${command} || true`, folder);
    assert.equal(stdout.trim(), answer, command);
  }
}
