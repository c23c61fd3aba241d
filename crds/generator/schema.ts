import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';

/** A CEL rule as a CRD carries it. */
interface ValidationRule {
  readonly rule: string;
  readonly message: string;
  readonly messageExpression?: string;
  readonly fieldPath?: string;
}

/** The part of an OpenAPI v3 structural schema that this CRD uses. */
export interface Schema {
  readonly type: 'object' | 'array' | 'string' | 'integer' | 'boolean';
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly (string | number)[];
  readonly format?: string;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly maxItems?: number;
  readonly minimum?: number;
  readonly pattern?: string;
  readonly 'x-kubernetes-list-type'?: 'atomic' | 'set' | 'map';
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
  readonly 'x-kubernetes-validations'?: readonly ValidationRule[];
}

export interface PrinterColumn {
  readonly name: string;
  readonly priority?: number;
  readonly description: string;
  readonly jsonPath: string;
}

/** One version of a CRD, with what the generators need of the rest. */
export interface ResourceVersion {
  readonly apiVersion: string;
  readonly kind: string;
  readonly plural: string;
  readonly shortName: string;
  readonly columns: readonly PrinterColumn[];
  readonly schema: Schema;
}

interface Crd {
  readonly spec: {
    readonly group: string;
    readonly names: {
      readonly kind: string;
      readonly plural: string;
      readonly shortNames: readonly [string];
    };
    readonly versions: readonly [
      {
        readonly name: string;
        readonly additionalPrinterColumns: readonly PrinterColumn[];
        readonly schema: { readonly openAPIV3Schema: Schema };
      },
    ];
  };
}

/** Reads the CRD at `path`; that it is a valid one is for the API server to say. */
export async function readResource(path: URL): Promise<ResourceVersion> {
  const { spec }: Crd = parse(await readFile(path, 'utf8'));
  const [version] = spec.versions;
  return {
    apiVersion: `${spec.group}/${version.name}`,
    kind: spec.names.kind,
    plural: spec.names.plural,
    shortName: spec.names.shortNames[0],
    columns: version.additionalPrinterColumns,
    schema: version.schema.openAPIV3Schema,
  };
}
