import type { Instant, Keyring } from '../../../src/keys/keyring.ts';
import type { Replica } from '../../../src/rotation/situation.ts';
import type { Verifiers } from './verifiers.ts';

/** A replica of the issuer, as it is, and as its Lease lets the controller see it. */
interface Pod {
  readonly name: string;
  /** R of its own. */
  readonly maxStaleness: number;
  ring: Keyring | undefined;
  /** When it last saw that what it has is the newest. */
  confirmedAt: Instant;
  /** It neither loads nor confirms. */
  isCut: boolean;
  /** Its process is there. */
  runs: boolean;
}

/** The replicas of the issuer, before all verifiers. */
export class Issuers {
  readonly #verifiers: Verifiers;
  #pods: Pod[] = [];
  #made = 0;

  constructor(verifiers: Verifiers) {
    this.#verifiers = verifiers;
  }

  /** A new pod loads what there is, and is there. */
  scaleUp(maxStaleness: number, ring: Keyring | undefined, now: Instant): void {
    this.#made += 1;
    this.#pods.push({
      name: `issuer ${this.#made}`,
      maxStaleness,
      ring,
      confirmedAt: now,
      isCut: false,
      runs: true,
    });
  }

  /** Gracefully: its Lease goes with it. */
  stop(index: number): void {
    this.#pods.splice(index % Math.max(1, this.#pods.length), 1);
  }

  /** Its Lease stays, as it was last written. */
  crash(index: number): void {
    const pod = this.#at(index);
    if (pod !== undefined) Object.assign(pod, { runs: false, isCut: true });
  }

  cut(index: number): void {
    const pod = this.#at(index);
    if (pod !== undefined) pod.isCut = true;
  }

  /** All reach the API server again; those that crashed are started anew. */
  heal(): void {
    for (const pod of this.#pods) Object.assign(pod, { isCut: false, runs: true });
  }

  /**
   * Those that are not cut off load the newest, and confirm it. A damaged one is not loaded: who
   * has the last good copy of it goes on with that. One that is gone is not confirmed.
   */
  follow(newest: Keyring | undefined, isDamaged: boolean, now: Instant): void {
    this.serve(now);
    for (const pod of this.#pods) {
      if (newest === undefined || pod.isCut || (isDamaged && pod.ring !== newest)) continue;
      pod.confirmedAt = now;
      pod.ring = newest;
    }
    this.serve(now);
  }

  /** Signs as the replica does, if it may (I14). */
  sign(index: number, now: Instant): void {
    const pod = this.#at(index);
    if (pod?.ring === undefined || pod.ring.retiredAt !== undefined) return;
    if (pod.runs && !hasLapsed(pod, now)) this.#verifiers.sign(pod.ring, now);
  }

  /** What somebody may fetch now from a replica that has not lapsed. */
  served(now: Instant): Keyring[] {
    return this.#pods
      .filter((pod) => pod.runs && !hasLapsed(pod, now))
      .flatMap(({ ring }) => (ring === undefined ? [] : [ring]));
  }

  /** Somebody fetches from each at this moment; from one that has lapsed, at its last one. */
  serve(now: Instant): void {
    for (const pod of this.#pods) {
      if (!pod.runs || pod.ring === undefined) continue;
      this.#verifiers.fetch(pod.ring, Math.min(now, pod.confirmedAt + pod.maxStaleness));
    }
  }

  /** What the Leases tell: a replica counts until R + S after what it last confirmed. */
  leases(newest: Keyring | undefined, clockSkew: number, now: Instant): Replica[] {
    return this.#pods
      .filter((pod) => now < pod.confirmedAt + pod.maxStaleness + clockSkew)
      .map(({ name, ring, maxStaleness }) => ({ name, hasLoaded: ring === newest, maxStaleness }));
  }

  /** When the next Lease lapses. */
  nextLapse(clockSkew: number, now: Instant): Instant {
    const ends = this.#pods
      .filter(({ isCut }) => isCut)
      .map((pod) => pod.confirmedAt + pod.maxStaleness + clockSkew);
    return Math.min(...ends.filter((end) => end > now), Number.POSITIVE_INFINITY);
  }

  #at(index: number): Pod | undefined {
    return this.#pods[index % Math.max(1, this.#pods.length)];
  }
}

function hasLapsed({ confirmedAt, maxStaleness }: Pod, now: Instant): boolean {
  return now >= confirmedAt + maxStaleness;
}
