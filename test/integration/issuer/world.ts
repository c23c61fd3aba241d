import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import {
  HOUR,
  MINUTE,
  SECRET_TYPE,
  SET_NAME_LABEL,
  SET_NAMESPACE_LABEL,
  secretName,
} from '../../../src/api/constants.ts';
import { type IssuerOptions, type RunningIssuer, startIssuer } from '../../../src/issuer/issuer.ts';
import { encodeKeyring } from '../../../src/keys/codec.ts';
import type { Keyring } from '../../../src/keys/keyring.ts';
import { connect, type Kube } from '../../../src/kube/client.ts';
import { isNotFound } from '../../../src/kube/errors.ts';
import type { StoredObject } from '../../../src/kube/store.ts';
import { createLog } from '../../../src/telemetry/log.ts';
import { createRegistry } from '../../../src/telemetry/metrics.ts';
import type { Cluster } from '../../controlplane/cluster.ts';
import { canariesIn, placesWith } from '../../support/canary.ts';
import { makeNamespace, sharedCluster } from '../../support/cluster.ts';
import { eventually } from '../../support/eventually.ts';
import { type Account, accountsIn } from './accounts.ts';

export type { Account } from './accounts.ts';

const CHART = join(import.meta.dirname, '..', '..', '..', 'charts', 'signet');
/** What the issuer's own ServiceAccount is and may do, as the chart says; and nothing else. */
const TEMPLATES = ['serviceaccounts.yaml', 'rbac-issuer.yaml'];

export type WorldOptions = Partial<
  Pick<IssuerOptions, 'clock' | 'maxStaleness' | 'clockSkew' | 'limits'>
> & {
  /** Through which the issuer reaches the API server, such as a proxy's; default: its own. */
  readonly apiPort?: number;
  /** Whether there is a pod, of which the issuer is told the uid; no kubelet runs it. */
  readonly inPod?: boolean;
};

/** The name of the issuer's pod, if it had one. */
export const REPLICA = 'signet-0';

interface Rule {
  readonly resources: readonly string[];
}

const ISSUED = /eyJ[\w-]+\.[\w-]+\.[\w-]+/g;

/** A line of the issuer's log. */
export interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly secret?: string;
  readonly audit?: string;
  readonly aud?: unknown;
}

/** The body of a reply, as what the test takes it to be. */
export async function json<T>(response: Response | Promise<Response>): Promise<T> {
  return (await (await response).json()) as T;
}

/** An issuer on the real control plane, under the chart's ServiceAccount, and a tenant with sets. */
export class World implements AsyncDisposable {
  readonly cluster: Cluster;
  readonly operator: string;
  readonly tenant: string;
  readonly lines: LogLine[] = [];
  readonly registry = createRegistry();
  /** Text that may stand in no reply and no log line. */
  readonly #canaries = new Set<string>();
  /** Tokens that were given to callers: in no log line either. */
  readonly #issued = new Set<string>();
  readonly #said: string[] = [];
  readonly #tokens = new Map<string, Promise<string>>();
  readonly #stop = new AbortController();
  readonly #dir = mkdtempSync(join(tmpdir(), 'signet-issuer-'));
  readonly #admin: Kube;
  #kube: Kube | undefined;
  #issuer: RunningIssuer | undefined;
  #rules: readonly Rule[] = [];

  constructor(cluster: Cluster, admin: Kube, operator: string, tenant: string) {
    this.cluster = cluster;
    this.operator = operator;
    this.tenant = tenant;
    this.#admin = admin;
  }

  get issuer(): RunningIssuer {
    if (this.#issuer === undefined) throw new Error('the issuer was not started');
    return this.#issuer;
  }

  /** Under which every set of this issuer answers at `/<namespace>/<name>`. */
  get base(): string {
    return `http://${this.issuer.address}`;
  }

  async start({ apiPort, inPod = false, ...options }: WorldOptions): Promise<void> {
    const { cluster, operator } = this;
    await cluster.serviceAccountCredentials(this.#dir, operator, `${operator}-issuer`);
    const { hostname, port } = new URL(cluster.server);
    this.#kube = await connect({
      credentialsDir: this.#dir,
      userAgent: 'signet-issuer',
      env: { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: `${apiPort ?? port}` },
    });
    this.#issuer = await startIssuer({
      kube: this.#kube,
      namespace: operator,
      replica: { name: REPLICA, ...(inPod && { uid: await this.#createPod() }) },
      listeners: { plain: { address: '127.0.0.1:0', credentials: true } },
      drainDelay: 0,
      log: createLog({ component: 'issuer', destination: { write: (line) => this.#hear(line) } }),
      registry: this.registry,
      clock: Date.now,
      maxStaleness: HOUR,
      clockSkew: 5 * MINUTE,
      signal: this.#stop.signal,
      ...options,
    });
    await eventually(() => expect(this.issuer.ready()).toBe(true));
  }

  /** The path of the Secret in which a ring is stored. */
  secretPath(ring?: Keyring): string {
    const collection = `/api/v1/namespaces/${this.operator}/secrets`;
    return ring === undefined ? collection : `${collection}/${secretName(ring.owner.uid)}`;
  }

  /** A set as the controller would have stored it, once the issuer serves it. */
  async store(ring: Keyring): Promise<Keyring> {
    this.#learn(ring);
    await this.#admin.request('POST', this.secretPath(), { body: this.#secret(ring) });
    await eventually(() => this.heard('Loaded a keyring.', secretName(ring.owner.uid)));
    return ring;
  }

  /** Replaces what the Secret of a ring holds; `damage` replaces single entries. */
  async replace(ring: Keyring, damage: Readonly<Record<string, string>> = {}): Promise<void> {
    this.#learn(ring);
    const secret = this.#secret(ring);
    const stringData = { ...secret.stringData, ...damage };
    await this.#admin.request('PUT', this.secretPath(ring), { body: { ...secret, stringData } });
  }

  /** The resourceVersion of the Secret of a ring. */
  async version(ring: Keyring): Promise<string | undefined> {
    return (await this.find<StoredObject>(this.secretPath(ring)))?.metadata?.resourceVersion;
  }

  async find<T>(path: string): Promise<T | undefined> {
    try {
      return (await this.#admin.request('GET', path)).body as T;
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  async remove(path: string): Promise<void> {
    await this.#admin.request('DELETE', path);
  }

  /** Takes the issuer's permission for one resource of its namespace away. */
  async forbid(resource: 'leases' | 'secrets'): Promise<void> {
    const { rules } = (await this.#admin.request('GET', this.#rolePath)).body as { rules: Rule[] };
    await this.#setRules(rules.filter(({ resources }) => !resources.includes(resource)));
    this.#rules = rules;
  }

  /** Gives it back. */
  async allow(): Promise<void> {
    await this.#setRules(this.#rules);
  }

  async #createPod(): Promise<string> {
    const { body } = await this.#admin.request('POST', `/api/v1/namespaces/${this.operator}/pods`, {
      body: {
        metadata: { name: REPLICA },
        spec: {
          automountServiceAccountToken: false,
          containers: [{ name: 'issuer', image: 'signet' }],
        },
      },
    });
    const { uid } = (body as StoredObject).metadata ?? {};
    if (uid === undefined) throw new Error('the pod was not made');
    return uid;
  }

  get #rolePath(): string {
    const name = `${this.operator}-issuer`;
    return `/apis/rbac.authorization.k8s.io/v1/namespaces/${this.operator}/roles/${name}`;
  }

  async #setRules(rules: readonly Rule[]): Promise<void> {
    await this.#admin.request('PATCH', this.#rolePath, { body: { rules } });
  }

  /** A Secret named after the owner of `ring`, with other entries where `damage` has them. */
  async create(ring: Keyring, damage: Readonly<Record<string, string>>): Promise<void> {
    const secret = this.#secret(ring);
    const stringData = { ...secret.stringData, ...damage };
    await this.#admin.request('POST', this.secretPath(), { body: { ...secret, stringData } });
  }

  async delete(ring: Keyring): Promise<void> {
    await this.#admin.request('DELETE', this.secretPath(ring));
  }

  /** `issuer`, `owner` and a fresh uid for a set of this world, for `aKeyring().with(…)`. */
  identity(name: string, issuer = `${this.base}/${this.tenant}/${name}`) {
    const owner = { namespace: this.tenant, name, uid: randomUUID(), namespaceUid: randomUUID() };
    return { owner, issuer };
  }

  /** A token of one of the tenant's ServiceAccounts; asked for once. */
  token(account: Account, audience: string): Promise<string> {
    const key = `${account} ${audience}`;
    const token =
      this.#tokens.get(key) ?? this.cluster.token(this.tenant, account, { audiences: [audience] });
    this.#tokens.set(key, token);
    void token.then((text) => this.#canaries.add(text));
    return token;
  }

  username(account: Account): string {
    return `system:serviceaccount:${this.tenant}:${account}`;
  }

  /** `fetch`, with the path under the issuer's address, remembering what was answered. */
  async fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const response = await fetch(`${this.base}${path}`, { redirect: 'error', ...init });
    const text = await response.clone().text();
    this.#said.push(`${JSON.stringify([...response.headers])} ${text}`);
    for (const [token] of text.matchAll(ISSUED)) this.#issued.add(token);
    return response;
  }

  /** Whether a line with this message was logged, of this Secret. */
  heard(message: string, secret: string): boolean {
    return this.lines.some((line) => line.msg === message && line.secret === secret);
  }

  /** Remembers an answer that came another way than by `fetch`. */
  remember(answer: string): void {
    this.#said.push(answer);
  }

  /** What of the keys and tokens of this world stands in a reply or a log line. */
  leaks(): string[] {
    const all = [...this.#said, ...this.lines.map((line) => JSON.stringify(line))].join('\n');
    return [...this.#canaries].filter((canary) => all.includes(canary));
  }

  /** What was answered so far was looked at, and need not be again. */
  forget(): void {
    this.#said.length = 0;
  }

  /** The places that show anything of the keys and tokens of this world, at its end. */
  async #leakyPlaces(): Promise<readonly string[]> {
    const log = JSON.stringify(this.lines);
    const { body } = await this.#admin.request('GET', '/api/v1/events');
    return [
      ...placesWith(this.#canaries, {
        replies: this.#said.join('\n'),
        events: JSON.stringify(body),
        metrics: await this.registry.metrics(),
        log,
      }),
      ...placesWith(this.#issued, { 'log (a token that was issued)': log }),
    ];
  }

  get remembered(): { canaries: number; replies: number } {
    return { canaries: this.#canaries.size, replies: this.#said.length };
  }

  /** @throws Error naming the places where a private key or a token can be seen (I12). */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#issuer?.close();
    const leaky = await this.#leakyPlaces();
    this.#stop.abort();
    this.#kube?.close();
    this.#admin.close();
    rmSync(this.#dir, { recursive: true, force: true });
    const namespaces = ['delete', 'namespace', this.operator, this.tenant, '--wait=false'];
    await this.cluster.kubectl(namespaces);
    const roles = `${this.operator}-issuer`;
    await this.cluster.kubectl(['delete', 'clusterrole,clusterrolebinding', roles]);
    if (leaky.length > 0) throw new Error(`a private key or a token is seen in: ${leaky}`);
  }

  #hear(line: string): void {
    this.lines.push(JSON.parse(line));
  }

  #learn(ring: Keyring): void {
    for (const { privateKey } of ring.keys) {
      if (privateKey === undefined) continue;
      for (const canary of canariesIn(privateKey.exportPem())) this.#canaries.add(canary);
    }
  }

  #secret(ring: Keyring) {
    const { namespace, name, uid } = ring.owner;
    return {
      apiVersion: 'v1',
      kind: 'Secret',
      type: SECRET_TYPE,
      metadata: {
        name: secretName(uid),
        labels: { [SET_NAMESPACE_LABEL]: namespace, [SET_NAME_LABEL]: name },
      },
      stringData: encodeKeyring(ring),
    };
  }
}

/** @param shared - another control plane than the one that all tests share, where it comes to harm. */
export async function startWorld(options: WorldOptions = {}, shared?: Cluster): Promise<World> {
  const cluster = shared ?? (await sharedCluster());
  const [operator, tenant] = await Promise.all([makeNamespace(cluster), makeNamespace(cluster)]);
  const admin = await connect({ kubeconfig: cluster.kubeconfig, userAgent: 'issuer-tests' });
  const world = new World(cluster, admin, operator, tenant);
  const { stdout: chart } = await cluster.helm([
    ...['template', operator, CHART, '-n', operator, '--set', `fullnameOverride=${operator}`],
    ...TEMPLATES.flatMap((name) => ['--show-only', `templates/${name}`]),
  ]);
  await cluster.kubectl(['create', '-f', '-'], { input: chart });
  await cluster.kubectl(['create', '-f', '-'], { input: JSON.stringify(accountsIn(tenant)) });
  await world.start(options);
  return world;
}
