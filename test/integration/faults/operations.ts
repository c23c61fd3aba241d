import { expect } from 'vitest';
import { HOUR } from '../../../src/api/constants.ts';
import { paths, type SecretObject } from '../../../src/controller/objects.ts';
import type { Keyring, KeyState } from '../../../src/keys/keyring.ts';
import { eventually } from '../../support/eventually.ts';
import { NAMESPACE, type TenantSet } from '../controller/world.ts';
import { PATIENCE, type Site, specOf } from './site.ts';

/** P, in seconds: of crash points, a rotation that waits is always in mid-wait. */
const LONG_P = 8;
/** A max-age of P/4, the delay of a mount, and time for both to happen on a busy machine. */
const UNTIL_ALL_KNOW = (LONG_P / 4) * 1_000 + 5_000;

/** Old keys stay for as long as a test looks: nothing is written that was not asked for. */
export function patientSpec(name: string) {
  const rotation = { propagationDelay: `${LONG_P}s` };
  const [tokens, revocation] = [{ maxLifetime: '1h' }, { gracePeriod: '1h' }];
  return { ...specOf(name), rotation, tokens, revocation };
}

/** What there was. */
export type Before = Pick<Keyring, 'keys' | 'requests'>;

/** Something that somebody asks for, and what has to come of it, whatever dies meanwhile. */
export interface Operation {
  /** The set is made by it. */
  readonly makesIt?: true;
  /** What a published set needs to be for it. */
  readonly prepare?: (set: TenantSet) => Promise<void>;
  /** @returns the set, or the one that was made in its place. */
  readonly ask: (set: TenantSet) => Promise<TenantSet>;
  /** The states of the keys that it replaces, and nobody needs any more. */
  readonly replaces?: KeyState;
  /** Fails unless it was carried out exactly once. */
  readonly expect: (before: Before, after: Keyring) => void;
  /** What clients are told of it. */
  readonly account?: (site: Site, before: Before, after: Keyring, askedAt: number) => void;
}

function kidsOf({ keys }: Pick<Keyring, 'keys'>, state: KeyState): readonly string[] {
  return keys.filter((key) => key.state === state).map(({ kid }) => kid);
}

async function annotate(set: TenantSet, annotations: Readonly<Record<string, string>>) {
  await set.tenant.admin.patch(set.path, { metadata: { annotations } });
  return set;
}

function makeAgain({ tenant, name }: TenantSet): Promise<TenantSet> {
  return tenant.apply(patientSpec(name), { name });
}

/** The first rotation of a new set does not wait. */
async function rotateOnce(set: TenantSet): Promise<void> {
  const current = await set.kid('current');
  await annotate(set, { rotate: 'now' });
  await set.promoted(current, PATIENCE.timeout);
  await eventually(async () => {
    const { keys } = await set.keyring();
    expect(keys.every(({ publishedAt }) => publishedAt !== undefined)).toBe(true);
    const { conditions = [] } = await set.status();
    expect(conditions).toContainEqual(expect.objectContaining({ reason: 'PublishedEverywhere' }));
  }, PATIENCE);
}

/** One number later, the next key signs and the one before it verifies. */
function promotedOnce(before: Before, after: Keyring): void {
  expect(after.requests.number).toBe(before.requests.number + 1);
  expect(kidsOf(after, 'current')).toEqual(kidsOf(before, 'next'));
  const previous = [...kidsOf(before, 'current'), ...kidsOf(before, 'previous')];
  expect(kidsOf(after, 'previous')).toEqual(previous);
}

function sameKeys(before: Before, after: Keyring): void {
  expect(after.keys.map(({ kid, state }) => [kid, state])).toEqual(
    before.keys.map(({ kid, state }) => [kid, state]),
  );
}

const backupOf = ({ uid }: TenantSet): string => `backup-of-${uid}`;

/** A copy of the set's Secret, as somebody keeps one. */
async function backUp(set: TenantSet): Promise<void> {
  const { type, data } = (await set.secret()) ?? expect.fail('there is no Secret');
  const body = { metadata: { name: backupOf(set) }, type, data };
  await set.tenant.admin.create<SecretObject>(paths.secrets(NAMESPACE), body);
}

function revoked(site: Site, kids: readonly string[], askedAt: number): void {
  for (const kid of kids) site.ledger.revoked(kid, askedAt, Date.now() + UNTIL_ALL_KNOW);
}

function forced(site: Site, after: Keyring): void {
  for (const kid of kidsOf(after, 'current')) site.ledger.forced(kid, Date.now() + UNTIL_ALL_KNOW);
}

/** What users ask for, by name. */
export const OPERATIONS: Readonly<Record<string, Operation>> = {
  'a creation': {
    makesIt: true,
    ask: makeAgain,
    expect(_, after) {
      expect(after.keys.map(({ state }) => state).toSorted()).toEqual(['current', 'next']);
      expect(after.requests.number).toBe(0);
    },
  },
  'rotate=now': { ask: (set) => annotate(set, { rotate: 'now' }), expect: promotedOnce },
  'rotate=force': {
    prepare: rotateOnce,
    ask: (set) => annotate(set, { rotate: 'force' }),
    expect: promotedOnce,
    account: (site, _, after) => forced(site, after),
  },
  'rotate=compromised': {
    prepare: rotateOnce,
    ask: (set) => annotate(set, { rotate: 'compromised' }),
    expect(before, after) {
      expect(after.requests.number).toBe(before.requests.number + 1);
      const old = before.keys.map(({ kid }) => kid);
      expect(after.keys.filter(({ kid }) => old.includes(kid))).toEqual([]);
      expect(after.keys.map(({ state }) => state).toSorted()).toEqual(['current', 'next']);
      expect(after.revoked.map(({ kid }) => kid).toSorted()).toEqual(old.toSorted());
    },
    account(site, before, after, askedAt) {
      forced(site, after);
      const old = before.keys.map(({ kid }) => kid);
      revoked(site, old, askedAt);
    },
  },
  'rollback=now': {
    prepare: rotateOnce,
    ask: (set) => annotate(set, { rollback: 'now' }),
    expect(before, after) {
      expect(after.requests.number).toBe(before.requests.number + 1);
      expect(kidsOf(after, 'current')).toEqual(kidsOf(before, 'previous'));
      expect(kidsOf(after, 'previous')).toEqual(kidsOf(before, 'current'));
    },
  },
  'revoke=previous': {
    prepare: rotateOnce,
    ask: (set) => annotate(set, { revoke: 'previous' }),
    expect(before, after) {
      expect(after.requests.number).toBe(before.requests.number + 1);
      expect(kidsOf(after, 'previous')).toEqual([]);
      expect(kidsOf(after, 'current')).toEqual(kidsOf(before, 'current'));
      expect(kidsOf(after, 'next')).toEqual(kidsOf(before, 'next'));
    },
    account: (site, before, _, askedAt) => revoked(site, kidsOf(before, 'previous'), askedAt),
  },
  'a longer P, L and G': {
    async ask(set) {
      const hours = { rotation: { propagationDelay: '2h' }, tokens: { maxLifetime: '2h' } };
      await set.change({ ...hours, revocation: { gracePeriod: '2h' } });
      return set;
    },
    expect(before, after) {
      sameKeys(before, after);
      expect(after).toMatchObject({ propagationDelay: 2 * HOUR, maxLifetime: 2 * HOUR });
      for (const [index, { tokensUntil }] of after.keys.entries()) {
        expect(tokensUntil ?? 0).toBeGreaterThanOrEqual(before.keys[index]?.tokensUntil ?? 0);
      }
    },
  },
  'another algorithm': {
    replaces: 'next',
    async ask(set) {
      await set.change({ algorithm: 'ES384' });
      return set;
    },
    expect(before, after) {
      expect(kidsOf(after, 'current')).toEqual(kidsOf(before, 'current'));
      expect(after.keys.map(({ state, algorithm }) => [state, algorithm])).toEqual([
        ['current', 'ES256'],
        ['next', 'ES384'],
      ]);
    },
  },
  'a restore': {
    prepare: backUp,
    async ask(set) {
      const cut = Buffer.from('{').toString('base64');
      await set.tenant.admin.patch(set.secretPath, { data: { 'keyring.json': cut } });
      return annotate(set, { 'signet.dev/restore': backupOf(set) });
    },
    expect: sameKeys,
  },
  'a deletion': {
    async ask(set) {
      await set.delete();
      return set;
    },
    expect(before, after) {
      sameKeys(before, after);
      expect(after.retiredAt).toBeDefined();
    },
  },
  'a set made again': {
    async prepare(set) {
      await set.delete();
      await eventually(async () => expect((await set.keyring()).retiredAt).toBeDefined(), PATIENCE);
    },
    ask: makeAgain,
    expect(before, after) {
      sameKeys(before, after);
      expect(after.retiredAt).toBeUndefined();
    },
  },
};
