import { Cron } from 'croner';
import { parseDuration } from '../api/duration.ts';
import type {
  RotationSpec,
  ScheduleSpec,
  SigningKeySetSpec,
} from '../api/signingkeyset.generated.ts';
import type { Instant } from '../keys/keyring.ts';
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
    ...automatic(rotation),
    ...flags,
  };
}

function automatic({ every, schedule }: RotationSpec): Partial<Policy> {
  if (every !== undefined) {
    const age = parseDuration(every);
    return { automatic: { trigger: 'Age', dueAfter: (since) => since + age } };
  }
  return schedule === undefined ? {} : scheduled(schedule);
}

function scheduled({ cron, timeZone = 'UTC' }: ScheduleSpec): Partial<Policy> {
  try {
    const times = new Cron(cron, { timezone: timeZone, mode: '5-part', paused: true });
    times.nextRun();
    const dueAfter = (since: Instant) => times.nextRun(new Date(since))?.getTime();
    return { automatic: { trigger: 'Schedule', dueAfter } };
  } catch (error) {
    const why = error instanceof Error ? error.message : 'it does not parse';
    const scheduleFault =
      `spec.rotation.schedule: "${cron}" in ${timeZone} names no times (${why}), so nothing ` +
      'rotates by itself: type five fields and an IANA time zone, such as "0 3 * * 6" and Europe/Berlin';
    return { scheduleFault };
  }
}

function duration<Name extends string>(
  name: Name,
  text: string | undefined,
): { [name in Name]?: number } {
  const found: { [name in Name]?: number } = {};
  if (text !== undefined) found[name] = parseDuration(text);
  return found;
}
