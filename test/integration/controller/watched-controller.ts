import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Controller } from '../../../src/controller/controller.ts';
import { type CallOptions, Kube, type KubeAnswer } from '../../../src/kube/client.ts';
import { ServiceAccountFolder } from '../../../src/kube/credentials.ts';
import { ApiError, isNotFound } from '../../../src/kube/errors.ts';
import { createLog } from '../../../src/telemetry/log.ts';
import { createRegistry } from '../../../src/telemetry/metrics.ts';
import { NAMESPACE, SERVICE_ACCOUNTS } from '../../stack/permissions.ts';
import { eventually } from '../../support/eventually.ts';
import type { World } from './world.ts';

/** What the controller asks of the API server; Events, and all but lists of Leases, apart. */
export interface Call {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
}

type Hook = (call: Call) => Promise<void> | void;

/** The real client, which tells of each call before it is sent and after it was answered. */
export class WatchedKube extends Kube {
  before: Hook = ignore;
  after: Hook = ignore;
  #dead = false;

  unwatch(): void {
    this.before = ignore;
    this.after = ignore;
  }

  /** From now on nothing that the process says is heard, and it hears nothing: as if it were dead. */
  die(): never {
    this.#dead = true;
    return unreachable();
  }

  override async request(
    method: string,
    path: string,
    options: CallOptions = {},
  ): Promise<KubeAnswer> {
    if (this.#dead) unreachable();
    const isListOfLeases = method === 'GET' && path.endsWith('/leases');
    if (/\/(leases|events)\b/.test(path) && !isListOfLeases)
      return super.request(method, path, options);
    const call = { method, path, body: options.body };
    await this.before(call);
    const answer = await super.request(method, path, options);
    await this.after(call);
    return answer;
  }
}

function ignore(): void {}

function unreachable(): never {
  throw new ApiError(0, 'Unreachable', 'this process is dead');
}

export interface WatchedController {
  readonly kube: WatchedKube;
  /** Gracefully: the lease is given up. One that is dead cannot, so its lease stays. */
  stop(): Promise<void>;
}

const LEASE = `/apis/coordination.k8s.io/v1/namespaces/${NAMESPACE}/leases/signet-controller`;

/** A dead leader's lease would keep the next one waiting for 15 s. */
export async function takeLeaseAway(world: Pick<World, 'delete'>): Promise<void> {
  await world.delete(LEASE).catch((error) => {
    if (!isNotFound(error)) throw error;
  });
}

/**
 * A controller in this process, with the chart's ServiceAccount and against the real API server, so
 * that a test can stand between any two of its calls. Ready, and a candidate for leadership.
 */
export async function startWatchedController(
  world: World,
  userAgent = 'watched-controller',
  clock = Date.now,
): Promise<WatchedController> {
  const dir = mkdtempSync(join(tmpdir(), 'signet-controller-'));
  await world.cluster.serviceAccountCredentials(dir, NAMESPACE, SERVICE_ACCOUNTS.controller);
  const { hostname, port } = new URL(world.cluster.server);
  const env = { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port };
  const kube = new WatchedKube(new ServiceAccountFolder(dir, env), userAgent);
  const controller = new Controller({
    kube,
    namespace: NAMESPACE,
    publicUrl: world.stack.issuerUrl,
    flags: { clockSkew: 1_000, maxStaleness: 1_000 },
    log: createLog({ component: 'controller', level: 'silent' }),
    registry: createRegistry(),
    clock,
  });
  const stopping = new AbortController();
  const running = controller.run(stopping.signal);
  const stop = async (): Promise<void> => {
    stopping.abort();
    await running;
    kube.close();
    rmSync(dir, { recursive: true, force: true });
  };
  await eventually(() => controller.ready() === true);
  return { kube, stop };
}
