const UNITS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};
const TERM = /(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/gy;

/**
 * Reads a metav1.Duration such as `90m` or `1h30m`.
 *
 * @returns milliseconds, rounded up: a wait is never made shorter.
 * @throws RangeError naming the text and what to type instead.
 */
export function parseDuration(text: string): number {
  let total = 0;
  let end = 0;
  for (const [term, amount, unit] of text.matchAll(TERM)) {
    total += Number(amount) * (UNITS[unit as string] ?? Number.NaN);
    end += term.length;
  }
  if (text === '0') return 0;
  if (end === 0 || end !== text.length) {
    throw new RangeError(
      `"${text}" is not a duration: type a number with a unit, such as 90m, 26h or 1h30m`,
    );
  }
  return Math.ceil(total);
}

/** Writes milliseconds as kubectl shows them: `90m` stays `1h30m`, 500 ms are `500ms`. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds === 0) return '0s';
  const parts: string[] = [];
  let rest = Math.round(milliseconds);
  for (const [unit, size] of [
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1_000],
    ['ms', 1],
  ] as const) {
    const count = Math.floor(rest / size);
    if (count > 0) parts.push(`${count}${unit}`);
    rest -= count * size;
  }
  return parts.join('');
}
