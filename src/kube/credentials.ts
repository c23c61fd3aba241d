import { readFileSync } from 'node:fs';
import type { AgentOptions } from 'node:https';
import { isIPv6 } from 'node:net';
import { join } from 'node:path';
import { CredentialsError } from './errors.ts';

/** As whom to call, and which server to trust. `tls` stays the same object until it changes. */
export interface Access {
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: AgentOptions;
}

export interface Credentials {
  /** Such as `https://10.96.0.1:443`. */
  readonly server: string;
  /** The namespace that these credentials come from. */
  readonly namespace: string;
  access(): Access | Promise<Access>;
  /** The server said 401. @returns whether another try, with what is there now, makes sense. */
  refused(): boolean;
}

/** How long a token file is trusted before it is read again; the kubelet replaces it early. */
const REREAD_MS = 1_000;

/**
 * A folder laid out as /var/run/secrets/kubernetes.io/serviceaccount. Token and CA are read again
 * when they may have changed; a file that is missing in the middle of a rotation leaves the last
 * one in force.
 */
export class ServiceAccountFolder implements Credentials {
  readonly server: string;
  readonly namespace: string;
  readonly #dir: string;
  #token = '';
  #access: Access = { headers: {}, tls: {} };
  #readAt = 0;

  /** @throws CredentialsError naming the file or variable that is missing. */
  constructor(dir: string, env: NodeJS.ProcessEnv = process.env) {
    const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port = '443' } = env;
    if (!host) {
      throw new CredentialsError(
        'KUBERNETES_SERVICE_HOST is not set: run in a pod, or set KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT, or give a kubeconfig',
      );
    }
    this.server = `https://${isIPv6(host) ? `[${host}]` : host}:${port}`;
    this.#dir = dir;
    this.namespace = this.#file('namespace');
    this.#read();
  }

  access(): Access {
    if (performance.now() - this.#readAt >= REREAD_MS) this.#reread();
    return this.#access;
  }

  refused(): boolean {
    const before = this.#token;
    this.#reread();
    return this.#token !== before;
  }

  #reread(): void {
    try {
      this.#read();
    } catch (error) {
      if (!(error instanceof CredentialsError)) throw error;
    }
  }

  #read(): void {
    const token = this.#file('token');
    const ca = this.#file('ca.crt');
    this.#readAt = performance.now();
    this.#token = token;
    this.#access = {
      headers: { authorization: `Bearer ${token}` },
      tls: ca === this.#access.tls.ca ? this.#access.tls : { ca },
    };
  }

  #file(name: string): string {
    const path = join(this.#dir, name);
    try {
      const text = readFileSync(path, 'utf8').trim();
      if (text === '') throw new Error('the file is empty');
      return text;
    } catch (cause) {
      throw new CredentialsError(
        `cannot read ${path}: mount a ServiceAccount token volume (token, ca.crt, namespace) there, or wait until it is filled`,
        { cause },
      );
    }
  }
}
