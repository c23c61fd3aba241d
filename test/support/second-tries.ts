import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import type { Reporter, TestCase } from 'vitest/node';

/** The environment variable that names the file. */
export const SECOND_TRIES = 'SIGNET_SECOND_TRIES';

/** A test that failed, and passed when it was tried again. */
export interface SecondTry {
  readonly name: string;
  /** The first line of what the first try failed with. */
  readonly why: string;
}

/** A reporter of vitest that writes down what would look like a first pass in every tally. */
export default class SecondTries implements Reporter {
  readonly #found: SecondTry[] = [];

  onTestCaseResult(test: TestCase): void {
    const { state, errors = [] } = test.result();
    if (state !== 'passed' || test.diagnostic()?.flaky !== true) return;
    const [why = ''] = (errors[0]?.message ?? '').split('\n');
    this.#found.push({ name: test.fullName, why });
  }

  onTestRunEnd(): void {
    const file = process.env[SECOND_TRIES];
    if (file !== undefined) writeFileSync(file, JSON.stringify(this.#found));
  }
}

/** @returns nothing where there is no such file, as of a run that broke off. */
export function readSecondTries(file: string): readonly SecondTry[] {
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : [];
}
