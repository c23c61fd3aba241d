import { setTimeout as delay } from 'node:timers/promises';
import { PENDING_ANNOTATION, SECOND } from '../../src/api/constants.ts';
import { paths } from '../../src/controller/objects.ts';
import type { Kube } from '../../src/kube/client.ts';
import { ApiError } from '../../src/kube/errors.ts';
import type { Ledger } from '../support/traffic/ledger.ts';
import { type FleetSet, listSets } from './fleet.ts';
import type { Random } from './random.ts';

interface Request {
  readonly annotation: string;
  readonly value: string;
  /** How often of a hundred times it is asked for. */
  readonly weight: number;
  /** The states of the keys that it takes away. */
  readonly takes: readonly string[];
}

const ROTATE: Request = { annotation: 'rotate', value: 'now', weight: 80, takes: [] };
const REQUESTS: readonly Request[] = [
  ROTATE,
  { annotation: 'revoke', value: 'previous', weight: 8, takes: ['previous'] },
  { annotation: 'rollback', value: 'now', weight: 5, takes: [] },
  { annotation: 'rotate', value: 'force', weight: 4, takes: [] },
  {
    annotation: 'rotate',
    value: 'compromised',
    weight: 3,
    takes: ['current', 'next', 'previous'],
  },
];
const LOOK_EVERY = SECOND;
/** Between a rotation and the next request, in milliseconds. */
const PAUSE = { least: 2 * SECOND, most: 10 * SECOND };
/** When everybody knows of a change, in milliseconds: max-age, a mount, and a busy machine. */
const UNTIL_ALL_KNOW = 5 * SECOND;
/** A request that was lost with its set is asked for again. */
const PATIENCE = 60 * SECOND;
/** Clocks differ by as much, and status holds whole seconds, in milliseconds. */
const ABOUT = 3 * SECOND;
/** What a set carries while a request of it is not carried out. */
const WAITING = [...new Set(REQUESTS.map(({ annotation }) => annotation)), PENDING_ANNOTATION];

/** A request that takes keys away, until it is known when they were gone everywhere. */
interface Revocation {
  readonly kids: readonly string[];
  readonly askedAt: number;
}

/** One that was carried out. */
interface Revoked {
  readonly kid: string;
  /** From then on its tokens may be refused, Unix ms. */
  readonly from: number;
  /** From then on they have to be, Unix ms. */
  readonly everywhere: number;
}

interface Progress {
  nextAt: number;
  /** As JSON, to see that it is another one. */
  lastRotation: string;
  revocation?: Revocation | undefined;
}

/** Asks all sets for rotations all the time, and keeps the books on what that entitles to. */
export class Rotations {
  /** How many there were. */
  count = 0;
  readonly #kube: Kube;
  readonly #ledger: Ledger;
  readonly #random: Random;
  readonly #progress = new Map<string, Progress>();
  readonly #revoked: Revoked[] = [];
  #asking = true;
  #lastOutage = 0;

  constructor(kube: Kube, ledger: Ledger, random: Random) {
    this.#kube = kube;
    this.#ledger = ledger;
    this.#random = random;
  }

  /** From now on nothing is asked for; what happens is seen. */
  rest(): void {
    this.#asking = false;
  }

  /** Gateways do not see what is published. @param at - Unix ms; infinite: until further notice. */
  outage(at: number): void {
    this.#lastOutage = at;
    // What has just been revoked may not have reached them either.
    for (const { kid, from, everywhere } of this.#revoked) {
      if (everywhere >= Date.now()) this.#ledger.revoked(kid, from, Number.POSITIVE_INFINITY);
    }
    this.#revoked.length = 0;
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        for (const set of await listSets(this.#kube)) await this.#look(set);
      } catch (error) {
        // The API server is one of those that are hurt.
        if (!(error instanceof ApiError)) throw error;
      }
      await delay(LOOK_EVERY);
    }
  }

  async #look(set: FleetSet): Promise<void> {
    const progress = this.#progressOf(set);
    const { lastRotation, current = '', keys = [] } = set.status ?? {};
    const told = JSON.stringify(lastRotation ?? '');
    if (lastRotation !== undefined && told !== progress.lastRotation) {
      this.count += 1;
      progress.lastRotation = told;
      progress.nextAt = Date.now() + this.#random.between(PAUSE.least, PAUSE.most);
      const isHasty = ['Force', 'Compromised'].includes(lastRotation.trigger);
      const signs = keys.find(({ kid }) => kid.startsWith(current))?.kid ?? '';
      if (isHasty) this.#ledger.forced(signs, Date.now() + UNTIL_ALL_KNOW);
    }
    if (progress.revocation !== undefined) this.#account(set, progress, progress.revocation);
    const pending = set.status?.conditions?.find(({ type }) => type === 'RotationPending');
    const isFree = pending?.status === 'False' || Date.now() > progress.nextAt + PATIENCE;
    // One revocation after the other: of each it is seen what came of it.
    const isSettled = progress.revocation === undefined;
    const isTime = Date.now() >= progress.nextAt;
    if (this.#asking && isFree && isSettled && isTime) await this.#ask(set, progress);
  }

  #progressOf({ metadata, status }: FleetSet): Progress {
    const known = this.#progress.get(metadata.name);
    if (known !== undefined) return known;
    const nextAt = Date.now() + this.#random.between(0, PAUSE.most);
    const begun = { nextAt, lastRotation: JSON.stringify(status?.lastRotation ?? '') };
    this.#progress.set(metadata.name, begun);
    return begun;
  }

  async #ask({ metadata, status }: FleetSet, progress: Progress): Promise<void> {
    const { annotation, value, takes } = this.#choose();
    const askedAt = Date.now();
    const { namespace, name } = metadata;
    const keys = status?.keys ?? [];
    const kids = keys.filter(({ state }) => takes.includes(state)).map(({ kid }) => kid);
    if (kids.length > 0) {
      // Until it is carried out everywhere nobody can say which of both is right.
      for (const kid of kids) this.#ledger.revoked(kid, askedAt, Number.POSITIVE_INFINITY);
      progress.revocation = { kids, askedAt };
    }
    progress.nextAt = askedAt + PATIENCE;
    const body = { metadata: { annotations: { [annotation]: value } } };
    await this.#kube.request('PATCH', paths.set(namespace, name), { body });
    if (takes.includes('previous') && !takes.includes('current')) {
      progress.nextAt = askedAt + this.#random.between(PAUSE.least, PAUSE.most);
    }
  }

  #choose(): Request {
    let left = this.#random.between(0, 100);
    for (const request of REQUESTS) {
      left -= request.weight;
      if (left < 0) return request;
    }
    return ROTATE;
  }

  /**
   * Once the set says since when its keys are gone everywhere, none of them may verify any more. Those
   * that it still has when no request waits any more are promised as before: it was refused, or lost.
   */
  #account(set: FleetSet, progress: Progress, { kids, askedAt }: Revocation): void {
    const keys = (set.status?.keys ?? []).filter(({ kid }) => kids.includes(kid));
    const taken = keys.filter(({ state }) => state === 'revoked');
    const isLost = Date.now() > askedAt + PATIENCE && !isWaiting(set);
    const isGone = taken.every(({ revokedEverywhereAt }) => revokedEverywhereAt !== undefined);
    if (!(isGone && (isLost || taken.length === keys.length))) return;
    progress.revocation = undefined;
    const kept = keys.filter(({ state }) => state !== 'revoked').map(({ kid }) => kid);
    for (const kid of kept) this.#ledger.pardoned(kid);
    if (taken.length === 0) return;
    const from = Math.min(...taken.map(({ revokedAt = '' }) => Date.parse(revokedAt))) - ABOUT;
    const gone = taken.map(({ revokedEverywhereAt = '' }) => Date.parse(revokedEverywhereAt));
    // Where gateways saw nothing, nobody can say when they had to know.
    const isSeen = this.#lastOutage <= askedAt;
    const everywhere = isSeen ? Math.max(...gone) + UNTIL_ALL_KNOW : Number.POSITIVE_INFINITY;
    // Those that are listed no more went together with the others.
    for (const kid of kids.filter((kid) => !kept.includes(kid))) {
      this.#ledger.revoked(kid, from, everywhere);
      if (isSeen) this.#revoked.push({ kid, from, everywhere });
    }
  }
}

/** Whether a request is on its way; with a set that is gone its requests are gone too. */
function isWaiting({ metadata }: FleetSet): boolean {
  return WAITING.some((annotation) => metadata.annotations?.[annotation] !== undefined);
}
