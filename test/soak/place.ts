/** Two controllers and two issuers, run as the image runs them, on a control plane, each with a network that may be broken. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ControlPlane, startControlPlane } from '../controlplane/controlplane.ts';
import { type FaultyNetwork, startProxy } from '../integration/kube/proxy.ts';
import { buildBundle } from '../stack/bundle.ts';
import { type Replica, type Stack, type StackProcess, startStack } from '../stack/stack.ts';
import { type ApiProxy, startApiProxy } from '../support/api-proxy.ts';

const MOVED_CLOCK = join(import.meta.dirname, '..', 'support', 'moved-clock.ts');
/** R and S, in seconds. */
const R = 4;
const S = 2;
/** Or the audit log of 20 minutes would be larger than a string can be. */
const SMALL_LOGS = ['--audit-log-maxsize=50', '--audit-log-maxbackup=1'];

export interface Place extends AsyncDisposable {
  readonly plane: ControlPlane;
  readonly stack: Stack;
  /** Between the first controller and the API server. */
  readonly proxy: ApiProxy;
  /** Between the second issuer and the API server. */
  readonly network: FaultyNetwork;
  readonly secondController: StackProcess;
  readonly secondIssuer: Replica;
  /** Moves the wall clock of the first controller, or of the second issuer, so many ms. */
  moveClock(of: 'controller' | 'issuer', by: number): void;
}

export async function startPlace(): Promise<Place> {
  const { main, env } = await buildBundle();
  const plane = await startControlPlane({ apiserverArgs: SMALL_LOGS });
  const proxy = await startApiProxy(plane);
  const network = await startProxy(plane.server);
  const dir = mkdtempSync(join(tmpdir(), 'signet-soak-'));
  const moveClock: Place['moveClock'] = (of, by) => writeFileSync(join(dir, of), `${by}`);
  const movable = (of: 'controller' | 'issuer') => ({
    ...env,
    NODE_OPTIONS: `${env.NODE_OPTIONS} --import=${MOVED_CLOCK}`,
    MOVED_CLOCK: join(dir, of),
  });
  moveClock('controller', 0);
  moveClock('issuer', 0);
  const stack = await startStack({
    controlPlane: plane,
    main,
    maxStaleness: `${R}s`,
    clockSkew: `${S}s`,
    servers: { controller: proxy.url },
    env: { controller: movable('controller'), issuer: env },
  });
  const direct = { server: plane.server, env };
  const secondController = await stack.secondController('second-controller', direct);
  const server = `https://127.0.0.1:${network.port}`;
  const around = { server, env: movable('issuer') };
  const secondIssuer = await stack.replica('second-issuer', [], around);
  await Promise.all([secondController.restart(), secondIssuer.restart()]);
  return {
    ...{ plane, stack, proxy, network, secondController, secondIssuer, moveClock },
    async [Symbol.asyncDispose]() {
      await Promise.all([secondController.kill(), secondIssuer.kill()]);
      await stack.stop();
      await plane.stop();
      await proxy[Symbol.asyncDispose]();
      await network[Symbol.asyncDispose]();
      rmSync(dir, { recursive: true });
    },
  };
}
