import { residentMegabytes } from '../bench/usage.ts';
import type { Component } from '../controlplane/component.ts';

/** The first samples are of a process that still warms up. */
const WARM_UP = 0.25;
const HOUR = 3_600_000;

interface Sample {
  readonly at: number;
  readonly megabytes: number;
}

/** Resident memory of one process over time. */
export class Memory {
  readonly #process: Component;
  readonly #samples: Sample[] = [];

  constructor(process: Component) {
    this.#process = process;
  }

  sample(): void {
    const { pid } = this.#process;
    if (pid === undefined) return;
    this.#samples.push({ at: Date.now(), megabytes: residentMegabytes(pid) });
  }

  get last(): number {
    return this.#samples.at(-1)?.megabytes ?? Number.NaN;
  }

  /** In MB an hour, by least squares, without the first quarter of the time. */
  get slope(): number {
    const settled = this.#samples.slice(Math.floor(this.#samples.length * WARM_UP));
    const meanAt = mean(settled.map(({ at }) => at));
    const meanOf = mean(settled.map(({ megabytes }) => megabytes));
    const sum = (of: (sample: Sample) => number) => settled.reduce((all, one) => all + of(one), 0);
    const covariance = sum(({ at, megabytes }) => (at - meanAt) * (megabytes - meanOf));
    const variance = sum(({ at }) => (at - meanAt) ** 2);
    return (covariance / variance) * HOUR;
  }
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
