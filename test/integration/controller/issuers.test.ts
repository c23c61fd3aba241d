import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ALLOWED_ISSUERS_ANNOTATION, MINUTE } from '../../../src/api/constants.ts';
import { eventually } from '../../support/eventually.ts';
import { ES256, startWorld, type TenantSet, type World } from './world.ts';

let world: World;

beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.stop());

/** A host of its own for each test, so that none stands in another's way. */
function aHost(): string {
  return `login-${randomBytes(4).toString('hex')}.example.com`;
}

function withIssuer(issuer: string) {
  return { ...ES256, issuer };
}

/** A set that is refused has no Secret, ever. */
async function refused(set: TenantSet, reason: string): Promise<string> {
  const message = await set.until('Ready', reason);
  expect(await set.secret()).toBeUndefined();
  expect(await set.status()).not.toHaveProperty('keys');
  return message;
}

describe.concurrent('an issuer that the namespace does not allow', () => {
  it('is refused with the command that allows it, and granted once that is typed', async () => {
    const tenant = await world.tenant();
    const issuer = `https://${aHost()}/tokens`;
    const set = await tenant.apply(withIssuer(issuer));
    const message = await refused(set, 'IssuerNotAllowed');
    const command = `kubectl annotate namespace ${tenant.name} --overwrite ${ALLOWED_ISSUERS_ANNOTATION}="${issuer}"`;
    expect(message).toBe(
      `${issuer} is not allowed in namespace ${tenant.name}: a cluster administrator may type ${command}`,
    );
    const [, ...args] = command.replaceAll('"', '').split(' ');
    await world.cluster.kubectl(args);
    await set.until('Ready', 'True');
    expect(await set.status()).toMatchObject({
      issuer,
      jwksURI: `${issuer}/.well-known/jwks.json`,
    });
    expect((await set.told('KeysCreated')).message).toBe(`Made the first ES256 keys for ${issuer}`);
  });

  it.each([
    ['a longer host', (host: string) => [`https://${host}`, `https://${host}.evil.example/`]],
    ['half a path segment', (host: string) => [`https://${host}/shop`, `https://${host}/shopping`]],
    ['another port', (host: string) => [`https://${host}`, `https://${host}:8443`]],
    ['another scheme', (host: string) => [`https://${host}`, `http://${host}`]],
  ])('is not allowed by a prefix that it shares only as text: %s', async (_, urls) => {
    const [allowed = '', asked = ''] = urls(aHost());
    const set = await (await world.tenant(allowed)).apply(withIssuer(asked));
    expect(await refused(set, 'IssuerNotAllowed')).toContain(`"${allowed} ${asked}"`);
  });
});

describe.concurrent('an issuer that another set has', () => {
  it.each([
    ['the same', '/a', (host: string) => `https://${host}/a`],
    ['in upper case', '/a', (host: string) => `https://${host.toUpperCase()}/A`],
    ['with the default port', '/a', (host: string) => `https://${host}:443/a`],
    ['with a trailing slash', '/a', (host: string) => `https://${host}/a/`],
    ['by http', '/a', (host: string) => `http://${host}/a`],
    ['without a path', '', (host: string) => `https://${host}/`],
  ])('is refused: %s', async (_, path, variant) => {
    const host = aHost();
    const allowed = [`https://${host}`, `http://${host}`];
    const first = await (await world.tenant(...allowed)).applyReady(
      withIssuer(`https://${host}${path}`),
    );
    const issuer = variant(host);
    const second = await (await world.tenant(...allowed)).apply(withIssuer(issuer));
    expect(await refused(second, 'IssuerConflict')).toBe(
      `${issuer} is the issuer of another set, which had it first: choose another host or path in a new set`,
    );
    await first.until('Ready', 'Signing');
  });

  it.each([
    ['below', '/a', '/a/b'],
    ['above', '/a/b', '/a'],
  ])('is refused when it lies %s it', async (_, held, asked) => {
    const url = `https://${aHost()}`;
    await (await world.tenant(url)).applyReady(withIssuer(`${url}${held}`));
    const second = await (await world.tenant(url)).apply(withIssuer(`${url}${asked}`));
    expect(await refused(second, 'IssuerConflict')).toBe(
      `${url}${asked} overlaps the issuer of another set, which had it first: choose another host or path in a new set`,
    );
  });

  it('is granted when only the first letters of the path are the same', async () => {
    const url = `https://${aHost()}`;
    const tenant = await world.tenant(url);
    await tenant.applyReady(withIssuer(`${url}/shop`));
    await tenant.applyReady(withIssuer(`${url}/shopping`), { name: 'shopping' });
  });
});

describe.concurrent('an issuer where others answer', () => {
  it('is refused where the set of another namespace has its default issuer', async () => {
    const { issuerUrl } = world.stack;
    const victim = await (await world.tenant()).applyReady();
    const { issuer = '' } = await victim.status();
    expect(issuer).toBe(`${issuerUrl}/${victim.tenant.name}/login`);
    const tenant = await world.tenant(issuerUrl);
    const same = await tenant.apply(withIssuer(issuer));
    await refused(same, 'IssuerConflict');
    const future = await tenant.apply(withIssuer(`${issuerUrl}/not-yet/there`), { name: 'future' });
    expect(await refused(future, 'IssuerConflict')).toBe(
      `${issuerUrl}/not-yet/there lies where the sets of other namespaces have their default issuers ` +
        `(${issuerUrl}/<namespace>/<name>): leave spec.issuer out, or choose a path elsewhere`,
    );
  });

  it.each(['.well-known', 'sign', 'oauth', 'api'])(
    'is refused with our own segment /%s',
    async (segment) => {
      const issuer = `https://${aHost()}/tenant/${segment}`;
      const set = await (await world.tenant(issuer)).apply(withIssuer(issuer));
      expect(await refused(set, 'IssuerConflict')).toBe(
        `${issuer} contains /${segment}, which is an endpoint of every issuer: choose another path`,
      );
    },
  );
});

describe.concurrent('of sets that want one issuer', () => {
  it('and are made at the same moment, exactly one gets it', async () => {
    const url = `https://${aHost()}`;
    const tenants = await Promise.all(Array.from({ length: 4 }, () => world.tenant(url)));
    const sets = await Promise.all(tenants.map((tenant) => tenant.apply(withIssuer(url))));
    const reasons = await Promise.all(
      sets.map((set) =>
        eventually(async () => {
          const { reason = '' } = (await set.condition('Ready')) ?? {};
          expect(['Signing', 'IssuerConflict']).toContain(reason);
          return reason;
        }),
      ),
    );
    expect(reasons.filter((reason) => reason === 'Signing')).toHaveLength(1);
    const secrets = await Promise.all(sets.map((set) => set.secret()));
    expect(secrets.filter((secret) => secret !== undefined)).toHaveLength(1);
  });

  it('the next gets it when the one that has it is deleted and its last token has expired', async () => {
    const url = `https://${aHost()}`;
    const spec = { ...withIssuer(url), tokens: { maxLifetime: '10s' } };
    const holder = await (await world.tenant(url)).applyReady(spec);
    const other = await (await world.tenant(url)).apply(withIssuer(url));
    await refused(other, 'IssuerConflict');
    await holder.delete();
    await holder.told('KeysRetired');
    const { keys } = await holder.keyring();
    await other.until('Ready', 'True', MINUTE);
    expect(await holder.secret()).toBeUndefined();
    const end = Math.max(...keys.map(({ tokensUntil }) => tokensUntil ?? 0));
    expect((await other.keyring()).keys[0]?.createdAt).toBeGreaterThanOrEqual(end);
  });

  it('the next gets it at once when the Secret of the deleted one is deleted', async () => {
    const url = `https://${aHost()}`;
    const spec = { ...withIssuer(url), tokens: { maxLifetime: '1h' } };
    const holder = await (await world.tenant(url)).applyReady(spec);
    const other = await (await world.tenant(url)).apply(spec);
    await refused(other, 'IssuerConflict');
    await holder.delete();
    await holder.told('KeysRetired');
    await refused(other, 'IssuerConflict');
    await world.delete(holder.secretPath);
    await other.until('Ready', 'True');
  });
});
