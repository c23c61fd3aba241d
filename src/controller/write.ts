import type { Kube } from '../kube/client.ts';
import { ApiError, isConflict, isTooManyRequests, isUnanswered } from '../kube/errors.ts';

/** One write to the API server, JSON both ways; answers with the object as it is now. */
export type Write = <T>(
  method: 'POST' | 'PUT' | 'PATCH' | 'DELETE',
  path: string,
  body: unknown,
) => Promise<T>;

/** Whoever does not lead writes nothing: asked right before each write. */
export function guardedWrite(kube: Kube, isLeading: () => boolean): Write {
  return async <T>(method: string, path: string, body: unknown): Promise<T> => {
    if (!isLeading()) throw new NotLeadingError();
    const answer = await kube.request(method, path, { body });
    return answer.body as T;
  };
}

/** The leadership was lost in the middle of a pass; the one who leads now does the rest. */
export class NotLeadingError extends Error {
  override readonly name = 'NotLeadingError';
  readonly code = 'NotLeading';

  constructor() {
    super('this replica does not lead, so it writes nothing');
  }
}

/** What was read is not what is there any more: the pass is given up, and planned anew. */
export class StalePassError extends ApiError {
  constructor(what: string) {
    super(409, 'Conflict', `${what} changed meanwhile`);
  }
}

/** What the API server cannot do just now, or what planning anew mends: nobody has to hear of it. */
export function passesByItself(error: unknown): boolean {
  if (error instanceof NotLeadingError || isConflict(error)) return true;
  return isUnanswered(error) || isTooManyRequests(error) || isUnavailable(error);
}

function isUnavailable(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 503 || error.status === 504);
}
