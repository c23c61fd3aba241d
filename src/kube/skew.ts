/** An HTTP date has whole seconds. */
const DATE_RESOLUTION = 1_000;

/**
 * How far two clocks are apart at least, in milliseconds: ours, which said `from` when we asked and
 * `until` when we had the answer (Unix ms), and the server's, whose `Date` header lies in between.
 */
export function skewBetween(date: Date, from: number, until: number): number {
  const served = date.getTime();
  return Math.max(0, from - (served + DATE_RESOLUTION), served - until);
}
