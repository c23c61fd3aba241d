import type { Kube } from '../kube/client.ts';
import { isNotFound } from '../kube/errors.ts';

/** Reads an object live. @returns undefined where there is none. @throws ApiError */
export async function find<T>(kube: Pick<Kube, 'request'>, path: string): Promise<T | undefined> {
  try {
    const { body } = await kube.request('GET', path);
    return body as T;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}
