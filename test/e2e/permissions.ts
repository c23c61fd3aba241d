import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { apply, isReady, type Life, OPERATOR, pods, RELEASE } from './life.ts';
import { SET, soon, TENANT } from './workloads.ts';

const PROBE = readFileSync(join(import.meta.dirname, 'pods', 'issuer-probe.mjs'), 'utf8');

/** Asked from inside the issuer's container, with what the container finds there. */
export async function issuerMay({ site }: Life): Promise<void> {
  const [pod = '', other = ''] = await soon(async () => {
    const ready = (await pods(site)).filter(isReady);
    assert.equal(ready.length, 2);
    return ready.map(({ metadata }) => metadata.name);
  });
  const program = ['node', '--input-type=module', '--eval', PROBE, `signet-issuer-${other}`];
  const exec = ['exec', '-n', OPERATOR, pod, '-c', 'issuer', '--'];
  const { stdout } = await site.kubectl([...exec, ...program]);
  const found: Readonly<Record<string, unknown>> = JSON.parse(stdout);
  assert.deepEqual(found, {
    'the controller’s token is there': false,
    'list Secrets here': 'some Secrets',
    'list the key of the certificate authority': 'some Secrets',
    'list what Helm keeps of the release': 'some Secrets',
    'review a token': 201,
    'review an access': 201,
    'read its Lease': 200,
    'renew its Lease': 200,
    'renew the Lease of another replica': 200,
    'read one Secret by name': 403,
    'write a Secret': 403,
    'list Secrets elsewhere': 403,
    'list ConfigMaps': 403,
    'read sets': 403,
    'list pods': 403,
    'make a token': 403,
    'make another Lease': 403,
    'take the leader’s Lease': 403,
    'write its own disk': 'EROFS',
  });
}

export async function peopleMay({ site }: Life): Promise<void> {
  const subjects = [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'ada' }];
  await apply(site, [
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata: { name: 'ada-rotates', namespace: TENANT },
      roleRef: {
        apiGroup: 'rbac.authorization.k8s.io',
        kind: 'ClusterRole',
        name: `${RELEASE}-rotator`,
      },
      subjects,
    },
  ]);
  const type = (...what: readonly string[]) =>
    site.kubectl(['annotate', '-n', TENANT, 'signingkeyset', SET, ...what, '--as=ada']);
  await assert.rejects(type('rotate=nwo'), /rotate=nwo is not a request: type rotate=now/);
  await assert.rejects(
    type('rotate=force'),
    /needs the permission to update signingkeysets\/force/,
  );
  await assert.rejects(type('revoke=previous'), /needs the permission/);
  const spec = ['patch', 'sks', SET, '-n', TENANT, '--type=merge', '--as=ada'];
  await assert.rejects(
    site.kubectl([...spec, '-p', '{"spec":{"rotation":{"suspend":true}}}']),
    /a change of spec needs the permission/,
  );
  await type('note=hello');
}
