import { SECOND } from '../api/constants.ts';
import type { Instant } from '../keys/keyring.ts';

/** What to type to ask something of a set. */
export function annotateCommand(
  { namespace, name }: Readonly<Record<'namespace' | 'name', string>>,
  annotation: string,
): string {
  return `kubectl annotate signingkeyset ${name} -n ${namespace} ${annotation}`;
}

/** The first 8 characters of a kid, as `kubectl get sks` shows it. */
export function short(kid: string): string {
  return kid.slice(0, 8);
}

/**
 * An RFC 3339 time with seconds, as Kubernetes writes them, of something that was, or that holds
 * until then: never later than it is.
 */
export function at(instant: Instant): string {
  return `${new Date(instant).toISOString().slice(0, 19)}Z`;
}

/** The same of something that may happen from then on: never earlier than it is. */
export function from(instant: Instant): string {
  return at(wholeSecond(instant));
}

/**
 * The first whole second from then on. What is waited for comes at whole seconds, as status shows
 * times, so that nobody reads there that a wait was cut short (I3).
 */
export function wholeSecond(instant: Instant): Instant {
  return Math.ceil(instant / SECOND) * SECOND;
}
