/**
 * Every reason that conditions and Events can have: stable, so that people and programs can look
 * for them. docs/troubleshooting.md says of each what happened and what to type (a test holds it).
 */
export const CONDITION_REASONS = {
  Ready: [
    'Signing',
    'IssuerDrift',
    'KeysNotCreated',
    'KeysMissing',
    'IssuerNotAllowed',
    'IssuerConflict',
    'KeyringDamaged',
    'SecretNotOurs',
  ],
  Published: [
    'PublishedEverywhere',
    'Publishing',
    'ConfigMapNotOurs',
    'ConfigMapNotWritten',
    'ForcedEarly',
  ],
  RotationPending: [
    'NoRequest',
    'Forced',
    'RequestRefused',
    'ScheduleInvalid',
    'ReconcileFailed',
    'InProgress',
    'BeingDeleted',
    'Suspended',
    'ClockSkew',
    'PreviousKeys',
    'WaitingForPublication',
    'WaitingForPropagation',
  ],
  RotationOverdue: ['RotatedInTime', 'NotRotatedFor365Days'],
  ClockSkew: ['ClocksAgree', 'ClocksDiffer'],
} as const;

export const EVENT_REASONS = [
  'KeysCreated',
  'KeysResumed',
  'KeysRestored',
  'KeysRestoredFromBackup',
  'KeysLost',
  'KeysRetired',
  'Rotated',
  'RotationForced',
  'KeysCompromised',
  'RolledBack',
  'RotationDeferred',
  'RotationCancelled',
  'RotationOverdue',
  'KeyRevoked',
  'NextKeyReplaced',
  'RequestRefused',
  'RequestIgnored',
  'CancelTooLate',
  'KeyringDamaged',
  'KeyringRolledBack',
  'ReconcileFailed',
] as const;

export type ConditionType = keyof typeof CONDITION_REASONS;
export type ReasonOf<Type extends ConditionType> = (typeof CONDITION_REASONS)[Type][number];

export type EventReason = (typeof EVENT_REASONS)[number];
