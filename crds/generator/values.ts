import { isMap, isScalar, type Pair, parseDocument, type YAMLMap } from 'yaml';

/** Any node: a comment may stand on it, on the key before it, or in the map that it begins. */
interface Commented {
  readonly commentBefore?: string | null | undefined;
}

/**
 * The chart's values as a table in Markdown: path, default, and the comment above the value.
 *
 * @throws Error naming a value without a comment, or when the file is not a mapping.
 */
export function renderValues(values: string): string {
  const { contents } = parseDocument(values);
  if (!isMap(contents)) throw new Error('values.yaml is not a mapping');
  return [
    '<!-- Generated from values.yaml by `npm run generate`. Do not edit: change values.yaml. -->',
    '# Signet, the Helm chart',
    'Kubernetes 1.30 or later, Helm 4. How to install it: [docs/install.md](../../docs/install.md); upgrades: [docs/upgrade.md](../../docs/upgrade.md); permissions: [docs/rbac.md](../../docs/rbac.md). What is not below is refused ([values.schema.json](values.schema.json)).',
    ['| value | default | what it is for |', '| --- | --- | --- |', ...rows(contents, '')].join(
      '\n',
    ),
    '',
  ].join('\n\n');
}

function rows(map: YAMLMap, prefix: string): readonly string[] {
  return map.items.flatMap((pair, index) => {
    const path = `${prefix}${String(pair.key)}`;
    // The parser gives the comment above the first value of a map to the map.
    const comment = (index === 0 && map.commentBefore) || commentOf(pair);
    const { value } = pair;
    if (isMap(value) && !value.flow) {
      const about = comment === '' ? [] : [row(path, '', comment)];
      return [...about, ...rows(value, `${path}.`)];
    }
    if (comment === '') throw new Error(`values.yaml does not say what ${path} is for`);
    return [row(path, textOf(value), comment)];
  });
}

function row(path: string, fallback: string, comment: string): string {
  const text = comment
    .split('\n')
    .map((line) => line.trim())
    .join(' ')
    .replaceAll('|', '\\|');
  return `| \`${path}\` | ${fallback === '' ? '' : `\`${fallback}\``} | ${text} |`;
}

function commentOf({ key }: Pair): string {
  const { commentBefore } = key as Commented;
  return commentBefore ?? '';
}

function textOf(value: unknown): string {
  if (isScalar(value)) return value.value === '' ? '""' : String(value.source ?? value.value);
  return String(value).trim();
}
