import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { auditEvents } from '../../controlplane/audit.ts';
import { installPermissions, NAMESPACE, SERVICE_ACCOUNTS } from '../../stack/permissions.ts';
import { eventually } from '../../support/eventually.ts';
import type { TenantSet } from '../controller/world.ts';
import { FAULT, PATIENCE, Site } from './site.ts';

/** The API server takes a token for a minute after it has expired. */
const EXPIRED = { seconds: -120 };

let site: Site;
let set: TenantSet;

beforeAll(async () => {
  site = await Site.start();
  set = await site.set();
}, FAULT.timeout);
afterAll(() => site?.stop());

/** Waits until somebody of ours was refused with this status. */
async function refusedWith(code: number, since: number): Promise<void> {
  await eventually(
    () =>
      auditEvents(site.plane.auditLog, { since }).some(
        ({ responseStatus, user }) =>
          responseStatus?.code === code &&
          (code === 401 || user.username.startsWith(`system:serviceaccount:${NAMESPACE}:`)),
      ),
    PATIENCE,
  );
}

describe('in the middle of a rotation', FAULT, () => {
  it.each(Object.entries(SERVICE_ACCOUNTS))(
    'the token of the %s expires and is renewed: the rotation is carried out, no token is refused',
    async (role, account) => {
      // The controller renews the issuer's at half its life: nobody writes over ours.
      const dir = join(site.plane.dir, 'signet', role);
      await site.inMidRotation(set, async () => {
        const since = Date.now();
        await site.cluster.serviceAccountCredentials(dir, NAMESPACE, account, EXPIRED);
        await refusedWith(401, since);
        await site.cluster.serviceAccountCredentials(dir, NAMESPACE, account);
      });
    },
  );

  it.each([
    ['Secrets', 'controller', ['rolebinding', SERVICE_ACCOUNTS.controller, '-n', NAMESPACE]],
    ['sets and ConfigMaps', 'controller', ['clusterrolebinding', SERVICE_ACCOUNTS.controller]],
    ['Secrets', 'issuer', ['rolebinding', SERVICE_ACCOUNTS.issuer, '-n', NAMESPACE]],
  ])(
    'the permission on %s is taken from the %s and given back: it goes on without a restart, the JWKS is always there, no token is refused',
    async (_, role, binding) => {
      const { pid } = role === 'issuer' ? site.stack.issuer : site.stack.controller;
      const { unpublished } = await site.traffic.tally();
      await site.inMidRotation(set, async () => {
        const since = Date.now();
        await site.cluster.kubectl(['delete', ...binding]);
        await refusedWith(403, since);
        if (role === 'issuer') await site.lapses();
        await installPermissions(site.cluster);
      });
      const after = role === 'issuer' ? site.stack.issuer : site.stack.controller;
      expect(after.pid).toBe(pid);
      expect((await site.traffic.tally()).unpublished).toBe(unpublished);
    },
  );
});

it('afterwards nothing but Leases is written (I20)', FAULT, () => site.fallsSilent());
