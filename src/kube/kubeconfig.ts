import { existsSync } from 'node:fs';
import type { AgentOptions, RequestOptions } from 'node:https';
import { isDeepStrictEqual } from 'node:util';
import { KubeConfig } from '@kubernetes/client-node';
import type { Access, Credentials } from './credentials.ts';
import { CredentialsError } from './errors.ts';

/** A kubeconfig: a path, else `KUBECONFIG`, else ~/.kube/config. Exec plugins are asked anew. */
export class KubeconfigFile implements Credentials {
  readonly server: string;
  readonly namespace: string;
  readonly #config = new KubeConfig();
  #tls: AgentOptions = {};

  /** @throws CredentialsError when the file, or a cluster in it, is missing. */
  constructor(path?: string) {
    if (path !== undefined && !existsSync(path)) {
      throw new CredentialsError(`no kubeconfig at ${path}: create it, or give another path`);
    }
    try {
      if (path === undefined) this.#config.loadFromDefault();
      else this.#config.loadFromFile(path);
    } catch {
      // The parser's message quotes the file, which holds credentials.
      throw new CredentialsError(
        `${path ?? 'the file that KUBECONFIG names'} cannot be read as a kubeconfig: try kubectl config view`,
      );
    }
    const cluster = this.#config.getCurrentCluster();
    if (!cluster?.server.startsWith('https:') || cluster.proxyUrl !== undefined) {
      throw new CredentialsError(
        'the kubeconfig has no current context with an https server reached without a proxy: choose one with kubectl config use-context, or set KUBECONFIG',
      );
    }
    this.server = cluster.server.replace(/\/+$/, '');
    const context = this.#config.getContextObject(this.#config.getCurrentContext());
    this.namespace = context?.namespace ?? 'default';
  }

  async access(): Promise<Access> {
    const options: RequestOptions = {};
    await this.#config.applyToHTTPSOptions(options);
    const { ca, cert, key, servername, rejectUnauthorized, auth, headers } = options;
    const tls = Object.fromEntries(
      Object.entries({ ca, cert, key, servername, rejectUnauthorized }).filter(
        ([, value]) => value !== undefined,
      ),
    );
    if (!isDeepStrictEqual(tls, this.#tls)) this.#tls = tls;
    return {
      headers: {
        ...(auth ? { authorization: `Basic ${Buffer.from(auth).toString('base64')}` } : {}),
        ...Object.fromEntries(
          Object.entries(headers ?? {}).map(([name, value]) => [name, String(value)]),
        ),
      },
      tls: this.#tls,
    };
  }

  refused(): boolean {
    return false;
  }
}
