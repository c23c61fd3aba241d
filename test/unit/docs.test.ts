import { execFileSync } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CONDITION_REASONS, EVENT_REASONS } from '../../src/api/reasons.ts';
import { FORMAT, READABLE } from '../../src/keys/format.ts';

const ROOT = join(import.meta.dirname, '..', '..');

function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

/** The first group of each match. */
function all(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map(([, found = '']) => found);
}

function sorted(names: Iterable<string>): string[] {
  return [...new Set(names)].sort();
}

/** Every heading of one page under a heading of the level above, by the text of the latter. */
function sections(page: string): Map<string, string[]> {
  const chapters = page.split(/^## /m).slice(1);
  return new Map(
    chapters.map((chapter) => [chapter.split('\n')[0] ?? '', all(chapter, /^### (.+)$/gm)]),
  );
}

/** As GitHub makes them: lower case, no punctuation, hyphens for spaces. */
function anchorsOf(page: string): string[] {
  const prose = page.replaceAll(/^```[\s\S]*?^```/gm, '');
  return all(prose, /^#+ (.+)$/gm).map((heading) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

const PAGES = globSync('{*.md,docs/**/*.md}', { cwd: ROOT }).sort();

describe('docs/troubleshooting.md', () => {
  const chapters = sections(read('docs/troubleshooting.md'));

  test.each(Object.entries(CONDITION_REASONS))(
    'has a section for each reason of %s, and for no other',
    (type, reasons) => {
      expect(chapters.get(`Condition ${type}`)?.sort()).toEqual(sorted(reasons));
    },
  );

  test('has a section for each Event, and for no other', () => {
    // Two headings of one page may not be the same: one that is also a condition's says so.
    const headings = chapters.get('Events')?.map((heading) => heading.replace(' (Event)', ''));
    expect(headings?.sort()).toEqual(sorted(EVENT_REASONS));
  });

  test('has no section of a condition that does not exist', () => {
    const conditions = [...chapters.keys()].filter((chapter) => chapter.startsWith('Condition '));
    expect(conditions.sort()).toEqual(
      sorted(Object.keys(CONDITION_REASONS)).map((type) => `Condition ${type}`),
    );
  });
});

test('docs/configuration.md has each flag that --help names, and no other', () => {
  const help = execFileSync(process.execPath, ['src/main.ts', '--help'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  const flags = all(help, /^ {2}(--[a-z-]+)/gm);
  expect(flags).toContain('--namespace');
  expect(sorted(all(read('docs/configuration.md'), /^\| `(--[a-z-]+)` \|/gm))).toEqual(
    sorted(flags),
  );
});

test('docs/metrics.md has each metric with its type and labels, and no other', () => {
  const definition =
    /(counter|gauge|histogram|collected)\(\s*'(signet_\w+)',\s*'[^']*',?\s*(\[[^\]]*\])?/g;
  const defined = globSync('src/**/*.ts', { cwd: ROOT })
    .filter((path) => !path.endsWith('.test.ts'))
    .flatMap((path) => [...read(path).matchAll(definition)])
    .map(([, type = '', name = '', labels = '']) => {
      const cells = all(labels, /'(\w+)'/g).map((label) => `\`${label}\``);
      return `${name} | ${type === 'collected' ? 'gauge' : type} | ${cells.join(', ')}`;
    });
  const row = /^\| `(signet_\w+)` \| (\w+) \| ?([^|]*?) ?\|/gm;
  const documented = [...read('docs/metrics.md').matchAll(row)].map(
    ([, name = '', type = '', labels = '']) => `${name} | ${type} | ${labels}`,
  );
  expect(defined.some((line) => line.startsWith('signet_sets | gauge'))).toBe(true);
  expect(sorted(documented)).toEqual(sorted(defined));
});

test('docs/api.md has each code that the issuer refuses with, and no other', () => {
  const table = read('src/issuer/refusals.ts').split('const TABLE = {')[1]?.split('\n}')[0] ?? '';
  const codes = all(table, /^ {2}(\w+): \{/gm);
  expect(codes).toContain('set_unknown');
  const rows = read('docs/api.md').split('## Errors')[1] ?? '';
  expect(sorted(all(rows, /^\| `(\w+)` \|/gm).filter((code) => code !== 'code'))).toEqual(
    sorted(codes),
  );
});

/** 0.1.0 reads nothing of what 0.2.0 writes: the page says that there is no way back. */
const NO_WAY_BACK_FROM = '0.2.0';

test('docs/upgrade.md names the formats that this version reads and writes, none of which ends a way back', () => {
  const row = /^\| (\d+\.\d+\.\d+) \| ([\d, ]+) \| (\d+) \|$/gm;
  const versions = [...read('docs/upgrade.md').matchAll(row)].map(
    ([, version = '', reads = '', writes]) => ({
      version,
      reads: reads.split(', ').map(Number),
      writes: Number(writes),
    }),
  );
  const { version }: { version: string } = JSON.parse(read('package.json'));
  expect(versions.at(-1)).toEqual({ version, reads: [...READABLE], writes: FORMAT });
  const cut = versions.filter(
    ({ writes }, index) => index > 0 && !versions[index - 1]?.reads.includes(writes),
  );
  expect(cut.map((each) => each.version)).toEqual([NO_WAY_BACK_FROM]);
});

test('docs/protocol.md has a row for each of the rules I1 to I22', () => {
  const rules = all(read('docs/protocol.md'), /^\| I(\d+) /gm).map(Number);
  expect(rules).toEqual(Array.from({ length: 22 }, (_, index) => index + 1));
});

test.each(['docs/security.md', 'docs/protocol.md', 'docs/reliability.md'])(
  'each test that %s names exists',
  (path) => {
    const page = read(path);
    const cited = [...page.matchAll(/\]\(([^)\s]+\.test\.ts)\)((?:,? “[^”]+”)+)/g)].flatMap(
      ([, file = '', names = '']) => all(names, /“([^”]+)”/g).map((name) => ({ file, name })),
    );
    expect(cited).not.toEqual([]);
    const missing = cited.filter(
      ({ file, name }) => !read(join(dirname(path), file)).includes(name),
    );
    expect(missing).toEqual([]);
  },
);

test.each(PAGES)('every relative link in %s resolves', (path) => {
  const page = read(path);
  const links = all(page.replaceAll(/^```[\s\S]*?^```/gm, ''), /\]\(([^)\s]+)\)/g);
  const broken = links.filter((link) => {
    if (/^[a-z]+:/.test(link)) return false;
    const [file = '', anchor] = link.split('#');
    const target = file === '' ? path : join(dirname(path), file);
    if (!existsSync(join(ROOT, target))) return true;
    return anchor !== undefined && !anchorsOf(read(target)).includes(anchor);
  });
  expect(broken).toEqual([]);
});
