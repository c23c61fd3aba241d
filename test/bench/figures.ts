/** Figures with their aims, as a table for people and as JSON for programs. */
import { cpus, totalmem } from 'node:os';
import type { WriteCount } from '../controlplane/audit.ts';

export interface Figure {
  /** Of the JSON object. */
  readonly key: string;
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** Decimals shown; default 0. */
  readonly digits?: number;
  /** Absent: measured to be known, not to be met. */
  readonly aim?: Aim;
}

interface Aim {
  readonly text: string;
  readonly met: boolean;
}

export function atMost(limit: number, value: number, unit = ''): Aim {
  return { text: `≤ ${limit}${space(unit)}`, met: value <= limit };
}

export function below(limit: number, value: number, unit = ''): Aim {
  return { text: `< ${limit}${space(unit)}`, met: value < limit };
}

/** The smallest of `values` that at least `share` of them do not exceed (nearest rank). */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

/** `2 cores, 25 GB memory, Node v26.10.0, linux x64` */
export function machine(): string {
  const { version, platform, arch } = process;
  const memory = (totalmem() / 2 ** 30).toFixed(0);
  return `${cpus().length} cores, ${memory} GiB memory, Node ${version}, ${platform} ${arch}`;
}

/** A Markdown table, whether every aim was met, and the JSON object as the last line. */
export function render(figures: readonly Figure[]): string {
  const rows = figures.map(({ name, aim, value, unit, digits = 0 }) => [
    name,
    aim?.text ?? '',
    `${value.toFixed(digits)}${space(unit)}`,
    aim === undefined ? '' : aim.met ? 'met' : 'missed',
  ]);
  const missed = figures.filter(({ aim }) => aim?.met === false).map(({ name }) => name);
  const verdict = missed.length === 0 ? 'met: every aim' : `missed: ${missed.join('; ')}`;
  const json = Object.fromEntries(
    figures.map(({ key, value, digits = 0 }) => [key, Number(value.toFixed(digits))]),
  );
  return [
    ...markdown([['figure', 'aim', 'measured', ''], ...rows]),
    '',
    verdict,
    JSON.stringify(json),
  ].join('\n');
}

/** What was written, for each of `rotations`. */
export function renderWrites(writes: readonly WriteCount[], rotations: number): string {
  const rows = writes.map(({ verb, resource, user, count }) => [
    `${verb} ${resource}`,
    user.split(':').at(-1) ?? user,
    (count / rotations).toFixed(2),
  ]);
  return markdown([['write', 'by', 'per rotation'], ...rows]).join('\n');
}

function markdown(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(3, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const [head = '', ...rest] = rows.map(
    (row) => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`,
  );
  return [head, `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`, ...rest];
}

function space(unit: string): string {
  return unit === '' ? '' : ` ${unit}`;
}
