import { PENDING_ANNOTATION } from '../api/constants.ts';
import type { SigningKeySet } from '../api/signingkeyset.generated.ts';
import type { KeyringOwner } from '../keys/keyring.ts';
import type { Kube } from '../kube/client.ts';
import { isForbidden } from '../kube/errors.ts';
import { find } from './find.ts';
import { type NamespaceObject, paths } from './objects.ts';
import { StalePassError } from './write.ts';

type Reader = Pick<Kube, 'request'>;

/**
 * Reads live what a plan rests on, right before the write that carries it out.
 *
 * @param set as the plan was made from it; undefined: it is gone.
 * @throws StalePassError when it is not so any more.
 */
export async function confirmed(
  kube: Reader,
  set: SigningKeySet | undefined,
  owner: KeyringOwner,
): Promise<SigningKeySet | undefined> {
  const live = await readSet(kube, owner);
  if (set === undefined) {
    if (live?.metadata.uid === owner.uid) throw new StalePassError('the set');
    return undefined;
  }
  if (live === undefined || !isSame(live, set)) throw new StalePassError('the set');
  return live;
}

/** The set of an owner's name. @returns undefined where there is none. @throws ApiError */
export async function readSet(
  kube: Reader,
  owner: KeyringOwner,
): Promise<SigningKeySet | undefined> {
  try {
    return await find(kube, paths.set(owner.namespace, owner.name));
  } catch (error) {
    // What allowed us to read there goes with the namespace, and so does every set.
    if (!isForbidden(error) || (await hasNamespace(kube, owner))) throw error;
    return undefined;
  }
}

/** Whether the very namespace is there; by a list: we may not get one by name. */
async function hasNamespace(
  kube: Reader,
  { namespace, namespaceUid }: KeyringOwner,
): Promise<boolean> {
  const query = { fieldSelector: `metadata.name=${namespace}` };
  const { body } = await kube.request('GET', paths.namespaces, { query });
  const { items } = body as { readonly items: readonly NamespaceObject[] | null };
  return (items ?? []).some(({ metadata }) => metadata.uid === namespaceUid);
}

function isSame(live: SigningKeySet, planned: SigningKeySet): boolean {
  const [a, b] = [live.metadata, planned.metadata];
  return (
    a.uid === b.uid &&
    a.generation === b.generation &&
    a.deletionTimestamp === undefined &&
    a.annotations?.[PENDING_ANNOTATION] === b.annotations?.[PENDING_ANNOTATION]
  );
}
