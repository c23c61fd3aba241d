import { DAY, OVERDUE_ANNOTATION } from '../api/constants.ts';
import type { Instant, Keyring } from '../keys/keyring.ts';
import type { Intake } from './requests.ts';
import { currentKey, type Situation } from './situation.ts';
import { annotateCommand, at, short } from './text.ts';

/** Not rotated for this long: `RotationOverdue`. */
const NOTICE_AGE = 365 * DAY;
const WEEK = 7 * DAY;

/** Since when a set should have rotated; in the future: from when on. */
export function overdueSince(ring: Keyring, now: Instant): Instant {
  return (currentKey(ring).promotedAt ?? now) + NOTICE_AGE;
}

/**
 * Says once a week that a set was not rotated for a year. What was told stands on the set: the key,
 * and which week it was, so that neither a restart nor a jump of the clock tells it twice.
 */
export function tellOverdue({ set, ring, observed, now }: Situation): Intake | undefined {
  const since = overdueSince(ring, now);
  const told = set.annotations[OVERDUE_ANNOTATION];
  if (now < since) return told === undefined ? undefined : forget();
  if (observed.clockSkew !== undefined) return undefined;
  const { kid, promotedAt = now } = currentKey(ring);
  const telling = `${short(kid)}/${Math.floor((now - since) / WEEK)}`;
  if (told === telling) return undefined;
  return {
    annotations: { [OVERDUE_ANNOTATION]: telling },
    notices: [
      {
        type: 'Warning',
        reason: 'RotationOverdue',
        message:
          `${short(kid)} signs since ${at(promotedAt)}: type ` +
          `${annotateCommand(set, 'rotate=now')}, and set spec.rotation.every`,
      },
    ],
  };
}

/** When it is told next. */
export function tellsOverdueAt(ring: Keyring, now: Instant): Instant {
  const since = overdueSince(ring, now);
  return now < since ? since : since + (Math.floor((now - since) / WEEK) + 1) * WEEK;
}

function forget(): Intake {
  return { annotations: { [OVERDUE_ANNOTATION]: null }, notices: [] };
}
