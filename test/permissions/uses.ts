/**
 * What the operator's accounts asked of API servers, from their audit logs: kept while tests run, and
 * compared with what the chart grants when they are done (compare.ts).
 */
import { randomUUID } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type AuditEvent, auditEvents, resourceOf } from '../controlplane/audit.ts';

const ACCOUNT = /^system:serviceaccount:signet-system:signet-(controller|issuer)$/;
const HOME = 'signet-system';

/** Names the folder in which uses are kept; without it none are. */
export const USES_DIR = 'SIGNET_USES_DIR';

/** One kind of request: an account may have made it a thousand times. */
export interface Use {
  readonly account: string;
  readonly verb: string;
  /** Empty for the core group. */
  readonly group: string;
  /** With its subresource: `signingkeysets/status`. */
  readonly resource: string;
  /** `home`: the operator's namespace; `cluster`: of all namespaces, or of what has none. */
  readonly scope: 'home' | 'elsewhere' | 'cluster';
  /** Where the request named an object; a fixed one, for most have names of their own. */
  readonly name?: string;
}

/** Whom rules name. */
const FIXED_NAMES: ReadonlySet<string> = new Set(['signet-controller', 'signet-issuer']);

function useOf(event: AuditEvent): Use | undefined {
  const account = ACCOUNT.exec(event.user.username)?.[1];
  if (account === undefined) return undefined;
  const { apiGroup = '', namespace, name = '' } = event.objectRef ?? {};
  const scope = namespace === undefined ? 'cluster' : namespace === HOME ? 'home' : 'elsewhere';
  const use = {
    account,
    verb: event.verb,
    group: apiGroup,
    resource: resourceOf(event),
    scope,
  } as const;
  return FIXED_NAMES.has(name) ? { ...use, name } : use;
}

/** Called as a control plane ends. Does nothing unless somebody asked for it. */
export function keepUses(auditLog: string): void {
  const folder = process.env[USES_DIR];
  if (!folder || !existsSync(auditLog)) return;
  const uses = auditEvents(auditLog).flatMap((event) => useOf(event) ?? []);
  if (uses.length === 0) return;
  const lines = new Set(uses.map((use) => JSON.stringify(use)));
  writeFileSync(join(folder, randomUUID()), [...lines].join('\n'));
}

/** Everything that was kept, each once. */
export function readUses(folder: string): readonly Use[] {
  const lines = readdirSync(folder).flatMap((name) =>
    readFileSync(join(folder, name), 'utf8').split('\n'),
  );
  return [...new Set(lines)].map((line): Use => JSON.parse(line));
}
