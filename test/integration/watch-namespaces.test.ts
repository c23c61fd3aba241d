import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { type AuditEvent, auditEvents } from '../controlplane/audit.ts';
import { type ControlPlane, startControlPlane } from '../controlplane/controlplane.ts';
import { makeNamespace } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { ES256, startWorld, Tenant, type TenantSet, type World } from './controller/world.ts';

let plane: ControlPlane;
let world: World;
let ours: [string, string, string];
let theirs: string;

beforeAll(async () => {
  plane = await startControlPlane();
  const make = () => makeNamespace(plane);
  [ours, theirs] = [[await make(), await make(), await make()], await make()];
  world = await startWorld({ controlPlane: plane, trust: false, watchNamespaces: ours });
});
afterAll(async () => {
  await world?.stop();
  await plane?.stop();
});

const publishedAs = (name: string) => ({ ...ES256, publish: { configMaps: [{ name }] } });
const ROLE_BINDING = 'signet-controller-sets';
const METRIC = 'signet_namespaces_unreadable';

/** What a tenant can do to us, until it is undone; a watch that is open goes on until we start anew. */
async function lock(namespace: string): Promise<{ unlock(): Promise<void> }> {
  const of = [`rolebinding/${ROLE_BINDING}`, '-n', namespace];
  const { stdout } = await plane.kubectl(['get', ...of, '-o', 'json']);
  const { metadata, ...binding } = JSON.parse(stdout);
  const again = { ...binding, metadata: { name: metadata.name, namespace } };
  await plane.kubectl(['delete', ...of]);
  const unlock = async () => {
    await plane.kubectl(['apply', '-f', '-'], { input: JSON.stringify(again) });
  };
  onTestFinished(unlock);
  return { unlock };
}

async function restartController(): Promise<void> {
  await world.stack.controller.kill('SIGTERM');
  await world.stack.controller.restart();
}

/** Waits for how many namespaces the controller says that it may not read. */
async function unreadable(count: number): Promise<void> {
  await eventually(async () => {
    const text = await (await fetch(world.stack.controller.metricsUrl)).text();
    expect(text).toMatch(new RegExp(`^${METRIC} ${count}$`, 'm'));
  });
}

/** Whether somebody leads and works, which a request that is carried out shows. */
async function rotates(set: TenantSet): Promise<void> {
  const from = await set.kid('current');
  await set.annotate('rotate=now', '--overwrite');
  await set.promoted(from);
}

function applyIn(namespace: string, name: string, spec = ES256): Promise<TenantSet> {
  return new Tenant(world, namespace).applyReady(spec, { name });
}

test('a controller that watches some namespaces sees to their sets, touches no others, and needs no more than Roles there', async () => {
  const foreign = await new Tenant(world, theirs).apply(publishedAs('keys'));
  for (const namespace of ours) {
    await applyIn(namespace, 'login', publishedAs('keys'));
    await plane.kubectl(['get', 'configmap', 'keys', '-n', namespace]);
  }
  expect((await foreign.read()).status).toBeUndefined();
  const user = 'system:serviceaccount:signet-system:signet-controller';
  const refused = ({ responseStatus }: AuditEvent) => responseStatus?.code === 403;
  expect(auditEvents(plane.auditLog, { user }).filter(refused)).toEqual([]);
  const everywhere = ['auth', 'can-i', 'list', 'signingkeysets', '-A', `--as=${user}`];
  await expect(plane.kubectl(everywhere)).rejects.toMatchObject({ stdout: 'no\n' });
});

test('one namespace that may not be read any more holds up no other, and its sets do not count as deleted', async () => {
  const [locked, other] = ours;
  const [theirSet, gone, mark] = [
    await applyIn(locked, 'stays', publishedAs('kept')),
    await applyIn(locked, 'gone'),
    await applyIn(other, 'gone'),
  ];
  await theirSet.until('Published', 'True');
  const before = await theirSet.keyring();
  await Promise.all([gone.delete(), mark.delete()]);
  await eventually(async () => expect((await gone.keyring()).retiredAt).toBeDefined());
  const { unlock } = await lock(locked);
  await plane.components.apiserver.restart();
  await unreadable(1);
  await rotates(await applyIn(other, 'meanwhile'));
  await restartController();
  await unreadable(1);
  await rotates(await applyIn(other, 'works'));
  // What was retired in a namespace that may be read goes meanwhile; there, a set may be back.
  await eventually(async () => expect(await mark.secret()).toBeUndefined());
  const again = await new Tenant(world, locked).apply(ES256, { name: 'gone' });
  expect((await gone.keyring()).retiredAt).toBeDefined();
  expect(await theirSet.keyring()).toEqual(before);
  await world.delete(theirSet.secretPath);
  expect(await new Tenant(world, locked).configMap('kept')).toBeDefined();
  await unlock();
  await unreadable(0);
  await again.told('KeysResumed');
  await theirSet.told('KeysRestored');
  expect((await theirSet.keyring()).keys).toEqual(before.keys);
  await rotates(theirSet);
});

test('of a watched namespace that is gone the others do not take notice, and its sets are retired', async () => {
  const [, other, doomed] = ours;
  const set = await applyIn(doomed, 'orphan');
  await plane.kubectl(['delete', 'namespace', doomed]);
  await eventually(async () => {
    const found = await set.secret();
    if (found !== undefined) expect((await set.keyring()).retiredAt).toBeDefined();
  });
  await restartController();
  await unreadable(1);
  await rotates(await applyIn(other, 'works-still'));
  await eventually(async () => expect(await set.secret()).toBeUndefined());
});
