/**
 * A process of its own that gets tokens from the issuer and verifies them as its clients would, for
 * as long as its parent lives. Options are its argument; commands and answers go over Node's IPC.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type ConfigMapObject, paths } from '../../../src/controller/objects.ts';
import { connect } from '../../../src/kube/client.ts';
import { ApiError } from '../../../src/kube/errors.ts';
import { Counts } from './counts.ts';
import { Followed } from './followed.ts';
import type { Command, TrafficOptions } from './messages.ts';
import { Service } from './service.ts';

/** A kubelet reads its ConfigMaps about so often, for our short propagation delays. */
const SYNC_EVERY = 250;

const options: TrafficOptions = JSON.parse(process.argv[2] ?? '{}');
const counts = new Counts();
const followed = new Map<string, Followed>();
const kube = await connect({ kubeconfig: options.kubeconfig, userAgent: 'kubelet-of-the-tests' });
const service = new Service(options.replicas, takesWrites);

/** An API server without its etcd says that it is not ready. */
async function takesWrites(): Promise<boolean> {
  try {
    await kube.request('GET', '/readyz', { timeoutMs: 1_000 });
    return true;
  } catch (error) {
    if (error instanceof ApiError) return false;
    throw error;
  }
}

async function syncMounts(): Promise<never> {
  for (;;) {
    const mounted = [...followed.values()].filter((one) => one.mounted !== undefined);
    const namespaces = new Set(mounted.map(({ set }) => set.namespace));
    for (const namespace of namespaces) await syncNamespace(namespace, mounted);
    await delay(SYNC_EVERY);
  }
}

async function syncNamespace(namespace: string, mounted: readonly Followed[]): Promise<void> {
  const askedAt = Date.now();
  try {
    const { body } = await kube.request('GET', paths.configMaps(namespace), { timeoutMs: 3_000 });
    const { items } = body as { readonly items: readonly ConfigMapObject[] };
    for (const { set, mounted: mount } of mounted) {
      if (set.namespace !== namespace) continue;
      const found = items.find(({ metadata }) => metadata.name === set.configMap);
      if (found !== undefined) mount?.read(found, askedAt);
    }
  } catch (error) {
    // The API server may be gone: mounts stay as they are.
    if (!(error instanceof ApiError)) throw error;
  }
}

function obey(command: Command): void {
  switch (command.do) {
    case 'follow': {
      const one = new Followed(command.set, options.mountDelay, service, counts);
      followed.set(one.key, one);
      void one.run(options.interval);
      break;
    }
    case 'forget': {
      const key = `${command.namespace}/${command.name}`;
      followed.get(key)?.end();
      followed.delete(key);
      break;
    }
    case 'route':
      service.route(command.replicas);
      break;
    case 'tally':
      process.send?.(counts.tally);
      break;
  }
}

void service.probe();
void syncMounts();
process.on('message', obey).on('disconnect', () => process.exit());
process.send?.('ready');
