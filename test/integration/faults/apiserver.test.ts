import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { auditEvents, resourceOf } from '../../controlplane/audit.ts';
import { SERVICE_ACCOUNTS } from '../../stack/permissions.ts';
import { eventually } from '../../support/eventually.ts';
import type { TenantSet } from '../controller/world.ts';
import { FAULT, PATIENCE, Site } from './site.ts';

let site: Site;
let set: TenantSet;

beforeAll(async () => {
  site = await Site.start();
  set = await site.set();
}, FAULT.timeout);
afterAll(() => site?.stop());

/** The collections that our processes have listed whole since then. */
function relisted(since: number): Set<string> {
  const lists = auditEvents(site.plane.auditLog, { since }).filter(
    ({ verb, user, requestURI }) =>
      verb === 'list' &&
      requestURI.includes('limit=') &&
      Object.values(SERVICE_ACCOUNTS).some((account) => user.username.endsWith(account)),
  );
  return new Set(lists.map(resourceOf));
}

describe('in the middle of a rotation', FAULT, () => {
  it.each(['SIGTERM', 'SIGKILL'] as const)(
    'the API server ends by %s and comes back: the rotation is carried out, no token is refused',
    async (signal) => {
      const { apiserver } = site.plane.components;
      await site.inMidRotation(set, async () => {
        // One that is told to go waits a minute for its watches: it is not awaited.
        const gone = apiserver.kill(signal);
        await site.lapses();
        await apiserver.restart();
        await gone;
      });
    },
  );

  it('the API server forgets its history (410): everything is listed anew, no token is refused', async () => {
    const { etcd, apiserver } = site.plane.components;
    const since = Date.now();
    await site.inMidRotation(set, async () => {
      await apiserver.kill();
      await etcd.compact();
      await apiserver.restart();
      await eventually(() => {
        expect(relisted(since)).toContain('secrets');
        expect(relisted(since)).toContain('signingkeysets');
      }, PATIENCE);
    });
  });
});

it('afterwards nothing but Leases is written (I20)', FAULT, () => site.fallsSilent());
