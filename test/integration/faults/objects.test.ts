import type { JSONWebKeySet } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { secretName } from '../../../src/api/constants.ts';
import { paths } from '../../../src/controller/objects.ts';
import { eventually } from '../../support/eventually.ts';
import { NAMESPACE, type TenantSet } from '../controller/world.ts';
import { FAULT, PATIENCE, Site, specOf } from './site.ts';

const TARGET = 'login-keys';

let site: Site;

beforeAll(async () => {
  site = await Site.start();
}, FAULT.timeout);
afterAll(() => site?.stop());

/** What the Secret of a set holds, base64. */
async function entriesOf(set: TenantSet): Promise<Readonly<Record<string, string>>> {
  return (await set.secret())?.data ?? {};
}

/** A merge patch that makes one set of entries of another. */
function difference(from: object, to: object): object {
  const gone = Object.keys(from).map((entry) => [entry, null] as const);
  return { ...Object.fromEntries(gone), ...to };
}

/** The key that signs and the next one; previous ones may go at any time. */
async function keysOf(set: TenantSet): Promise<readonly string[]> {
  return [await set.kid('current'), await set.kid('next')];
}

/** The keys that a set had are there, whether it has rotated since or not. */
async function keepsItsKeys(set: TenantSet, kids: readonly string[]): Promise<void> {
  await eventually(async () => {
    const { keys } = await set.keyring();
    expect(keys.map(({ kid }) => kid)).toEqual(expect.arrayContaining([...kids]));
  }, PATIENCE);
}

describe.concurrent('in the middle of a rotation', FAULT, () => {
  it('the Secret is deleted: it is written back, the rotation is carried out, no token is refused', async () => {
    const set = await site.set();
    await site.inMidRotation(set, async () => {
      const kids = await keysOf(set);
      await site.delete(set.secretPath);
      await keepsItsKeys(set, kids);
    });
  });

  it('the Secret is tampered with: it is left alone until it is repaired, no token is refused', async () => {
    const set = await site.set();
    await site.inMidRotation(set, async () => {
      const whole = await entriesOf(set);
      const entry = `${await set.kid('next')}.key`;
      const cut = Buffer.from(whole[entry] ?? '', 'base64')
        .toString()
        .slice(0, 60);
      const data = { [entry]: Buffer.from(cut).toString('base64') };
      await site.patch(set.secretPath, { data });
      await set.until('Ready', 'KeyringDamaged', PATIENCE.timeout);
      await site.patch(set.secretPath, { data: whole });
    });
  });

  it('two sets want one Secret: a copy of one’s keys in the name of the other is not used, no token is refused', async () => {
    const [set, other] = [await site.set(), await site.set()];
    await site.inMidRotation(set, async () => {
      const whole = await entriesOf(set);
      const theirs = await entriesOf(other);
      await site.patch(set.secretPath, { data: difference(whole, theirs) });
      await set.until('Ready', 'SecretNotOurs', PATIENCE.timeout);
      await site.rotate(other);
      await site.patch(set.secretPath, { data: difference(theirs, whole) });
    });
  });

  it('the ConfigMap is deleted: it is written back, the rotation is carried out, no token is refused', async () => {
    const set = await site.set();
    await site.inMidRotation(set, async () => {
      await site.delete(paths.configMap(set.tenant.name, TARGET));
      await eventually(
        async () => expect(await set.tenant.configMap(TARGET)).toBeDefined(),
        PATIENCE,
      );
    });
  });

  it('the ConfigMap is edited: it is written again, the rotation is carried out, no token is refused', async () => {
    // Long enough that the next key is put back well before it signs.
    const set = await site.set({ rotation: { propagationDelay: '10s' } });
    await site.inMidRotation(set, async () => {
      const path = paths.configMap(set.tenant.name, TARGET);
      const next = await set.kid('next');
      const published = (await set.tenant.configMap(TARGET))?.data?.['jwks.json'] ?? '';
      const { keys }: JSONWebKeySet = JSON.parse(published);
      const older = keys.filter(({ kid }) => kid !== next);
      expect(older).toHaveLength(keys.length - 1);
      // Nobody writes it again before gateways have it.
      site.stack.controller.pause();
      const data = {
        'jwks.json': JSON.stringify({ keys: older }),
        'next.crt': 'mine',
        mine: 'mine',
      };
      await site.patch(path, { data });
      await site.mounted(set);
      site.stack.controller.resume();
      await eventually(async () => {
        const written = (await set.tenant.configMap(TARGET))?.data;
        expect(written?.['jwks.json']).toBe(published);
        expect(written).not.toHaveProperty('mine');
        expect(written?.['next.crt']).toContain('BEGIN CERTIFICATE');
      }, PATIENCE);
    });
  });

  it('the set is deleted and made again under its name: it goes on with its keys, no token is refused', async () => {
    const set = await site.set();
    const before = await site.traffic.tally();
    await site.askAndWait(set);
    const kids = await keysOf(set);
    await set.delete();
    await eventually(async () => expect((await set.keyring()).retiredAt).toBeDefined(), PATIENCE);
    const again = await set.tenant.apply(specOf('login'));
    site.goesOnAs(set, again);
    await again.told('KeysResumed');
    // The request was the first set's: it went with it.
    expect(await keysOf(again)).toEqual(kids);
    await site.recovers(again);
    expect(await again.kid('current')).toBe(kids[1]);
    await site.unbroken(before);
  });
});

describe('while nobody watches', FAULT, () => {
  it('the Secret is replaced by a foreign one: that is not used and not touched; once it is gone the keys are back, no token is refused', async () => {
    const set = await site.set();
    const before = await site.traffic.tally();
    const kids = await keysOf(set);
    const name = secretName(set.uid);
    site.stack.controller.pause();
    await site.delete(set.secretPath);
    const foreign = { apiVersion: 'v1', kind: 'Secret', metadata: { name }, type: 'Opaque' };
    const { metadata } = await site.create<typeof foreign & { metadata: { uid: string } }>(
      paths.secrets(NAMESPACE),
      { ...foreign, data: { mine: 'bWluZQ==' } },
    );
    site.stack.controller.resume();
    await set.until('Ready', 'SecretNotOurs', PATIENCE.timeout);
    expect(await set.secret()).toMatchObject({ metadata: { uid: metadata.uid }, type: 'Opaque' });
    await site.delete(set.secretPath);
    // No watch of ours shows it: it is looked at again after a minute.
    await eventually(async () => expect(await keysOf(set)).toEqual(kids), {
      ...PATIENCE,
      timeout: 2 * PATIENCE.timeout,
    });
    await site.recovers(set);
    await site.unbroken(before);
  });
});

it('afterwards nothing but Leases is written (I20)', FAULT, () => site.fallsSilent());
