import { MANAGED_BY, SET_NAME_LABEL, setUidOf } from '../../../src/api/constants.ts';
import { type ApiCall, type ApiProxy, LOST } from '../../support/api-proxy.ts';

/** Where a write is stopped: before the API server has it, or before the controller hears of it. */
export type Moment = 'before' | 'after' | 'lost';

/** One write of a controller to one set's objects, such as the second `PUT secrets`. */
export interface Breakpoint {
  readonly write: string;
  /** `lost`: the answer is lost, and all goes on. Else the write is held until the release. */
  readonly moment: Moment;
}

interface Trace {
  readonly writes: string[];
  readonly breakpoint?: Breakpoint;
  reached: boolean;
}

/** Follows what a controller writes behind a proxy, set by set, and stops it where it is told to. */
export class Breakpoints {
  readonly #traces = new Map<string, Trace>();
  readonly #names = new WeakMap<ApiCall, string>();
  readonly #owners = new Map<string, string>();
  #released = Promise.withResolvers<void>();

  constructor(proxy: ApiProxy) {
    proxy.before = (call) => this.#before(call);
    proxy.after = (call) => this.#after(call);
  }

  /** The Secret of this uid is that of the set of this name. */
  owns(uid: string, name: string): void {
    this.#owners.set(uid, name);
  }

  /** From now on the writes of a set are counted, and stopped at a point. */
  follow(set: string, breakpoint?: Breakpoint): void {
    this.#traces.set(set, { writes: [], reached: false, ...(breakpoint && { breakpoint }) });
  }

  /** What was written, in order. */
  writes(set: string): readonly string[] {
    return this.#traces.get(set)?.writes ?? [];
  }

  /** Whether a set stands at its point, or has passed it. */
  isReached(set: string): boolean {
    return this.#traces.get(set)?.reached === true;
  }

  /** Whoever waited is gone: what was held is let go, unheard. */
  release(): void {
    this.#traces.clear();
    this.#released.resolve();
    this.#released = Promise.withResolvers();
  }

  #before(call: ApiCall): Promise<typeof LOST> | undefined {
    const set = this.#setOf(call);
    const trace = set === undefined ? undefined : this.#traces.get(set);
    if (trace === undefined) return undefined;
    const kind = `${call.method} ${kindOf(call.path)}`;
    const count = trace.writes.filter((write) => write.startsWith(`${kind} `)).length + 1;
    const write = `${kind} ${count}`;
    trace.writes.push(write);
    this.#names.set(call, write);
    const { breakpoint } = trace;
    return breakpoint?.moment === 'before' && breakpoint.write === write
      ? this.#hold(trace)
      : undefined;
  }

  #after(call: ApiCall): Promise<typeof LOST> | typeof LOST | undefined {
    const set = this.#setOf(call);
    const trace = set === undefined ? undefined : this.#traces.get(set);
    const { breakpoint } = trace ?? {};
    if (trace === undefined || breakpoint === undefined) return undefined;
    if (breakpoint.moment === 'before' || breakpoint.write !== this.#names.get(call)) return;
    if (breakpoint.moment === 'after') return this.#hold(trace);
    trace.reached = true;
    return LOST;
  }

  async #hold(trace: Trace): Promise<typeof LOST> {
    trace.reached = true;
    await this.#released.promise;
    return LOST;
  }

  /** The set that a write concerns; undefined for reads, Leases, Events and what is nobody's. */
  #setOf({ method, path, body }: ApiCall): string | undefined {
    if (method === 'GET' || /\/(leases|events|token)\b/.test(path)) return undefined;
    const [, set] = /\/signingkeysets\/([^/]+)/.exec(path) ?? [];
    if (set !== undefined) return set;
    const [, name = ''] = /\/(?:secrets|configmaps)\/([^/]+)$/.exec(path) ?? [];
    return labelled(body) ?? this.#owners.get(setUidOf(name) ?? '') ?? ownerOf(name);
  }
}

/** `signingkeysets/status` of an object's path. */
function kindOf(path: string): string {
  return path.replace(/^.*\/namespaces\/[^/]+\//, '').replace(/^([^/]+)\/[^/]+/, '$1');
}

/** The set that an object is labelled with. */
function labelled(body: Buffer): string | undefined {
  if (body.length === 0) return undefined;
  const { metadata }: Labelled = JSON.parse(body.toString());
  const { [MANAGED_BY.key]: manager, [SET_NAME_LABEL]: set } = metadata?.labels ?? {};
  return manager === MANAGED_BY.value ? set : undefined;
}

/** ConfigMaps of the tests are called after their sets. */
function ownerOf(name: string): string | undefined {
  return name.endsWith('-keys') ? name.slice(0, -'-keys'.length) : undefined;
}

interface Labelled {
  readonly metadata?: { readonly labels?: Readonly<Record<string, string>> };
}
