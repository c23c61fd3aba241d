import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

type Definition<Metric> = (registry: Registry) => Metric;

/*
 * One line of a metric table each. Labels take values from small fixed sets; the name of an object
 * is a label only where the documentation of the metric says so, because every new value is a
 * series that Prometheus keeps.
 */

export function counter<const Label extends string>(
  name: `signet_${string}`,
  help: string,
  labelNames: readonly Label[] = [],
): Definition<Counter<Label>> {
  return (registry) => new Counter({ name, help, labelNames, registers: [registry] });
}

export function gauge<const Label extends string>(
  name: `signet_${string}`,
  help: string,
  labelNames: readonly Label[] = [],
): Definition<Gauge<Label>> {
  return (registry) => {
    const metric = new Gauge({ name, help, labelNames, registers: [registry] });
    // Without labels it would be served as 0 from the start, and as a time that is 1970.
    if (name.endsWith('_timestamp_seconds')) metric.remove();
    return metric;
  };
}

interface Sample<Label extends string> {
  readonly labels: Readonly<Partial<Record<Label, string>>>;
  readonly value: number;
}

/** A gauge whose samples are taken when somebody asks, and are gone when they are not among them. */
export function collected<const Label extends string>(
  name: `signet_${string}`,
  help: string,
  labelNames: readonly Label[],
  collect: () => readonly Sample<Label>[],
): Definition<Gauge<Label>> {
  return (registry) =>
    new Gauge({
      ...{ name, help, labelNames, registers: [registry] },
      collect() {
        this.reset();
        // Without labels, reset leaves a sample of 0.
        if (labelNames.length === 0) this.remove();
        for (const { labels, value } of collect()) this.set(labels, value);
      },
    });
}

/** @param buckets - upper bounds; in seconds for a duration. */
export function histogram<const Label extends string>(
  name: `signet_${string}`,
  help: string,
  labelNames: readonly Label[],
  buckets: readonly number[],
): Definition<Histogram<Label>> {
  return (registry) =>
    new Histogram({ name, help, labelNames, buckets: [...buckets], registers: [registry] });
}

/** The metrics of a table, made once for each process and registered. */
export type Metrics<Table> = {
  readonly [Name in keyof Table]: Table[Name] extends Definition<infer Metric> ? Metric : never;
};

/** Makes every metric of `table` in `registry`. @throws Error when a name is already taken. */
export function defineMetrics<const Table extends Record<string, Definition<unknown>>>(
  registry: Registry,
  table: Table,
): Metrics<Table> {
  const metrics = Object.entries(table).map(([name, define]) => [name, define(registry)]);
  return Object.fromEntries(metrics) as Metrics<Table>;
}

/** The one registry of a process, with the metrics of Node.js itself. */
export function createRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return registry;
}

export type { Counter, Gauge, Histogram, Registry } from 'prom-client';
