import { expect } from 'vitest';
import { SECOND } from '../../../src/api/constants.ts';
import type { SigningKeySetSpec } from '../../../src/api/signingkeyset.generated.ts';
import { paths } from '../../../src/controller/objects.ts';
import type { Kube } from '../../../src/kube/client.ts';
import { auditEvents, countWrites } from '../../controlplane/audit.ts';
import { type ControlPlane, startControlPlane } from '../../controlplane/controlplane.ts';
import { SERVICE_ACCOUNTS } from '../../stack/permissions.ts';
import { type Stack, type StackOptions, startStack } from '../../stack/stack.ts';
import { eventually } from '../../support/eventually.ts';
import { Ledger } from '../../support/traffic/ledger.ts';
import { type Tally, VERIFIERS } from '../../support/traffic/messages.ts';
import { Traffic } from '../../support/traffic/traffic.ts';
import { request } from '../controller/promotions.ts';
import { Admin, NAMESPACE, type Tenant, type TenantSet } from '../controller/world.ts';
import { accountsIn } from '../issuer/accounts.ts';

/** P, L, R and S, in seconds. A previous key leaves R + L + S = 13 s after its last signature. */
export const P = 4;
const L = 8;
const R = 3;
const S = 2;
/** How late a gateway sees a ConfigMap, in milliseconds: less than P. */
const MOUNT_DELAY = 1_500;
/** Between two tokens of one set, in milliseconds. */
const INTERVAL = 300;
/** A busy machine takes its time. */
export const PATIENCE = { timeout: 60_000, interval: 100 };
/** Of a test, and of a hook that starts everything. */
export const FAULT = { timeout: 240_000 };
/** Of the clients' credentials. */
const TOKEN_SECONDS = 3_600;
/** How long a system that has converged is watched, in milliseconds (I20). */
const SILENCE = 30_000;

/** A set of this name, which publishes a ConfigMap too. */
export function specOf(name: string): SigningKeySetSpec {
  return {
    algorithm: 'ES256',
    rotation: { propagationDelay: `${P}s` },
    tokens: { maxLifetime: `${L}s` },
    publish: { configMaps: [{ name: `${name}-keys` }] },
  };
}

/**
 * Signet on a control plane of its own, and sets whose tokens are signed and verified all the time
 * by a process that follows the cache headers.
 */
export class Site extends Admin {
  readonly plane: ControlPlane;
  readonly stack: Stack;
  readonly traffic: Traffic;
  readonly ledger = new Ledger(P * SECOND);
  /** How many rotations were asked for. */
  asked = 0;
  readonly #followed = new Set<TenantSet>();

  private constructor(plane: ControlPlane, stack: Stack, kube: Kube, traffic: Traffic) {
    super(plane, kube);
    this.plane = plane;
    this.stack = stack;
    this.traffic = traffic;
  }

  /** @param around - what stands between Signet and the control plane. */
  static async start(
    around: (plane: ControlPlane) => Promise<StackOptions> = async () => ({}),
  ): Promise<Site> {
    const plane = await startControlPlane();
    try {
      const stack = await startStack({
        controlPlane: plane,
        maxStaleness: `${R}s`,
        clockSkew: `${S}s`,
        ...(await around(plane)),
      });
      const traffic = await Traffic.start(stack, { interval: INTERVAL, mountDelay: MOUNT_DELAY });
      return new Site(plane, stack, await Admin.connect(plane), traffic);
    } catch (error) {
      await plane.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    this.close();
    await this.traffic[Symbol.asyncDispose]();
    await this.stack.stop();
    await this.plane.stop();
  }

  /** A namespace with those who may sign. */
  async tenantWithAccounts(): Promise<Tenant> {
    const tenant = await this.tenant();
    const input = JSON.stringify(accountsIn(tenant.name));
    await this.cluster.kubectl(['create', '-f', '-'], { input });
    return tenant;
  }

  /** A set in a namespace of its own, with a ConfigMap, and traffic from now on. */
  async set(changes: SigningKeySetSpec = {}): Promise<TenantSet> {
    const tenant = await this.tenantWithAccounts();
    const set = await tenant.apply({ ...specOf('login'), ...changes });
    await set.until('Published', 'True', PATIENCE.timeout);
    await this.follow(set);
    // The next key of a new set does not wait for P; every later one does.
    await this.rotate(set);
    return set;
  }

  /** Signs and verifies tokens of a set. Resolves once every verifier has verified one. */
  async follow(set: TenantSet): Promise<void> {
    const namespace = set.tenant.name;
    const { issuer = '' } = await set.status();
    const asked = { spec: { audiences: [issuer], expirationSeconds: TOKEN_SECONDS } };
    const { status } = await this.create<{ status: { token: string } }>(
      paths.token(namespace, 'authority'),
      asked,
    );
    const credential = status.token;
    const place = { namespace, name: set.name, configMap: `${set.name}-keys` };
    this.traffic.follow({ ...place, issuer, credential, lifetime: L });
    this.#followed.add(set);
    await this.verified(await set.kid('current'));
  }

  /** No more tokens of a set; those that are under way are verified to their end. */
  forget(set: TenantSet): void {
    this.traffic.forget(set.tenant.name, set.name);
    this.#followed.delete(set);
  }

  /** A set was made again: its clients notice nothing. */
  goesOnAs(set: TenantSet, again: TenantSet): void {
    this.#followed.delete(set);
    this.#followed.add(again);
  }

  /** Waits until every verifier has verified a token of this key. */
  async verified(kid: string): Promise<void> {
    await eventually(async () => {
      const { lastVerified } = await this.traffic.tally();
      expect(Object.keys(lastVerified[kid] ?? {}).sort(), kid).toEqual([...VERIFIERS].sort());
    }, PATIENCE);
  }

  /** A rotation from the command to the first token that everybody verifies. */
  async rotate(set: TenantSet): Promise<void> {
    const before = await set.kid('current');
    await this.#ask(set);
    await this.verified(await set.promoted(before, PATIENCE.timeout));
  }

  /** Waits until whoever mounts ConfigMaps has read those of a set as they are now. */
  async mounted(set: TenantSet): Promise<void> {
    const since = Date.now();
    await eventually(
      () =>
        auditEvents(this.plane.auditLog, { since }).some(
          ({ verb, objectRef }) =>
            verb === 'list' &&
            objectRef?.resource === 'configmaps' &&
            objectRef.namespace === set.tenant.name,
        ),
      PATIENCE,
    );
  }

  /** No token was refused that should verify, and none verified that was revoked. */
  async refusesNothing(): Promise<Tally> {
    const seen = await this.traffic.tally();
    const refused = this.ledger.wronglyRefused(seen);
    expect(refused, `${refused.length} tokens wrongly refused`).toEqual([]);
    expect(this.ledger.unjudged(seen), 'refused tokens that nobody judged').toBe(0);
    const accepted = this.ledger.wronglyAccepted(seen);
    expect(accepted, `${accepted.length} revoked keys wrongly accepted`).toEqual([]);
    return seen;
  }

  /**
   * No token was refused that should verify (I1), and enough were looked at to say so.
   *
   * @param since - what had been seen before the fault.
   */
  async unbroken(since?: Tally): Promise<Tally> {
    const seen = await this.refusesNothing();
    for (const verifier of VERIFIERS) {
      const verified = seen.verified[verifier] - (since?.verified[verifier] ?? 0);
      expect(verified, `tokens that ${verifier} verified`).toBeGreaterThan(20);
    }
    expect(seen.verifiedLate - (since?.verifiedLate ?? 0)).toBeGreaterThan(5);
    return seen;
  }

  /** What was harmed is well again: Ready, published everywhere, and a fresh rotation works. */
  async recovers(set: TenantSet): Promise<void> {
    await set.until('Ready', 'True', PATIENCE.timeout);
    await set.until('Published', 'True', PATIENCE.timeout);
    await this.rotate(set);
  }

  /**
   * Something happens while a rotation waits for P. The rotation is carried out, another one works,
   * and no token is refused in all that time.
   */
  async inMidRotation(set: TenantSet, harm: () => Promise<void>): Promise<void> {
    const before = await this.traffic.tally();
    const current = await this.askAndWait(set);
    await harm();
    await this.verified(await set.promoted(current, PATIENCE.timeout));
    await this.recovers(set);
    await this.unbroken(before);
  }

  /**
   * Asks for a rotation that has to wait, for half of P at least. Where less of P is left it comes
   * soon; the next key after that has its P before it.
   * @returns the kid that signs meanwhile.
   */
  async askAndWait(set: TenantSet): Promise<string> {
    const current = await set.kid('current');
    await this.#ask(set);
    const waits = await eventually(async () => {
      const { conditions = [], promotableAt } = await set.status();
      const pending = conditions.find(({ type }) => type === 'RotationPending');
      const isSoon = Date.parse(promotableAt ?? '') < Date.now() + (P / 2) * SECOND;
      if (pending?.status === 'True' && !isSoon) return 'yes';
      return (await set.kid('current')) !== current && 'no';
    }, PATIENCE);
    return waits === 'yes' ? current : this.askAndWait(set);
  }

  async #ask(set: TenantSet): Promise<void> {
    this.asked += 1;
    await request(set);
  }

  /** Waits until the issuer refuses to sign, because it cannot confirm what it holds (I14). */
  async lapses(): Promise<void> {
    const { unsigned: before } = await this.traffic.tally();
    await eventually(async () => {
      const { unsigned } = await this.traffic.tally();
      expect(unsigned['replica_lapsed'] ?? 0).toBeGreaterThan(before['replica_lapsed'] ?? 0);
    }, PATIENCE);
  }

  /** Once no old key is left, nothing but Leases is written for 30 s, and tokens go on (I20). */
  async fallsSilent(): Promise<void> {
    for (const set of this.#followed) {
      await eventually(async () => {
        expect(await set.kids('previous'), set.path).toEqual([]);
        const { conditions = [], keys = [] } = await set.status();
        const leaving = keys.filter(
          (key) =>
            key.state === 'previous' ||
            (key.state === 'revoked' && key.revokedEverywhereAt === undefined),
        );
        expect(leaving).toEqual([]);
        const state = conditions.map(({ type, status }) => `${type}=${status}`);
        expect(state).toEqual(expect.arrayContaining(['Ready=True', 'Published=True']));
        expect(state).toContain('RotationPending=False');
      }, PATIENCE);
    }
    // Status and Events come after the Secret.
    const since = Date.now() + 2_000;
    const before = await this.traffic.tally();
    await eventually(() => Date.now() > since + SILENCE, { timeout: 2 * SILENCE, interval: 500 });
    const ours = Object.values(SERVICE_ACCOUNTS).map(
      (account) => `system:serviceaccount:${NAMESPACE}:${account}`,
    );
    const events = auditEvents(this.plane.auditLog, { since });
    const writes = countWrites(events.filter(({ user }) => ours.includes(user.username)));
    expect(writes.filter(({ resource }) => resource !== 'leases')).toEqual([]);
    expect(writes.map(({ resource }) => resource)).toContain('leases');
    await this.unbroken(before);
  }
}
