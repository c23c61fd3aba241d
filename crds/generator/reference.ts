import type { PrinterColumn, ResourceVersion, Schema } from './schema.ts';

/**
 * Writes the schema as Markdown: each field with its type, default, description and the messages
 * with which the API server refuses a value.
 *
 * @throws Error when a description does not tell the default, which `kubectl explain` leaves out.
 */
export function renderReference(resource: ResourceVersion): string {
  const { apiVersion, kind, plural, shortName, schema, columns } = resource;
  const { spec, status } = schema.properties ?? {};
  if (!spec || !status) throw new Error(`${kind} has no spec or no status`);
  return [
    '<!-- Generated from crds/ by `npm run generate`. Do not edit: change the CRD and run it again. -->',
    `# ${kind}`,
    `\`${apiVersion}\`, namespaced. kubectl knows it as \`${plural}\` and \`${shortName}\`; \`kubectl explain ${shortName}.spec.rotation\` prints what is below.`,
    schema.description ?? '',
    ...refusals(schema),
    'A duration is a number with a unit, or several of them, the largest first: `90m`, `26h`, `1h30m`, `1.5s`. Units are `h`, `m`, `s`, `ms`, `us` and `ns`; the longest duration is `876000h`.',
    '## Columns of `kubectl get`',
    table(columns),
    ...section('spec', spec, 2),
    ...section('status', status, 2),
    '',
  ]
    .join('\n\n')
    .replace(/\n+$/, '\n');
}

function section(path: string, schema: Schema, level: number): string[] {
  const heading = `${'#'.repeat(level)} ${path}`;
  const children = schema.items?.properties ?? schema.properties ?? {};
  const prefix = schema.items ? `${path}[]` : path;
  const required = schema.items?.required ?? schema.required ?? [];
  return [
    heading,
    ...field(path, schema),
    ...Object.entries(children).flatMap(([name, child]) => {
      const lines = section(`${prefix}.${name}`, child, 3);
      return required.includes(name) ? [lines[0] ?? '', '*Required.*', ...lines.slice(1)] : lines;
    }),
  ];
}

function field(path: string, schema: Schema): string[] {
  const { description } = schema;
  if (description === undefined) throw new Error(`${path} has no description`);
  if (isScalar(schema) && schema.default !== undefined) {
    const told = `Default: ${schema.default}`;
    if (!description.includes(told)) {
      throw new Error(`the description of ${path} does not say "${told}"`);
    }
  }
  return [
    typeOf(schema) + limits(schema),
    markdown(description),
    ...refusals(schema),
    ...(schema.items ? refusals(schema.items) : []),
  ];
}

function isScalar({ type }: Schema): boolean {
  return type !== 'object' && type !== 'array';
}

function typeOf(schema: Schema): string {
  if (schema.enum) return `One of ${schema.enum.map((value) => `\`${value}\``).join(', ')}`;
  if (schema.items) return `List of ${schema.items.type}s`;
  if (schema.format === 'date-time') return 'Time (RFC 3339)';
  return schema.type.charAt(0).toUpperCase() + schema.type.slice(1);
}

/** The limits that the API server reports in words of its own. */
function limits(schema: Schema): string {
  const keys = schema['x-kubernetes-list-map-keys'];
  const parts = [
    schema.maxItems === undefined ? '' : `at most ${schema.maxItems}`,
    schema['x-kubernetes-list-type'] === 'set' ? 'each once' : '',
    keys === undefined ? '' : `each \`${keys.join('`, `')}\` once`,
    schema.items?.maxLength === undefined ? '' : `each 1 to ${schema.items.maxLength} characters`,
    schema.maxLength === undefined ? '' : `at most ${schema.maxLength} characters`,
  ];
  return ['', ...parts.filter((part) => part !== '')].join(', ');
}

function refusals(schema: Schema): string[] {
  const rules = schema['x-kubernetes-validations'] ?? [];
  if (rules.length === 0) return [];
  return ['Refused:', rules.map(({ message }) => `- ${markdown(message)}`).join('\n')];
}

function table(columns: readonly PrinterColumn[]): string {
  const rows = columns.map(({ name, priority, description }) => {
    const heading = priority ? `${name.toUpperCase()} (\`-o wide\`)` : name.toUpperCase();
    return `| ${heading} | ${description} |`;
  });
  return ['| column | what it says |', '| --- | --- |', ...rows].join('\n');
}

/** Characters that mean something in Markdown. */
function markdown(text: string): string {
  return text.replace(/[*_<\\]/g, '\\$&');
}
