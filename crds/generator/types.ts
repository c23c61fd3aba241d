import { compile, type JSONSchema } from 'json-schema-to-typescript';
import type { ResourceVersion, Schema } from './schema.ts';

/** The name of the interface for each object in the schema, by its path. */
const INTERFACES: Readonly<Record<string, string>> = {
  '': 'SigningKeySet',
  metadata: 'ObjectMeta',
  spec: 'SigningKeySetSpec',
  'spec.rsa': 'RsaSpec',
  'spec.rotation': 'RotationSpec',
  'spec.rotation.schedule': 'ScheduleSpec',
  'spec.revocation': 'RevocationSpec',
  'spec.tokens': 'TokensSpec',
  'spec.certificate': 'CertificateSpec',
  'spec.publish': 'PublishSpec',
  'spec.publish.configMaps[]': 'ConfigMapTarget',
  status: 'SigningKeySetStatus',
  'status.conditions[]': 'Condition',
  'status.keys[]': 'KeyStatus',
  'status.lastRotation': 'LastRotationStatus',
};

const TEXT: JSONSchema = { type: 'string' };
const TEXTS: JSONSchema = { type: 'object', additionalProperties: { type: 'string' } };

/** A CRD says nothing about metadata, so this does: what an object read from the API server has. */
const OBJECT_META: JSONSchema = {
  type: 'object',
  description: 'What Kubernetes keeps about every object. As in the JSON: times are RFC 3339 text.',
  required: ['name', 'namespace', 'uid', 'resourceVersion', 'generation', 'creationTimestamp'],
  properties: {
    name: { ...TEXT },
    namespace: { ...TEXT },
    uid: { ...TEXT },
    resourceVersion: { ...TEXT, description: 'Guards every write.' },
    generation: { type: 'integer', description: 'Goes up with each change of the spec.' },
    creationTimestamp: { ...TEXT },
    deletionTimestamp: { ...TEXT },
    labels: TEXTS,
    annotations: TEXTS,
    finalizers: { type: 'array', items: { ...TEXT } },
  },
};

const BANNER = `// Generated from crds/ by \`npm run generate\`. Do not edit: change the CRD and run it again.`;

/** Writes the CRD's schema as readonly TypeScript interfaces. */
export async function renderTypes(resource: ResourceVersion): Promise<string> {
  const root = toJsonSchema(resource.schema, '');
  root.required = ['apiVersion', 'kind', 'metadata'];
  root.properties = {
    ...root.properties,
    apiVersion: { type: 'string', enum: [resource.apiVersion] },
    kind: { type: 'string', enum: [resource.kind] },
    metadata: { ...OBJECT_META, title: interfaceName('metadata'), additionalProperties: false },
  };
  const text = await compile(root, resource.kind, {
    additionalProperties: false,
    bannerComment: BANNER,
    ignoreMinAndMaxItems: true,
    style: { bracketSpacing: true, printWidth: 100, singleQuote: true },
  });
  return tidy(readonly(text));
}

function toJsonSchema(schema: Schema, path: string): JSONSchema {
  const result: JSONSchema = { type: schema.type };
  if (schema.description !== undefined) result.description = wrap(schema.description, 94);
  if (schema.enum) result.enum = [...schema.enum];
  if (schema.items) result.items = toJsonSchema(schema.items, `${path}[]`);
  if (schema.type === 'object') {
    result.title = interfaceName(path);
    result.required = [...(schema.required ?? [])];
    result.properties = Object.fromEntries(
      Object.entries(schema.properties ?? {}).map(([name, property]) => [
        name,
        toJsonSchema(property, path === '' ? name : `${path}.${name}`),
      ]),
    );
  }
  return result;
}

function interfaceName(path: string): string {
  const name = INTERFACES[path];
  if (name === undefined) {
    throw new Error(
      `no interface name for ${path}: add one to INTERFACES in ${import.meta.filename}`,
    );
  }
  return name;
}

function wrap(text: string, width: number): string {
  const lines = [''];
  for (const word of text.split(/\s+/)) {
    const line = lines.at(-1) ?? '';
    if (line !== '' && line.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines.join('\n');
}

/** Objects that came from the API server are never changed in place. */
function readonly(text: string): string {
  return text
    .replace(/^(\s+)((?:\w+\??|\[k: string\]):)/gm, '$1readonly $2')
    .replace(/: (.+)\[\];$/gm, ': readonly $1[];');
}

/** Short comments on one line, and a blank line between interfaces. */
function tidy(text: string): string {
  return text.replace(/\/\*\*\n\s+\* (.+)\n\s+\*\//g, '/** $1 */').replace(/^}\n(?=\S)/gm, '}\n\n');
}
