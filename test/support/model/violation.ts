/** A rule of the protocol that did not hold. */
export class Violation extends Error {
  override readonly name = 'Violation';
  /** Such as `I5`. */
  readonly rule: string;

  constructor(rule: string, problem: string) {
    super(`${rule}: ${problem}`);
    this.rule = rule;
  }
}

/** @throws Violation unless it holds. */
export function hold(rule: string, holds: boolean, problem: string): void {
  if (!holds) throw new Violation(rule, problem);
}
