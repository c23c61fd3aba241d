import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { temporaryDirectory } from '../controlplane/supervise.ts';
import { promtool } from './promtool.ts';
import { CHART, EVERYTHING, named, render } from './render.ts';

interface Group {
  readonly name: string;
  readonly rules: readonly {
    readonly alert?: string;
    readonly expr: string;
    readonly annotations?: Readonly<Record<string, string>>;
  }[];
}

const folder = temporaryDirectory('signet-alerts-');
afterAll(() => folder.remove());

function write(name: string, groups: unknown): void {
  writeFileSync(join(folder.path, name), stringify({ groups }));
}

const MINUTES = 180_000;
const METRICS = readFileSync(join(CHART, '..', '..', 'docs', 'metrics.md'), 'utf8');

describe('The alerts', () => {
  test(
    'are rules that Prometheus takes, and speak when they should and only then',
    async () => {
      const rule = named(await render({ values: EVERYTHING }), 'PrometheusRule', 'signet');
      write('rules.yaml', rule.spec?.['groups']);
      copyFileSync(join(import.meta.dirname, 'alerts.test.yaml'), join(folder.path, 'tests.yaml'));
      await promtool(['check', 'rules', '--lint-fatal', 'rules.yaml'], folder.path);
      await promtool(['test', 'rules', 'tests.yaml'], folder.path);
    },
    MINUTES,
  );

  test('have each a row in docs/metrics.md, whose link is their runbook_url', async () => {
    const { spec } = named(await render({ values: EVERYTHING }), 'PrometheusRule', 'signet');
    const groups = spec?.['groups'] as Group[];
    const alerts = groups.flatMap(({ rules }) => rules);
    const row = /^\| `(Signet\w+)` \| .* \| \[[^\]]+\]\((\S+)\) \|$/gm;
    const documented = [...METRICS.matchAll(row)].map(([, alert, link = '']) => ({
      alert,
      runbook: `https://git.example.com/signet/docs/${link.replace(/^#/, 'metrics.md#')}`,
    }));
    expect(documented).toEqual(
      alerts.map(({ alert, annotations }) => ({ alert, runbook: annotations?.['runbook_url'] })),
    );
    const rule = named(
      await render({ values: ['prometheusRule.enabled=true'] }),
      'PrometheusRule',
      'signet',
    );
    expect(JSON.stringify(rule)).not.toContain('runbook_url');
  });

  test(
    'and the dashboard ask for metrics that are documented, in queries that Prometheus takes',
    async () => {
      const objects = await render({ values: EVERYTHING });
      const json = named(objects, 'ConfigMap', 'signet-dashboard').data?.['signet.json'] ?? '';
      const dashboard: { panels: { title: string; targets: { expr: string }[] }[] } =
        JSON.parse(json);
      const queries = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
      const rules = queries.map((expr, index) => ({
        record: `panel:${index}`,
        expr: expr.replaceAll('$__rate_interval', '5m').replaceAll('$job', 'signet-metrics'),
      }));
      write('dashboard.yaml', [{ name: 'dashboard', rules }]);
      await promtool(['check', 'rules', 'dashboard.yaml'], folder.path);

      const groups = named(objects, 'PrometheusRule', 'signet').spec?.['groups'] as Group[];
      const alerts = groups.flatMap(({ rules: each }) => each.map(({ expr }) => expr));
      const asked = [...queries, ...alerts].flatMap((expr) => expr.match(/\bsignet_\w+/g) ?? []);
      const unknown = asked.filter(
        (name) => !METRICS.includes(`\`${name.replace(/_(bucket|count|sum)$/, '')}\` |`),
      );
      expect(unknown).toEqual([]);
      expect(queries.length).toBeGreaterThan(10);
    },
    MINUTES,
  );
});
