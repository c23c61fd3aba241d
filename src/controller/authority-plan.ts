import { DAY } from '../api/constants.ts';
import type { Authority } from '../keys/authority.ts';

/** The authorities that verifiers of the issuer's TLS certificate trust. */
export interface Authorities {
  /** Signs serving certificates. */
  readonly current: Authority;
  /** Trusted long before it signs. */
  readonly next?: Authority;
  /** Signs no more; trusted until it ends, for what it signed. */
  readonly previous?: Omit<Authority, 'privateKey'>;
}

export type AuthorityStep = 'Create' | 'AddNext' | 'Promote' | 'DropPrevious';

interface AuthorityPlan {
  readonly step?: AuthorityStep;
  /** Unix ms: when to look again if nothing is to be done now. */
  readonly recheckAt: number;
}

export const AUTHORITY_LIFETIME = 730 * DAY;
/** How long verifiers have, at least, to hear of an authority before it signs. */
const ANNOUNCED = 30 * DAY;
/** Where there was no time for that: late, yet before the old one ends. */
const LAST_CALL = DAY;

/**
 * What is due (I1 for TLS: a verifier that reads its ConfigMap now and then never meets a
 * certificate that it cannot trust). One step at a time.
 *
 * ```
 * made ─────────── 1/2 ─────────── 3/4 ─────────── end
 *   current signs   next is in the  next signs      previous leaves
 *                   bundle                          the bundle
 * ```
 */
export function planAuthorities(held: Authorities | undefined, now: number): AuthorityPlan {
  if (held === undefined) return { step: 'Create', recheckAt: now };
  const { current, next, previous } = held;
  const due: [number, AuthorityStep][] = [
    next === undefined
      ? [partOf(current, 1 / 2), 'AddNext']
      : [
          Math.min(
            Math.max(partOf(current, 3 / 4), next.notBefore + ANNOUNCED),
            current.notAfter - LAST_CALL,
          ),
          'Promote',
        ],
  ];
  if (previous !== undefined) due.push([previous.notAfter, 'DropPrevious']);
  const step = due.find(([at]) => at <= now)?.[1];
  const recheckAt = Math.min(...due.map(([at]) => at));
  return step === undefined ? { recheckAt } : { step, recheckAt: now };
}

function partOf({ notBefore, notAfter }: Authority, part: number): number {
  return notBefore + (notAfter - notBefore) * part;
}

/** What verifiers should trust, PEM: it begins with the one that signs. */
export function bundleOf({ current, next, previous }: Authorities): string {
  return [current, next, previous].map((each) => each?.certificate ?? '').join('');
}

/** Carries a step out, in memory. @param make - called where the step needs a new authority. */
export async function applyStep(
  step: AuthorityStep,
  held: Authorities | undefined,
  make: () => Promise<Authority>,
): Promise<Authorities> {
  if (held === undefined || step === 'Create') return { current: await make() };
  const { current, next } = held;
  if (step === 'AddNext') return { ...held, next: await make() };
  if (step === 'DropPrevious' || next === undefined) {
    return { current, ...(next === undefined ? {} : { next }) };
  }
  const { privateKey: _, ...retired } = current;
  return { current: next, previous: retired };
}
