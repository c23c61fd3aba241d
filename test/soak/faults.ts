/** What happens to the system, at random: each ends by putting right what it broke. */
import { setTimeout as delay } from 'node:timers/promises';
import { HOUR, SECOND, secretName } from '../../src/api/constants.ts';
import type { SigningKeySet } from '../../src/api/signingkeyset.generated.ts';
import { paths, type SecretObject } from '../../src/controller/objects.ts';
import type { Kube } from '../../src/kube/client.ts';
import { isNotFound } from '../../src/kube/errors.ts';
import type { Component } from '../controlplane/component.ts';
import { installPermissions, NAMESPACE, SERVICE_ACCOUNTS } from '../stack/permissions.ts';
import { status } from '../support/api-proxy.ts';
import type { Place } from './place.ts';
import type { Random } from './random.ts';

export interface Scene extends Place {
  readonly kube: Kube;
  readonly random: Random;
  /** One of the sets, as it is now. */
  victim(): Promise<SigningKeySet & { readonly metadata: { readonly namespace: string } }>;
}

type Fault = (scene: Scene) => Promise<void>;

const LEASE = `/apis/coordination.k8s.io/v1/namespaces/${NAMESPACE}/leases/signet-controller`;
const EXPIRED = { seconds: -120 };
const MOST_STARTS = 5;

function lasting({ random }: Scene, least = 3, most = 15): Promise<void> {
  return delay(random.between(least, most) * SECOND);
}

async function restarted(scene: Scene, what: 'apiserver' | 'etcd', signal: NodeJS.Signals) {
  const component = scene.plane.components[what];
  const gone = component.kill(signal);
  await lasting(scene, 1, 8);
  await comesBack(component);
  await gone;
}

/** On a machine that has much else to do a program may not be ready in its time: again, then. */
async function comesBack(component: Component): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await component.restart();
    } catch (error) {
      if (attempt === MOST_STARTS) throw error;
    }
  }
}

async function answeringWith(scene: Scene, answer: Scene['proxy']['before']): Promise<void> {
  scene.proxy.before = answer;
  await lasting(scene);
  scene.proxy.before = () => undefined;
}

async function withoutPermission(scene: Scene, binding: readonly string[]): Promise<void> {
  await scene.plane.kubectl(['delete', ...binding]);
  await lasting(scene);
  await installPermissions(scene.plane);
}

async function expired(scene: Scene, role: 'controller' | 'issuer'): Promise<void> {
  const dir = `${scene.plane.dir}/signet/${role}`;
  const account = SERVICE_ACCOUNTS[role];
  await scene.plane.serviceAccountCredentials(dir, NAMESPACE, account, EXPIRED);
  await lasting(scene);
  await scene.plane.serviceAccountCredentials(dir, NAMESPACE, account);
}

async function withSecret(
  scene: Scene,
  use: (path: string, secret: SecretObject) => Promise<void>,
): Promise<void> {
  const { metadata } = await scene.victim();
  const path = paths.secret(NAMESPACE, secretName(metadata.uid));
  const { body } = await scene.kube.request('GET', path);
  await use(path, body as SecretObject);
}

async function tampered(scene: Scene): Promise<void> {
  await withSecret(scene, async (path, { metadata, data = {} }) => {
    const entry = scene.random.pick(Object.keys(data).filter((name) => name.endsWith('.key')));
    const cut = Buffer.from('-----BEGIN PRIVATE KEY-----').toString('base64');
    const { resourceVersion } = metadata;
    const body = { metadata: { resourceVersion }, data: { [entry]: cut } };
    await scene.kube.request('PATCH', path, { body });
    await lasting(scene);
    // Whatever was due meanwhile has waited: nothing was written over what is put back.
    await scene.kube.request('PATCH', path, { body: { data: { [entry]: data[entry] } } });
  });
}

async function onConfigMap(scene: Scene, method: 'DELETE' | 'PATCH', body?: object) {
  const { metadata } = await scene.victim();
  const path = paths.configMap(metadata.namespace, `${metadata.name}-keys`);
  await scene.kube.request(method, path, { body }).catch((error) => {
    if (!isNotFound(error)) throw error;
  });
}

async function stopped(process: { pause(): void; resume(): void }, scene: Scene, seconds: number) {
  process.pause();
  await lasting(scene, seconds, seconds + 10);
  process.resume();
}

async function movedClock(scene: Scene, of: 'controller' | 'issuer'): Promise<void> {
  scene.moveClock(of, scene.random.pick([HOUR, -HOUR]));
  await lasting(scene, 5, 15);
  scene.moveClock(of, 0);
}

/** By name, every fault. */
export const FAULTS: Readonly<Record<string, Fault>> = {
  'API server SIGTERM': (scene) => restarted(scene, 'apiserver', 'SIGTERM'),
  'API server SIGKILL': (scene) => restarted(scene, 'apiserver', 'SIGKILL'),
  'history forgotten (410)': async (scene) => {
    await scene.plane.components.apiserver.kill();
    await scene.plane.components.etcd.compact();
    await comesBack(scene.plane.components.apiserver);
  },
  'etcd killed': (scene) => restarted(scene, 'etcd', 'SIGKILL'),
  'etcd stopped': (scene) => stopped(scene.plane.components.etcd, scene, 5),
  'storm of 409': (scene) =>
    answeringWith(scene, ({ method, path }) => {
      const isUpdate = ['PUT', 'PATCH'].includes(method) && !path.includes('/leases/');
      return isUpdate && scene.random.next() < 2 / 3 ? status(409, 'Conflict') : undefined;
    }),
  'storm of 429': (scene) =>
    answeringWith(scene, () => status(429, 'TooManyRequests', { 'Retry-After': '1' })),
  'answers lost': (scene) =>
    answeringWith(scene, () => (scene.random.next() < 0.3 ? 'lost' : undefined)),
  'watches late': async (scene) => {
    scene.proxy.watchDelay = scene.random.between(1, 4) * SECOND;
    await lasting(scene, 5, 20);
    scene.proxy.watchDelay = 0;
  },
  'token of the controller expired': (scene) => expired(scene, 'controller'),
  'token of the issuer expired': (scene) => expired(scene, 'issuer'),
  'permission on Secrets taken': (scene) =>
    withoutPermission(scene, ['rolebinding', SERVICE_ACCOUNTS.controller, '-n', NAMESPACE]),
  'permission on sets taken': (scene) =>
    withoutPermission(scene, ['clusterrolebinding', SERVICE_ACCOUNTS.controller]),
  'Secret deleted': (scene) =>
    withSecret(scene, async (path) => {
      await scene.kube.request('DELETE', path);
    }),
  'Secret tampered with': tampered,
  'ConfigMap deleted': (scene) => onConfigMap(scene, 'DELETE'),
  'ConfigMap edited': (scene) =>
    onConfigMap(scene, 'PATCH', { data: { 'next.crt': 'mine', mine: 'mine' } }),
  'set deleted and made again': async (scene) => {
    const { apiVersion, kind, metadata, spec } = await scene.victim();
    const { namespace, name } = metadata;
    await scene.kube.request('DELETE', paths.set(namespace, name));
    await lasting(scene, 0, 3);
    const body = { apiVersion, kind, metadata: { name }, spec };
    const collection = paths.set(namespace, '').replace(/\/$/, '');
    await scene.kube.request('POST', collection, { body });
  },
  'Lease of the leader deleted': async (scene) => {
    await scene.kube.request('DELETE', LEASE);
  },
  'first controller stopped beyond its lease': (scene) =>
    stopped(scene.stack.controller, scene, 17),
  'second controller killed': async (scene) => {
    await scene.secondController.kill();
    await lasting(scene, 0, 5);
    await comesBack(scene.secondController);
  },
  'issuer stopped': (scene) => stopped(scene.secondIssuer, scene, 1),
  'issuer killed': async (scene) => {
    await scene.secondIssuer.kill();
    await lasting(scene, 0, 8);
    await comesBack(scene.secondIssuer);
  },
  'issuer cut off': async (scene) => {
    scene.network.accepting = false;
    scene.network.cut();
    await lasting(scene);
    scene.network.accepting = true;
  },
  'issuer cut off without a sound': async (scene) => {
    scene.network.accepting = false;
    scene.network.swallow();
    await lasting(scene);
    scene.network.accepting = true;
  },
  'clock of the first controller moved': (scene) => movedClock(scene, 'controller'),
  'clock of an issuer moved': (scene) => movedClock(scene, 'issuer'),
};
