import {
  API_VERSION,
  KIND,
  MANAGED_BY,
  PENDING_ANNOTATION,
  SECRET_TYPE,
  SET_NAME_LABEL,
  SET_NAMESPACE_LABEL,
  secretName,
} from '../api/constants.ts';
import type { SigningKeySet } from '../api/signingkeyset.generated.ts';
import { encodeKeyring } from '../keys/codec.ts';
import { generateKey } from '../keys/generate.ts';
import type { Instant, Keyring, KeyringOwner, SigningKey } from '../keys/keyring.ts';
import { subjectOf } from '../keys/subject.ts';
import type { Kube } from '../kube/client.ts';
import { isAlreadyExists, isConflict, isNotFound } from '../kube/errors.ts';
import type { EventRecorder } from '../kube/events.ts';
import { readPending } from '../rotation/pending.ts';
import type { Intake } from '../rotation/requests.ts';
import { isSuperseded } from '../rotation/retirement.ts';
import type { KeyToMake, Notice, Transition } from '../rotation/situation.ts';
import { completed, isMade } from '../rotation/transitions.ts';
import type { Caches } from './caches.ts';
import { find } from './find.ts';
import type { ForeignSecrets } from './foreign-secrets.ts';
import type { HeldKeyring } from './keyrings.ts';
import { confirmed, readSet } from './live.ts';
import type { ControllerMetrics } from './metrics.ts';
import { paths, type SecretObject } from './objects.ts';
import type { Publications } from './publish.ts';
import { StalePassError, type Write } from './write.ts';

interface ApplyOptions {
  readonly kube: Kube;
  readonly namespace: string;
  readonly write: Write;
  readonly caches: Caches;
  readonly publications: Publications;
  readonly foreignSecrets: ForeignSecrets;
  readonly events: EventRecorder;
  readonly metrics: ControllerMetrics;
  readonly clock: () => Instant;
}

/** Carries out what a plan says. Decides nothing: what no longer fits is given up and planned anew. */
export class Apply {
  readonly #options: ApplyOptions;
  #firstWrites: Promise<unknown> = Promise.resolve();

  constructor(options: ApplyOptions) {
    this.#options = options;
  }

  /** Takes request annotations away and leaves what waits: one write on the set. */
  async intake(set: SigningKeySet, { annotations, notices }: Intake): Promise<void> {
    // The number of a request is one above the last that the Secret records: not that of our copy.
    const { uid } = set.metadata;
    const held = this.#options.caches.keyrings.of(uid)?.secret.metadata.resourceVersion;
    const live = await this.#readSecret(uid);
    const ours = live?.type === SECRET_TYPE ? live : undefined;
    if (ours?.metadata.resourceVersion !== held) throw new StalePassError('the Secret');
    await this.#annotate(set, annotations);
    this.tell(set.metadata, notices);
  }

  /**
   * Makes the keys that are to be made, and writes the Secret (I4, I10).
   *
   * @throws StalePassError when the set is not what the plan was made from.
   */
  async transition(
    set: SigningKeySet | undefined,
    transition: Transition,
    stillClaims: () => boolean,
  ): Promise<void> {
    const { kind, notices } = transition;
    // What the plan was made from: a version that comes while we make keys is not written over.
    const held = this.#options.caches.keyrings.of(transition.keyring.owner.uid);
    const keyring = await this.#fill(transition);
    const live = transition.confirm
      ? await confirmed(this.#options.kube, set, keyring.owner)
      : undefined;
    const isFirst = FIRST_WRITES.has(kind) || (FROM_COPIES.has(kind) && held === undefined);
    // What is written back holds its issuer already.
    if (!isFirst) await this.#replaceSecret(keyring, held);
    else if (!(await this.#createAlone(keyring, kind === 'Restore' ? () => true : stillClaims))) {
      return;
    }
    this.#options.metrics.transitions.inc({ kind });
    this.tell(keyring.owner, notices);
    if (live !== undefined) await this.#clearPending(live, keyring);
  }

  /**
   * Deletes a keyring that nobody needs any more, and what was published from it; what a set made
   * again took over stays, without a gap.
   */
  async discard(keyring: Keyring): Promise<void> {
    const { write, caches, namespace, publications } = this.#options;
    const { owner } = keyring;
    if (!this.#isServed(owner)) await publications.withdraw(owner.namespace, owner.uid);
    const held = caches.keyrings.of(keyring.owner.uid);
    if (held === undefined) return;
    const { name, uid, resourceVersion } = held.secret.metadata;
    try {
      await write('DELETE', paths.secret(namespace, name), {
        preconditions: { uid, resourceVersion },
      });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    caches.secrets.remove(held.secret);
    caches.keyrings.giveUp(keyring.owner.uid);
  }

  /**
   * Deletes what was published for sets of this name of which neither set nor Secret is left, as
   * after somebody deleted the Secret of a deleted set.
   */
  async sweep(namespace: string, name: string): Promise<void> {
    const { caches, publications } = this.#options;
    for (const uid of publications.uidsOf(namespace, name)) {
      const isSet = caches.sets.get(namespace, name)?.metadata.uid === uid;
      if (isSet || caches.keyrings.of(uid) !== undefined) continue;
      if (this.#isServed({ namespace, name, uid })) continue;
      // The Secret may be newer than our copy of the world.
      if ((await this.#readSecret(uid)) === undefined) await publications.withdraw(namespace, uid);
    }
  }

  /** Whether another keyring of the same name goes on with the keys of this uid. */
  #isServed(owner: Pick<KeyringOwner, 'namespace' | 'name' | 'uid'>): boolean {
    const { keyrings } = this.#options.caches;
    return isSuperseded({ owner }, keyrings.named(owner.namespace, owner.name));
  }

  /** Events about a set, whether it is there or gone. */
  tell(about: Pick<KeyringOwner, 'namespace' | 'name' | 'uid'>, notices: readonly Notice[]): void {
    const { namespace, name, uid } = about;
    for (const { type, reason, message } of notices) {
      this.#options.events.record(
        { apiVersion: API_VERSION, kind: KIND, namespace, name, uid },
        { type, reason, message },
      );
      this.#options.metrics.notices.inc({ type, reason });
    }
  }

  async #fill({ keyring }: Transition): Promise<Keyring> {
    const made = keyring.keys.map((key) => (isMade(key) ? key : this.#make(key, keyring.issuer)));
    return completed(keyring, await Promise.all(made));
  }

  async #make({ make, ...place }: KeyToMake, issuer: string): Promise<SigningKey> {
    const subject = make.subject ?? subjectOf(new URL(issuer).hostname);
    const material = await generateKey({ ...make, subject, now: this.#options.clock() });
    return { ...material, ...place };
  }

  #readSecret(setUid: string): Promise<SecretObject | undefined> {
    const { kube, namespace } = this.#options;
    return find(kube, paths.secret(namespace, secretName(setUid)));
  }

  /** One first write at a time, so that of two sets that want one issuer only one gets it. */
  #createAlone(keyring: Keyring, stillClaims: () => boolean): Promise<boolean> {
    const mine = this.#firstWrites.then(async () => {
      if (!stillClaims()) throw new StalePassError('the claim on the issuer');
      return await this.#createSecret(keyring);
    });
    this.#firstWrites = mine.catch(() => {});
    return mine;
  }

  /** @returns false where another Secret has the name: it is known now, and the next pass judges. */
  async #createSecret(keyring: Keyring): Promise<boolean> {
    const { namespace, write, caches, foreignSecrets } = this.#options;
    const secret = this.#secret(keyring, {});
    try {
      caches.secrets.put(await write<SecretObject>('POST', paths.secrets(namespace), secret));
      return true;
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
      const found = await this.#readSecret(keyring.owner.uid);
      if (found === undefined) throw new StalePassError('the Secret');
      if (found.type === SECRET_TYPE) caches.secrets.put(found);
      else foreignSecrets.add(keyring.owner.uid, found);
      return false;
    }
  }

  async #replaceSecret(keyring: Keyring, held: HeldKeyring | undefined): Promise<void> {
    const { namespace, write, caches } = this.#options;
    if (held === undefined) throw new StalePassError('the Secret');
    const { name, uid, resourceVersion } = held.secret.metadata;
    const secret = this.#secret(keyring, {
      ...(uid === undefined ? {} : { uid }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
    });
    caches.secrets.put(await write<SecretObject>('PUT', paths.secret(namespace, name), secret));
  }

  #secret(keyring: Keyring, version: { uid?: string; resourceVersion?: string }): SecretObject {
    const { uid, namespace, name } = keyring.owner;
    const entries = Object.entries(encodeKeyring(keyring));
    return {
      apiVersion: 'v1',
      kind: 'Secret',
      type: SECRET_TYPE,
      metadata: {
        name: secretName(uid),
        namespace: this.#options.namespace,
        ...version,
        labels: {
          [MANAGED_BY.key]: MANAGED_BY.value,
          [SET_NAMESPACE_LABEL]: namespace,
          [SET_NAME_LABEL]: name,
        },
      },
      data: Object.fromEntries(
        entries.map(([entry, text]) => [entry, Buffer.from(text).toString('base64')]),
      ),
    };
  }

  /**
   * Once the Secret records that the request was carried out, what waited goes, unless somebody was
   * faster with a cancellation. One that still waits, or is not this set's, is the plan's to judge.
   */
  async #clearPending(live: SigningKeySet, keyring: Keyring): Promise<void> {
    const { uid, annotations = {} } = live.metadata;
    if (readPending({ uid, annotations }, keyring).kind !== 'done') return;
    try {
      await this.#annotate(live, { [PENDING_ANNOTATION]: null });
    } catch (error) {
      if (!isConflict(error)) throw error;
      const now = await readSet(this.#options.kube, keyring.owner);
      if (now === undefined || now.metadata.annotations?.[PENDING_ANNOTATION] !== undefined) return;
      this.tell(keyring.owner, [CANCEL_TOO_LATE]);
    }
  }

  async #annotate(
    set: SigningKeySet,
    annotations: Readonly<Record<string, string | null>>,
  ): Promise<void> {
    const { write, caches } = this.#options;
    const { namespace, name, uid, resourceVersion } = set.metadata;
    const body = { metadata: { uid, resourceVersion, annotations } };
    caches.sets.put(await write<SigningKeySet>('PATCH', paths.set(namespace, name), body));
  }
}

/** Those that make a Secret. */
const FIRST_WRITES: ReadonlySet<Transition['kind']> = new Set(['Create', 'Resume']);
/** Those that make one, or take the place of one that cannot be read or is an older state. */
const FROM_COPIES: ReadonlySet<Transition['kind']> = new Set(['Restore', 'RestoreFromBackup']);

const CANCEL_TOO_LATE: Notice = {
  type: 'Warning',
  reason: 'CancelTooLate',
  message: 'The request was cancelled, but it had been carried out a moment before',
};
