import { parseDuration } from '../api/duration.ts';
import type { SigningKeySetSpec } from '../api/signingkeyset.generated.ts';
import type { Policy } from '../rotation/situation.ts';

/** The operator's flags that the protocol rests on, in milliseconds. */
export interface Flags {
  /** S */
  readonly clockSkew: number;
  /** R */
  readonly maxStaleness: number;
}

/**
 * What a spec asks for, with the CRD's defaults where an object was made without them.
 *
 * @throws RangeError naming a duration that does not parse.
 */
export function policyOf(spec: SigningKeySetSpec = {}, flags: Flags): Policy {
  const { rotation = {}, revocation = {}, tokens = {}, certificate = {} } = spec;
  return {
    algorithm: spec.algorithm ?? 'RS256',
    modulusLength: spec.rsa?.modulusLength ?? 2048,
    propagationDelay: parseDuration(rotation.propagationDelay ?? '90m'),
    maxLifetime: parseDuration(tokens.maxLifetime ?? '24h'),
    audiences: tokens.audiences ?? [],
    suspend: rotation.suspend ?? false,
    certificate: {
      lifetime: parseDuration(certificate.duration ?? '87600h'),
      ...(certificate.subject === undefined ? {} : { subject: certificate.subject }),
    },
    ...duration('gracePeriod', revocation.gracePeriod),
    ...duration('every', rotation.every),
    ...flags,
  };
}

function duration<Name extends string>(
  name: Name,
  text: string | undefined,
): { [name in Name]?: number } {
  const found: { [name in Name]?: number } = {};
  if (text !== undefined) found[name] = parseDuration(text);
  return found;
}
