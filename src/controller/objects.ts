import { API_VERSION, PLURAL } from '../api/constants.ts';

/** The Kubernetes objects that the controller reads and writes, as far as it looks at them. */
export interface Metadata {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface SecretObject {
  readonly apiVersion: 'v1';
  readonly kind: 'Secret';
  readonly metadata: Metadata;
  readonly type: string;
  /** Base64. */
  readonly data?: Readonly<Record<string, string>>;
}

export interface ConfigMapObject {
  readonly apiVersion: 'v1';
  readonly kind: 'ConfigMap';
  readonly metadata: Metadata;
  readonly immutable?: boolean;
  readonly data?: Readonly<Record<string, string>>;
  /** Base64. */
  readonly binaryData?: Readonly<Record<string, string>>;
}

export interface NamespaceObject {
  readonly metadata: Metadata;
}

/** Collections and objects of the API server, by path. */
export const paths = {
  sets: `/apis/${API_VERSION}/${PLURAL}`,
  setsIn: (namespace: string) => `/apis/${API_VERSION}/namespaces/${namespace}/${PLURAL}`,
  set: (namespace: string, name: string) =>
    `/apis/${API_VERSION}/namespaces/${namespace}/${PLURAL}/${name}`,
  secrets: (namespace: string) => `/api/v1/namespaces/${namespace}/secrets`,
  secret: (namespace: string, name: string) => `/api/v1/namespaces/${namespace}/secrets/${name}`,
  allConfigMaps: '/api/v1/configmaps',
  configMaps: (namespace: string) => `/api/v1/namespaces/${namespace}/configmaps`,
  configMap: (namespace: string, name: string) =>
    `/api/v1/namespaces/${namespace}/configmaps/${name}`,
  namespaces: '/api/v1/namespaces',
  token: (namespace: string, serviceAccount: string) =>
    `/api/v1/namespaces/${namespace}/serviceaccounts/${serviceAccount}/token`,
} as const;
