/** What the rounds say together: medians of ratios, each taken within one round. */
import { atMost, below, type Figure, percentile, render } from './figures.ts';
import type { Load } from './issuer-load.ts';

export interface Pair {
  readonly ours: Load;
  readonly bare: Load;
}

/** Everything, measured once; times in milliseconds. */
export interface Round {
  /** Signatures a second. */
  readonly openssl: number;
  readonly rs256: Pair;
  readonly es256: Pair;
  readonly jwks: Pair;
  readonly at16: Pair;
  /** At half of what the issuer can do in `rs256`. */
  readonly half: Pair;
  /** `rs256` over HTTPS; all else is plain HTTP. */
  readonly https: Load;
  /** p99. */
  readonly signature: number;
  readonly lag: { readonly p99: number; readonly max: number };
}

export interface Measured {
  readonly rounds: readonly Round[];
  /** Milliseconds, one for each start. */
  readonly firstSignature: readonly number[];
  /** MB. */
  readonly memory: number;
}

interface Row {
  readonly key: string;
  readonly name: string;
  readonly of: (round: Round) => number;
  readonly unit?: string;
  readonly digits?: number;
  readonly aim?: (value: number) => NonNullable<Figure['aim']>;
}

const percent = (limit: number) => (value: number) => ({
  text: `≥ ${limit}`,
  met: value >= limit,
});
const times = (limit: number) => (value: number) => atMost(limit, value);

const ROWS: readonly Row[] = [
  {
    key: 'rs256_vs_openssl',
    name: 'POST /sign RS256 : openssl speed rsa2048 on all cores',
    of: ({ rs256, openssl }) => rs256.ours.perSecond / openssl,
    digits: 2,
    aim: percent(0.75),
  },
  {
    key: 'bare_rs256_vs_openssl',
    name: 'bare server : openssl',
    of: ({ rs256, openssl }) => rs256.bare.perSecond / openssl,
    digits: 2,
  },
  {
    key: 'rs256_vs_bare',
    name: 'POST /sign RS256 : bare server',
    of: ({ rs256 }) => rs256.ours.perSecond / rs256.bare.perSecond,
    digits: 2,
    aim: percent(0.85),
  },
  {
    key: 'es256_vs_bare',
    name: 'POST /sign ES256 : bare server',
    of: ({ es256 }) => es256.ours.perSecond / es256.bare.perSecond,
    digits: 2,
    aim: percent(0.75),
  },
  {
    key: 'jwks_vs_bare',
    name: 'GET jwks.json : bare server',
    of: ({ jwks }) => jwks.ours.perSecond / jwks.bare.perSecond,
    digits: 2,
    aim: percent(0.75),
  },
  {
    key: 'p50_ratio_16',
    name: 'p50 of /sign RS256 at 16 connections : bare server',
    of: ({ at16 }) => at16.ours.p50 / at16.bare.p50,
    digits: 2,
    aim: times(1.3),
  },
  {
    key: 'p99_ratio_16',
    name: 'p99 of the same : bare server',
    of: ({ at16 }) => at16.ours.p99 / at16.bare.p99,
    digits: 2,
    aim: times(1.5),
  },
  {
    key: 'p99_half_load_ratio',
    name: 'p99 of /sign RS256 at half load : p99 of the signature alone',
    of: ({ half, signature }) => half.ours.p99 / signature,
    digits: 2,
    aim: times(4),
  },
  {
    key: 'bare_p99_half_load_ratio',
    name: 'the bare server at that rate : p99 of the signature alone',
    of: ({ half, signature }) => half.bare.p99 / signature,
    digits: 2,
  },
  {
    key: 'half_load_share',
    name: 'the rate of that load, as it came out : POST /sign RS256',
    of: ({ half, rs256 }) => half.ours.perSecond / rs256.ours.perSecond,
    digits: 2,
  },
  {
    key: 'https_vs_http',
    name: 'POST /sign RS256 over HTTPS : over plain HTTP',
    of: ({ https, rs256 }) => https.perSecond / rs256.ours.perSecond,
    digits: 2,
  },
  {
    key: 'event_loop_max_ms',
    name: 'event loop delay at full RS256 load: the longest',
    of: ({ lag }) => lag.max,
    unit: 'ms',
    digits: 1,
    aim: (value) => atMost(5, value, 'ms'),
  },
  {
    key: 'event_loop_p99_ms',
    name: 'event loop delay at full RS256 load: p99',
    of: ({ lag }) => lag.p99,
    unit: 'ms',
    digits: 1,
  },
  count('openssl_per_second', 'openssl: signatures a second', ({ openssl }) => openssl),
  count('rs256_per_second', 'POST /sign RS256, a second', ({ rs256 }) => rs256.ours.perSecond),
  count('https_rs256_per_second', 'the same over HTTPS, a second', ({ https }) => https.perSecond),
  count('bare_rs256_per_second', 'bare RS256, a second', ({ rs256 }) => rs256.bare.perSecond),
  count('es256_per_second', 'POST /sign ES256, a second', ({ es256 }) => es256.ours.perSecond),
  count('bare_es256_per_second', 'bare ES256, a second', ({ es256 }) => es256.bare.perSecond),
  count('jwks_per_second', 'GET jwks.json, a second', ({ jwks }) => jwks.ours.perSecond),
  count('bare_jwks_per_second', 'bare static buffer, a second', ({ jwks }) => jwks.bare.perSecond),
  duration('p99_half_load_ms', 'p99 of /sign RS256 at half load', ({ half }) => half.ours.p99),
  duration('signature_p99_ms', 'p99 of the signature alone', ({ signature }) => signature),
];

function count(key: string, name: string, of: Row['of']): Row {
  return { key, name, of };
}

function duration(key: string, name: string, of: Row['of']): Row {
  return { key, name, of, unit: 'ms', digits: 2 };
}

/** A table of medians, how far the rounds lie apart, and the JSON object as the last line. */
export function report({ rounds, firstSignature, memory }: Measured): string {
  const figures = ROWS.map((row) => figure(row, rounds));
  const start = percentile(firstSignature, 0.5);
  return render([
    ...figures,
    {
      key: 'rss_mb_1000_sets',
      name: 'memory (RSS) with 1,000 sets',
      value: memory,
      unit: 'MB',
      aim: below(150, memory, 'MB'),
    },
    {
      key: 'first_signature_ms',
      name: `start to first signature (median of ${firstSignature.length}${range(firstSignature, 0)})`,
      value: start,
      unit: 'ms',
      aim: below(1_500, start, 'ms'),
    },
  ]);
}

function figure(
  { key, name, of, unit = '', digits = 0, aim }: Row,
  rounds: readonly Round[],
): Figure {
  const values = rounds.map(of);
  const value = percentile(values, 0.5);
  return {
    key,
    name: `${name}${range(values, digits)}`,
    value,
    unit,
    digits,
    ...(aim !== undefined && { aim: aim(value) }),
  };
}

function range(values: readonly number[], digits: number): string {
  return ` [${Math.min(...values).toFixed(digits)} to ${Math.max(...values).toFixed(digits)}]`;
}
