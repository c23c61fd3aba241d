import { HOUR, SECOND } from '../api/constants.ts';
import { type Authority, AuthorityError, makeAuthority } from '../keys/authority.ts';
import { sleep } from '../kube/backoff.ts';
import type { Kube } from '../kube/client.ts';
import { isAlreadyExists, isConflict } from '../kube/errors.ts';
import { Reflector } from '../kube/reflector.ts';
import type { Change } from '../kube/store.ts';
import type { Log } from '../telemetry/log.ts';
import { defineMetrics, gauge, type Registry } from '../telemetry/metrics.ts';
import {
  AUTHORITY_LIFETIME,
  type Authorities,
  applyStep,
  bundleOf,
  planAuthorities,
} from './authority-plan.ts';
import { AUTHORITY_SECRET, decodeAuthorities, encodeAuthorities } from './authority-secret.ts';
import { paths, type SecretObject } from './objects.ts';
import type { Write } from './write.ts';

interface CertificateAuthorityOptions {
  readonly kube: Kube;
  readonly namespace: string;
  readonly write: Write;
  readonly log: Log;
  readonly registry: Registry;
  /** Unix ms. */
  readonly clock: () => number;
  /** S, in milliseconds: a clock that is further off makes no certificate authority. */
  readonly clockSkew: number;
  /** Called when other authorities are to be trusted than before. */
  readonly onChange: () => void;
}

const METRICS = {
  usable: gauge(
    'signet_certificate_authority_usable',
    '1 while the Secret signet-ca is one that serving certificates can be issued from.',
  ),
  expiry: gauge(
    'signet_certificate_authority_expiry_timestamp_seconds',
    'When the certificate authority that signs now ends.',
  ),
};

const RETRY = 5 * SECOND;

/**
 * The operator's own certificate authority, for the issuer's HTTPS where no certificate is mounted.
 * Every replica reads it; the one that leads makes and renews it.
 */
export class CertificateAuthority {
  readonly #options: CertificateAuthorityOptions;
  readonly #metrics;
  readonly #secrets: Reflector<SecretObject>;
  /** What is there is usable, or it is gone and comes back. */
  #held: Authorities | undefined;
  #fault: string | undefined;
  #wake = Promise.withResolvers<void>();

  constructor(options: CertificateAuthorityOptions) {
    const { kube, namespace, log, registry } = options;
    this.#options = options;
    this.#metrics = defineMetrics(registry, METRICS);
    this.#secrets = new Reflector({
      kube,
      path: paths.secrets(namespace),
      query: { fieldSelector: `metadata.name=${AUTHORITY_SECRET}` },
      log,
    });
    this.#secrets.subscribe((change) => this.#take(change));
  }

  /** Who signs serving certificates; undefined while nobody can. */
  get current(): Authority | undefined {
    return this.#held?.current;
  }

  /** PEM; undefined while it is not known. */
  get bundle(): string | undefined {
    return this.#held && bundleOf(this.#held);
  }

  /** Follows the Secret until the signal aborts. */
  run(signal: AbortSignal): Promise<void> {
    return this.#secrets.run(signal);
  }

  /** Makes what is missing, once; a failure is logged, and tried again by `lead`. */
  async settle(): Promise<number> {
    try {
      await this.#secrets.synced;
      return await this.#pass();
    } catch (error) {
      if (!isConflict(error)) {
        this.#options.log.warn({ err: error }, 'the certificate authority could not be kept');
      }
      return this.#options.clock() + RETRY;
    }
  }

  /** Keeps it, on the replica that leads, until the signal aborts. */
  async lead(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#wake = Promise.withResolvers<void>();
      const wait = (await this.settle()) - this.#options.clock();
      await Promise.race([sleep(Math.min(Math.max(wait, 0), HOUR), signal), this.#wake.promise]);
    }
  }

  /** @returns when to look again, Unix ms. */
  async #pass(): Promise<number> {
    const { namespace, clock, log } = this.#options;
    const found = this.#secrets.get(namespace, AUTHORITY_SECRET);
    if (this.#fault !== undefined) return clock() + HOUR;
    const { step, recheckAt } = planAuthorities(this.#held, clock());
    if (step === undefined && found !== undefined) return recheckAt;
    await this.#checkClock();
    const make = () => makeAuthority({ lifetime: AUTHORITY_LIFETIME, now: clock() });
    // Without a step the Secret was deleted, and what it held is written back.
    const wanted = step === undefined ? this.#held : await applyStep(step, this.#held, make);
    if (wanted !== undefined) await this.#store(wanted, found);
    log.info({ step: step ?? 'WriteBack' }, 'wrote the certificate authority');
    return clock();
  }

  async #store(wanted: Authorities, found: SecretObject | undefined): Promise<void> {
    const { kube, namespace, write } = this.#options;
    if (found !== undefined) {
      const { name: _, labels: __, ...version } = found.metadata;
      const secret = encodeAuthorities(wanted, version);
      const path = paths.secret(namespace, AUTHORITY_SECRET);
      this.#secrets.put(await write<SecretObject>('PUT', path, secret));
      return;
    }
    const secret = encodeAuthorities(wanted, { namespace });
    try {
      this.#secrets.put(await write<SecretObject>('POST', paths.secrets(namespace), secret));
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
      const { body } = await kube.request('GET', paths.secret(namespace, AUTHORITY_SECRET));
      this.#secrets.put(body as SecretObject);
    }
  }

  /** A certificate made by a clock that is wrong would be valid in the future, or in the past. */
  async #checkClock(): Promise<void> {
    const { kube, namespace, clock, clockSkew } = this.#options;
    const query = { fieldSelector: `metadata.name=${AUTHORITY_SECRET}`, limit: 1 };
    const { date } = await kube.request('GET', paths.secrets(namespace), { query });
    const apart = date === undefined ? 0 : Math.abs(date.getTime() - clock());
    if (apart > clockSkew + SECOND) {
      throw new Error(
        `our clock and the API server's are ${Math.round(apart / SECOND)} s apart: set them right`,
      );
    }
  }

  #take({ type, object }: Change<SecretObject>): void {
    const { log, onChange } = this.#options;
    const before = this.bundle;
    try {
      if (type === 'upsert') this.#held = decodeAuthorities(object);
      this.#fault = undefined;
      if (this.#held !== undefined) {
        this.#metrics.usable.set(1);
        this.#metrics.expiry.set(this.#held.current.notAfter / SECOND);
      }
    } catch (error) {
      if (!(error instanceof AuthorityError)) throw error;
      this.#fault = error.message;
      this.#metrics.usable.set(0);
      log.error({ fault: error.message }, 'the certificate authority cannot be used');
    }
    if (this.bundle !== before) onChange();
    this.#wake.resolve();
  }
}
