import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { invoke } from '../controlplane/clients.ts';

interface ForeignCrd {
  readonly module: string;
  readonly version: string;
  /** Of the module's zip, as go.sum has it. */
  readonly sum: string;
  readonly path: string;
}

const OPERATOR = {
  module: 'github.com/prometheus-operator/prometheus-operator',
  version: 'v0.85.0',
  sum: 'h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=',
} as const;

/** CRDs of others that the chart can make objects of, as their projects publish them. */
export const FOREIGN_CRDS: readonly ForeignCrd[] = [
  ...['prometheusrules', 'servicemonitors'].map((plural) => ({
    ...OPERATOR,
    path: `example/prometheus-operator-crd/monitoring.coreos.com_${plural}.yaml`,
  })),
  {
    module: 'sigs.k8s.io/gateway-api',
    version: 'v1.4.1',
    sum: 'h1:NPxFutNkKNa8UfLd2CMlEuhIPMQgDQ6DXNKG9sHbJU8=',
    path: 'config/crd/standard/gateway.networking.k8s.io_httproutes.yaml',
  },
  {
    module: 'github.com/cert-manager/cert-manager',
    version: 'v1.21.2',
    sum: 'h1:UWgoYM+KLNtRlqmoWOKjKBOBUPVHeepQ6/ac3ERJW68=',
    path: 'deploy/crds/cert-manager.io_certificates.yaml',
  },
];

/**
 * Downloads a module (4 MB, kept by Go) and nothing that it needs.
 *
 * @returns the path of the CRD in it.
 * @throws Error when Go is missing, or what it brought is not what it was.
 */
export async function foreignCrd({ module, version, sum, path }: ForeignCrd): Promise<string> {
  const cwd = mkdtempSync(join(tmpdir(), 'signet-module-'));
  try {
    const download = ['mod', 'download', '-json', `${module}@${version}`];
    const { stdout } = await invoke('go', download, process.env, { cwd }).catch((cause) => {
      throw new Error('the CRDs of others come by Go: install Go 1.25 or newer', { cause });
    });
    const found: { Dir: string; Sum: string } = JSON.parse(stdout);
    if (found.Sum !== sum) throw new Error(`${module}@${version} is ${found.Sum}, not ${sum}`);
    return join(found.Dir, path);
  } finally {
    rmSync(cwd, { recursive: true });
  }
}
