import { expectBody, readBody } from './body.ts';
import type { Exchange } from './exchange.ts';
import { decodeUtf8 } from './json.ts';
import { Refusal } from './refusals.ts';
import type { Services } from './services.ts';

export type Form = Pick<URLSearchParams, 'get' | 'getAll'>;

/** RFC 8707 section 2 and RFC 8693 section 2.1 let these be sent several times. */
const REPEATABLE: ReadonlySet<string> = new Set(['resource', 'audience']);

/**
 * Reads a form of at most 64 KiB, in which each parameter stands once (RFC 6749 section 3.2).
 * @throws Refusal `parameter_repeated`, and those of `expectBody` and `readBody`.
 */
export async function readForm(services: Services, exchange: Exchange): Promise<Form> {
  expectBody(services, exchange, 'application/x-www-form-urlencoded');
  const body = await readBody(exchange.request);
  const form = new URLSearchParams(decodeUtf8(body));
  const names = [...form.keys()].filter((name) => !REPEATABLE.has(name));
  if (new Set(names).size < names.length) {
    throw new Refusal('parameter_repeated', 'Send each parameter once (RFC 6749 section 3.2).');
  }
  return form;
}
