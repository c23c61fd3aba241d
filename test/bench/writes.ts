import { setTimeout as delay } from 'node:timers/promises';
import { auditEvents, countWrites, type WriteCount } from '../controlplane/audit.ts';
import { NAMESPACE } from '../stack/permissions.ts';

const OPERATOR = `system:serviceaccount:${NAMESPACE}:`;
/** kube-apiserver and kube-controller-manager; the user of a benchmark is an admin by certificate. */
const CLUSTER = 'system:';
const QUIET = 5_000;
const PATIENCE = 60_000;

export interface Writes {
  /** Of controller and issuer. */
  readonly operator: readonly WriteCount[];
  /** Ours. */
  readonly user: readonly WriteCount[];
}

/** Writes since a Unix time in ms that are stored in anything but a Lease. */
export function writesSince(auditLog: string, since: number): Writes {
  const all = countWrites(auditEvents(auditLog, { since })).filter(
    ({ resource }) => resource !== 'leases',
  );
  return {
    operator: all.filter(({ user }) => user.startsWith(OPERATOR)),
    user: all.filter(({ user }) => !user.startsWith(CLUSTER)),
  };
}

export function sum(writes: readonly WriteCount[]): number {
  return writes.reduce((total, { count }) => total + count, 0);
}

/** Waits until the operator has written nothing but Leases for 5 s. */
export async function untilQuiet(auditLog: string): Promise<void> {
  const deadline = Date.now() + PATIENCE;
  do {
    if (Date.now() > deadline) throw new Error(`it goes on writing after ${PATIENCE / 1_000} s`);
    await delay(QUIET);
  } while (sum(writesSince(auditLog, Date.now() - QUIET).operator) > 0);
}
