/** How long it takes from `rotate=now` to the first token that the promoted key has signed. */
import { setTimeout as delay } from 'node:timers/promises';
import { decodeProtectedHeader } from 'jose';
import type { Kube } from '../../src/kube/client.ts';
import { eventually } from '../support/eventually.ts';
import { type Member, readStatus } from './fleet.ts';

/**
 * Milliseconds between two requests for a token, for each rotation under way: asking more often
 * takes the processor from what is measured.
 */
const PAUSE = 5;
const PATIENCE = 30_000;
const ROUNDS = 2;

/**
 * Rotates every set twice: all once, then all again.
 *
 * @param parallel - so many rotations are under way at any time, each of another set.
 * @returns milliseconds, one for each rotation.
 */
export async function rotateAll(
  kube: Kube,
  members: readonly Member[],
  parallel: number,
): Promise<number[]> {
  const shares = Array.from({ length: parallel }, (_, share) =>
    members.filter((_member, index) => index % parallel === share),
  );
  const times = await Promise.all(
    shares.map(async (share) => {
      const taken: number[] = [];
      for (let round = 0; round < ROUNDS; round += 1) {
        for (const member of share) taken.push(await rotate(kube, member, PAUSE * parallel));
      }
      return taken;
    }),
  );
  return times.flat();
}

async function rotate(kube: Kube, member: Member, pause: number): Promise<number> {
  const next = await nextKid(kube, member);
  await annotate(kube, member, { rotate: 'now' });
  const annotated = performance.now();
  while ((await kidOfToken(member)) !== next) {
    if (performance.now() - annotated > PATIENCE) {
      throw new Error(`${next} of ${member.path} does not sign after ${PATIENCE / 1_000} s`);
    }
    await delay(pause);
  }
  return performance.now() - annotated;
}

/** Who signs next, once status has followed the rotation before. Warms both connections. */
async function nextKid(kube: Kube, member: Member): Promise<string> {
  return eventually(async () => {
    const { keys = [] } = await readStatus(kube, member.path);
    const kidIn = (wanted: string) => keys.find(({ state }) => state === wanted)?.kid;
    return kidIn('current') === (await kidOfToken(member)) && (kidIn('next') ?? false);
  });
}

/** Makes room: at most three previous keys verify at a time. */
export async function revokePrevious(kube: Kube, members: readonly Member[]): Promise<void> {
  for (const member of members) await annotate(kube, member, { revoke: 'previous' });
  for (const { path } of members) {
    await eventually(async () => {
      const { keys = [] } = await readStatus(kube, path);
      return keys.every(({ state }) => state !== 'previous');
    });
  }
}

/** The call that `kubectl annotate` makes, without the start of a kubectl. */
async function annotate(
  kube: Kube,
  { path }: Member,
  annotations: Readonly<Record<string, string>>,
): Promise<void> {
  await kube.request('PATCH', path, { body: { metadata: { annotations } } });
}

/** Asks for a token over a kept connection. @returns which key signed it. */
async function kidOfToken({ tokenEndpoint, assertion }: Member): Promise<string | undefined> {
  const response = await fetch(tokenEndpoint, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: assertion,
      audience: 'https://orders.example.com',
    }),
  });
  const body = await response.text();
  if (!response.ok) throw new Error(`${tokenEndpoint} answered ${response.status}: ${body}`);
  const { access_token: token } = JSON.parse(body) as { readonly access_token: string };
  return decodeProtectedHeader(token).kid;
}
