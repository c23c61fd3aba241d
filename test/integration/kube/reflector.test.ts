import { cpSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { V1ConfigMap } from '@kubernetes/client-node';
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import { Kube, type KubeAnswer } from '../../../src/kube/client.ts';
import { ServiceAccountFolder } from '../../../src/kube/credentials.ts';
import { isGone, isUnauthorized } from '../../../src/kube/errors.ts';
import { Reflector, type ReflectorOptions } from '../../../src/kube/reflector.ts';
import { type ControlPlane, startControlPlane } from '../../controlplane/controlplane.ts';
import { connectAsRobot, eventually, memoryLog, NAMESPACE, prepare } from './cluster.ts';
import { type FaultyNetwork, startProxy } from './proxy.ts';

const PATH = `/api/v1/namespaces/${NAMESPACE}/configmaps`;
let plane: ControlPlane;
let kube: Kube;
let proxy: FaultyNetwork;
let proxied: Kube;
let credentialsDir: string;

beforeAll(async () => {
  plane = await startControlPlane({ controllerManager: false });
  await prepare(plane);
  kube = await connectAsRobot(plane);
});

afterAll(async () => {
  kube?.close();
  await plane?.stop();
});

beforeEach(async () => {
  await kube.request('DELETE', PATH);
  proxy = await startProxy(plane.server);
  credentialsDir = join(plane.dir, 'reflector');
  proxied = await connectAsRobot(plane, proxy.port, credentialsDir);
  onTestFinished(async () => {
    proxied.close();
    await proxy[Symbol.asyncDispose]();
  });
});

function isOf(map: V1ConfigMap | undefined): string | undefined {
  const { is } = map?.data ?? {};
  return is;
}

/** A running reflector of ConfigMaps, with everything that it said. */
async function reflect(options: Partial<ReflectorOptions<V1ConfigMap>> = {}) {
  const log = memoryLog();
  const changes: string[] = [];
  const reflector = new Reflector<V1ConfigMap>({ kube: proxied, path: PATH, log, ...options });
  reflector.subscribe(({ type, object }) => {
    changes.push(`${type} ${object.metadata?.name} ${isOf(object)}`);
  });
  const stop = new AbortController();
  const running = reflector.run(stop.signal);
  onTestFinished(async () => {
    stop.abort();
    await running;
  });
  await reflector.synced;
  const value = (name: string) => isOf(reflector.get(NAMESPACE, name));
  return { reflector, log, changes, value };
}

async function write(name: string, is: string): Promise<V1ConfigMap> {
  const { body } = await kube.request('PATCH', `${PATH}/${name}`, {
    query: { fieldManager: 'test', force: true },
    contentType: 'application/apply-patch+yaml',
    body: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { is } },
  });
  return body as V1ConfigMap;
}

async function erase(name: string): Promise<void> {
  await kube.request('DELETE', `${PATH}/${name}`);
}

test('it lists what is there and follows every change', async () => {
  await write('a', '1');
  const { reflector, changes, value } = await reflect();
  expect(value('a')).toBe('1');
  await write('a', '2');
  const b = await write('b', '1');
  await erase('a');
  await eventually(() =>
    expect(changes).toEqual(['upsert a 1', 'upsert a 2', 'upsert b 1', 'delete a 2']),
  );
  expect(reflector.list().map((each) => each.metadata?.name)).toEqual(['b']);
  expect(BigInt(reflector.lastSeenResourceVersion ?? 0)).toBeGreaterThan(
    BigInt(b.metadata?.resourceVersion ?? 0),
  );
});

test('more than a page is listed whole', async () => {
  const names = Array.from({ length: 1_100 }, (_, index) => `many-${index}`);
  for (let from = 0; from < names.length; from += 50) {
    await Promise.all(
      names
        .slice(from, from + 50)
        .map((name) => kube.request('POST', PATH, { body: { metadata: { name } } })),
    );
  }
  const { reflector } = await reflect();
  expect(new Set(reflector.list().map((each) => each.metadata?.name))).toEqual(new Set(names));
});

test('a watch that is cut half-way is resumed without a new list, and nothing is missed', async () => {
  const { changes, log } = await reflect();
  for (let turn = 1; turn <= 5; turn += 1) {
    await write('a', `${turn}`);
    if (turn % 2 === 0) await eventually(() => expect(changes).toContain(`upsert a ${turn}`));
    proxy.cut();
  }
  await eventually(() =>
    expect(changes).toEqual([1, 2, 3, 4, 5].map((turn) => `upsert a ${turn}`)),
  );
  expect(log.lines.filter(({ message }) => message === 'listed')).toHaveLength(1);
});

test('a connection on which nothing comes any more is given up', async () => {
  const { reflector, value } = await reflect({ idleTimeoutMs: 700 });
  await write('a', '1');
  await eventually(() => expect(value('a')).toBe('1'));
  proxy.swallow();
  await write('a', '2');
  await eventually(() => expect(value('a')).toBe('2'));
  expect(reflector.lastContactAt).toBeGreaterThan(Date.now() - 10_000);
});

test('watches that end by themselves are opened again, on the same connection', async () => {
  const { reflector, value, log } = await reflect({ watchSeconds: 1 });
  const contacts = new Set<number | undefined>();
  const contacted = (times: number) =>
    eventually(() => {
      contacts.add(reflector.lastContactAt);
      expect(contacts.size).toBeGreaterThanOrEqual(times);
    });
  // By then the first watch has a connection of its own, beside that of the list.
  await contacted(2);
  const { opened } = proxy;
  await contacted(4);
  await write('a', '1');
  await eventually(() => expect(value('a')).toBe('1'));
  expect(proxy.opened).toBe(opened);
  expect(log.lines).toMatchObject([{ message: 'listed' }]);
});

test('it outlives a restart of the API server', async () => {
  const { value } = await reflect();
  await plane.components.apiserver.kill();
  await plane.components.apiserver.restart();
  await write('a', '1');
  await eventually(() => expect(value('a')).toBe('1'));
});

test('when history is compacted it lists again, and what vanished meanwhile is deleted', async () => {
  await write('stays', '1');
  await write('goes', '1');
  const { reflector, changes, value, log } = await reflect();
  proxy.accepting = false;
  proxy.cut();
  await erase('goes');
  await write('stays', '2');
  await plane.components.etcd.compact();
  await plane.components.apiserver.restart();
  proxy.accepting = true;
  await eventually(() => expect(value('stays')).toBe('2'));
  expect(log.lines.some(({ err }) => isGone(err))).toBe(true);
  expect(reflector.get(NAMESPACE, 'goes')).toBeUndefined();
  expect(changes.slice(2)).toEqual(['delete goes 1', 'upsert stays 2']);
});

test('a list whose history is compacted between two of its pages begins anew, and shows nothing that is gone', async () => {
  for (const name of ['a', 'b', 'c']) await write(name, '1');
  let pages = 0;
  class Interrupted extends Kube {
    override async request(...call: Parameters<Kube['request']>): Promise<KubeAnswer> {
      if (call[2]?.query?.['continue'] !== undefined && ++pages === 1) {
        await erase('a');
        await plane.components.etcd.compact();
        await plane.components.apiserver.restart();
        await eventually(() => super.request('GET', PATH));
      }
      return super.request(...call);
    }
  }
  const { port } = new URL(plane.server);
  const env = { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: port };
  const own = new Interrupted(new ServiceAccountFolder(credentialsDir, env), 'kube-tests');
  onTestFinished(() => own.close());
  const { reflector, changes, log } = await reflect({ kube: own, pageSize: 1 });
  expect(log.lines.some(({ err }) => isGone(err))).toBe(true);
  expect(reflector.list().map((each) => each.metadata?.name)).toEqual(['b', 'c']);
  expect(changes).toEqual(['upsert b 1', 'upsert c 1']);
});

test('after etcd was put back to a backup it starts over, and tells all that is other now', async () => {
  const { etcd, apiserver } = plane.components;
  const [data, backup] = ['data', 'backup'].map((name) => join(plane.dir, 'etcd', name));
  await write('older', '1');
  await write('stays', '1');
  await etcd.kill();
  cpSync(`${data}`, `${backup}`, { recursive: true });
  await etcd.restart();
  await eventually(() => write('older', '2'));
  await write('newer', '1');
  const { reflector, changes, value, log } = await reflect();
  changes.length = 0;
  await apiserver.kill();
  await etcd.kill();
  rmSync(`${data}`, { recursive: true });
  renameSync(`${backup}`, `${data}`);
  await etcd.restart();
  await apiserver.restart();
  await eventually(() => expect(value('older')).toBe('1'));
  expect(reflector.get(NAMESPACE, 'newer')).toBeUndefined();
  expect([...changes].sort()).toEqual(['delete newer 1', 'upsert older 1', 'upsert stays 1']);
  await eventually(() => write('older', '3'));
  await eventually(() => expect(value('older')).toBe('3'));
  expect(log.lines.some(({ message }) => message.includes('history began anew'))).toBe(true);
});

test('an expired token stops nothing: it goes on with the next one in the file', async () => {
  const { value, log } = await reflect();
  await plane.serviceAccountCredentials(credentialsDir, NAMESPACE, 'robot', { seconds: -120 });
  const refused = () => expect(log.lines.some(({ err }) => isUnauthorized(err))).toBe(true);
  await eventually(() => {
    proxy.cut();
    return eventually(refused, 1_000);
  });
  await write('a', '1');
  await plane.serviceAccountCredentials(credentialsDir, NAMESPACE, 'robot');
  await eventually(() => expect(value('a')).toBe('1'));
});

test('it shows our own writes at once, and older events do not undo them', async () => {
  const { reflector, changes, value } = await reflect();
  proxy.accepting = false;
  proxy.cut();
  await write('a', '1');
  reflector.put(await write('a', '2'));
  const gone = await write('b', '1');
  await erase('b');
  reflector.put(gone);
  reflector.remove(gone);
  expect(value('a')).toBe('2');
  expect(reflector.get(NAMESPACE, 'b')).toBeUndefined();
  proxy.accepting = true;
  await write('last', '1');
  await eventually(() => expect(value('last')).toBe('1'));
  expect(changes).toEqual(['upsert a 2', 'upsert b 1', 'delete b 1', 'upsert last 1']);
});

test('an object that does not parse keeps its last good state, until it is deleted', async () => {
  await write('a', 'good');
  const { reflector, log, changes, value } = await reflect({
    parse: (object) => {
      const map = object as V1ConfigMap;
      if (isOf(map) === 'bad') throw new TypeError('bad');
      return map;
    },
  });
  await write('a', 'bad');
  await write('b', 'good');
  await eventually(() => expect(value('b')).toBe('good'));
  expect(value('a')).toBe('good');
  proxy.accepting = false;
  proxy.cut();
  await plane.components.etcd.compact();
  await plane.components.apiserver.restart();
  proxy.accepting = true;
  const lists = () => log.lines.filter(({ message }) => message === 'listed');
  await eventually(() => expect(lists()).toHaveLength(2));
  expect(value('a')).toBe('good');
  await erase('a');
  await eventually(() => expect(reflector.get(NAMESPACE, 'a')).toBeUndefined());
  expect(changes).toEqual(['upsert a good', 'upsert b good', 'delete a good']);
});

test('a subscriber that throws is logged and stops nothing', async () => {
  const { reflector, log, value } = await reflect();
  reflector.subscribe(() => {
    throw new Error('a broken subscriber');
  });
  await write('a', '1');
  await write('a', '2');
  await eventually(() => expect(value('a')).toBe('2'));
  expect(log.lines.filter(({ message }) => message === 'a subscriber threw')).toHaveLength(2);
});

test('stopped before it is in step, it says so to whoever waits', async () => {
  proxy.accepting = false;
  const reflector = new Reflector<V1ConfigMap>({ kube: proxied, path: PATH, log: memoryLog() });
  const stop = new AbortController();
  const running = reflector.run(stop.signal);
  stop.abort(new Error('stopped'));
  await running;
  await expect(reflector.synced).rejects.toThrow('stopped');
  expect(reflector.isSynced).toBe(false);
});
