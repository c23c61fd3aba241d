import { randomBytes } from 'node:crypto';
import { expect } from 'vitest';
import {
  ALLOWED_ISSUERS_ANNOTATION,
  API_VERSION,
  KIND,
  secretName,
} from '../../../src/api/constants.ts';
import type { ConditionType, EventReason } from '../../../src/api/reasons.ts';
import type {
  Condition,
  SigningKeySet,
  SigningKeySetSpec,
  SigningKeySetStatus,
} from '../../../src/api/signingkeyset.generated.ts';
import {
  type ConfigMapObject,
  type Metadata,
  paths,
  type SecretObject,
} from '../../../src/controller/objects.ts';
import { decodeKeyring } from '../../../src/keys/codec.ts';
import type { Keyring, KeyState } from '../../../src/keys/keyring.ts';
import { connect, type Kube } from '../../../src/kube/client.ts';
import { isNotFound } from '../../../src/kube/errors.ts';
import type { Cluster } from '../../controlplane/cluster.ts';
import { NAMESPACE } from '../../stack/permissions.ts';
import { type Stack, type StackOptions, startStack } from '../../stack/stack.ts';
import { eventually } from '../../support/eventually.ts';

export { NAMESPACE } from '../../stack/permissions.ts';

/** R and S are short here, so that the shortest safe grace period is L + 2 s. */
const SHORT: StackOptions = { maxStaleness: '1s', clockSkew: '1s' };

/** Made in no time, and tokens that expire soon. */
export const ES256: SigningKeySetSpec = {
  algorithm: 'ES256',
  rotation: { propagationDelay: '2s' },
  tokens: { maxLifetime: '1s' },
};

/** Previous keys stay for as long as a test looks. */
export const LONG_GRACE = { revocation: { gracePeriod: '1h' } } as const;

/** Milliseconds to wait for what takes a second or two: the machine may be busy. */
const PATIENCE = 30_000;

export interface ToldEvent {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
  readonly count: number;
}

interface List<T> {
  readonly items: readonly T[];
}

/** A cluster as its administrator sees it. */
export class Admin {
  readonly cluster: Cluster;
  readonly kube: Kube;

  protected constructor(cluster: Cluster, kube: Kube) {
    this.cluster = cluster;
    this.kube = kube;
  }

  protected static connect(cluster: Cluster): Promise<Kube> {
    return connect({ kubeconfig: cluster.kubeconfig, userAgent: 'controller-tests' });
  }

  async get<T>(path: string): Promise<T> {
    return (await this.kube.request('GET', path)).body as T;
  }

  async find<T>(path: string): Promise<T | undefined> {
    try {
      return await this.get<T>(path);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  async list<T>(path: string, query: Readonly<Record<string, string>> = {}): Promise<readonly T[]> {
    const { body } = await this.kube.request('GET', path, { query });
    return (body as List<T>).items;
  }

  async create<T>(path: string, body: object): Promise<T> {
    return (await this.kube.request('POST', path, { body })).body as T;
  }

  async patch(path: string, body: object): Promise<void> {
    await this.kube.request('PATCH', path, { body });
  }

  async delete(path: string): Promise<void> {
    await this.kube.request('DELETE', path);
  }

  /** A namespace of its own for each test. @param allowed issuer URL prefixes */
  async tenant(...allowed: readonly string[]): Promise<Tenant> {
    const name = `test-${randomBytes(4).toString('hex')}`;
    const annotations =
      allowed.length === 0 ? {} : { [ALLOWED_ISSUERS_ANNOTATION]: allowed.join(' ') };
    await this.create(paths.namespaces, {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name, annotations },
    });
    return new Tenant(this, name);
  }

  /** Ends connections; the cluster goes on. */
  close(): void {
    this.kube.close();
  }
}

/** Signet on a control plane of its own. */
export class World extends Admin {
  readonly stack: Stack;

  private constructor(stack: Stack, kube: Kube) {
    super(stack.controlPlane, kube);
    this.stack = stack;
  }

  static async start(options: StackOptions): Promise<World> {
    const stack = await startStack({ ...SHORT, ...options });
    return new World(stack, await Admin.connect(stack.controlPlane));
  }

  async stop(): Promise<void> {
    this.close();
    await this.stack.stop();
  }
}

export async function startWorld(options: StackOptions = {}): Promise<World> {
  return World.start(options);
}

/** A namespace with sets. */
export class Tenant {
  readonly admin: Admin;
  readonly name: string;

  constructor(admin: Admin, name: string) {
    this.admin = admin;
    this.name = name;
  }

  /** A set as a user would have applied it. */
  async apply(
    spec: SigningKeySetSpec = ES256,
    metadata: Partial<Metadata> = {},
  ): Promise<TenantSet> {
    const name = metadata.name ?? 'login';
    const manifest = { apiVersion: API_VERSION, kind: KIND, metadata: { ...metadata, name }, spec };
    const collection = paths.set(this.name, '').replace(/\/$/, '');
    const { metadata: made } = await this.admin.create<SigningKeySet>(collection, manifest);
    return new TenantSet(this, name, made.uid);
  }

  /** The same, once it is Ready. */
  async applyReady(
    spec: SigningKeySetSpec = ES256,
    metadata: Partial<Metadata> = {},
  ): Promise<TenantSet> {
    const set = await this.apply(spec, metadata);
    await set.until('Ready', 'True');
    return set;
  }

  configMap(name: string): Promise<ConfigMapObject | undefined> {
    return this.admin.find(paths.configMap(this.name, name));
  }
}

/** One set, by name; `uid` tells it from another of that name. */
export class TenantSet {
  readonly tenant: Tenant;
  readonly name: string;
  readonly uid: string;

  constructor(tenant: Tenant, name: string, uid: string) {
    this.tenant = tenant;
    this.name = name;
    this.uid = uid;
  }

  get path(): string {
    return paths.set(this.tenant.name, this.name);
  }

  get secretPath(): string {
    return paths.secret(NAMESPACE, secretName(this.uid));
  }

  read(): Promise<SigningKeySet> {
    return this.tenant.admin.get(this.path);
  }

  async status(): Promise<SigningKeySetStatus> {
    return (await this.read()).status ?? {};
  }

  async annotations(): Promise<Readonly<Record<string, string>>> {
    return (await this.read()).metadata.annotations ?? {};
  }

  /** What a user types: `kubectl annotate signingkeyset <name> …`. */
  async annotate(...args: readonly string[]): Promise<void> {
    const { admin, name } = this.tenant;
    await admin.cluster.kubectl(['annotate', 'signingkeyset', this.name, '-n', name, ...args]);
  }

  /** Merged into the spec. */
  async change(spec: SigningKeySetSpec): Promise<void> {
    await this.tenant.admin.patch(this.path, { spec });
  }

  async delete(): Promise<void> {
    await this.tenant.admin.delete(this.path);
  }

  secret(): Promise<SecretObject | undefined> {
    return this.tenant.admin.find(this.secretPath);
  }

  /** What the Secret holds. @throws KeyringDamagedError */
  async keyring(): Promise<Keyring> {
    const { data = {} } = await this.tenant.admin.get<SecretObject>(this.secretPath);
    return decodeKeyring(
      Object.fromEntries(
        Object.entries(data).map(([entry, text]) => [
          entry,
          Buffer.from(text, 'base64').toString(),
        ]),
      ),
    );
  }

  /** Newest first. */
  async kids(state: KeyState): Promise<readonly string[]> {
    const { keys } = await this.keyring();
    return keys.filter((key) => key.state === state).map(({ kid }) => kid);
  }

  async kid(state: KeyState): Promise<string> {
    const [kid] = await this.kids(state);
    if (kid === undefined) throw new Error(`${this.name} has no ${state} key`);
    return kid;
  }

  async condition(type: ConditionType): Promise<Condition | undefined> {
    const { conditions = [] } = await this.status();
    return conditions.find((condition) => condition.type === type);
  }

  /** Waits for a condition with this status, or with this reason. @returns its message. */
  until(type: ConditionType, wanted: string, timeout = PATIENCE): Promise<string> {
    return eventually(
      async () => {
        const { status, reason, message } = (await this.condition(type)) ?? {};
        expect([status, reason], message).toContain(wanted);
        return message ?? '';
      },
      { timeout },
    );
  }

  /** The Events of this very set, in no order. */
  async events(reason: EventReason): Promise<readonly ToldEvent[]> {
    return this.tenant.admin.list(`/api/v1/namespaces/${this.tenant.name}/events`, {
      fieldSelector: `involvedObject.uid=${this.uid},reason=${reason}`,
    });
  }

  /** Waits for an Event. @param part - of its message, where there may be others of that reason. */
  told(reason: EventReason, part = ''): Promise<ToldEvent> {
    return eventually(async () => {
      const event = (await this.events(reason)).find(({ message }) => message.includes(part));
      if (event === undefined) throw new Error(`no Event ${reason} about ${this.name}: ${part}`);
      return event;
    });
  }

  /** Waits until a promotion was reported. @returns the kid that signs. */
  promoted(from: string, timeout = PATIENCE): Promise<string> {
    return eventually(
      async () => {
        const { lastRotation, current = '' } = await this.status();
        expect(lastRotation?.from).toBe(from);
        const to = lastRotation?.to ?? '';
        expect(to.startsWith(current), `status.current is ${current}, and ${to} signs`).toBe(true);
        return to;
      },
      { timeout },
    );
  }

  /** Waits until no request annotation of a user is left. */
  consumed(): Promise<true> {
    return eventually(async () => {
      const left = Object.keys(await this.annotations());
      expect(left).not.toContain('rotate');
      expect(left).not.toContain('revoke');
      return true as const;
    });
  }
}
