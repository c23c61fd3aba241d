import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { json as readJson } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { SECOND } from '../../../src/api/constants.ts';
import type { Keyring } from '../../../src/keys/keyring.ts';
import { eventually } from '../../support/eventually.ts';
import { aKeyring } from '../../support/keyrings.ts';
import { startWorld, type World } from './world.ts';

let world: World;
let login: Keyring;
const agent = new Agent({ keepAlive: true });

beforeAll(async () => {
  world = await startWorld();
  login = await world.store(await aKeyring().with(world.identity('login')).build());
});
afterAll(async () => {
  agent.destroy();
  await world?.[Symbol.asyncDispose]();
});

it('an issuer that stops answers what is in flight, then takes nothing more, and does not linger', async () => {
  const body = '{"claims":{"sub":"alice"}}';
  const slow = request(`${world.base}/${world.tenant}/login/sign`, {
    method: 'POST',
    agent,
    headers: {
      Authorization: `Bearer ${await world.token('authority', login.issuer)}`,
      'Content-Type': 'application/json',
      'Content-Length': body.length,
    },
  });
  slow.write(body.slice(0, 10));
  const idle = await world.fetch(`/${world.tenant}/login/.well-known/jwks.json`);
  expect(idle.status).toBe(200);

  const startedAt = performance.now();
  const closing = world.issuer.close();
  expect(world.issuer.ready()).toBe('stopping');
  await eventually(() => refused(world.base));
  slow.end(body.slice(10));
  const [response]: IncomingMessage[] = await once(slow, 'response');
  if (response === undefined) throw new Error('no response');
  expect(response.statusCode).toBe(200);
  expect(await readJson(response)).toHaveProperty('token');
  await closing;
  // What is left is cut after 10 s: nothing was.
  expect(performance.now() - startedAt).toBeLessThan(9 * SECOND);
});

function refused(url: string): Promise<boolean> {
  return fetch(url).then(
    () => false,
    () => true,
  );
}
