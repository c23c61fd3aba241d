/**
 * `npm test`: every check in order, each with its time; the last line is `N passed, N failed`.
 * A static check counts as one test. Above it stands what passed only at the second try (vitest.config.ts).
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryDirectory } from './controlplane/supervise.ts';
import { USES_DIR } from './permissions/uses.ts';
import { readSecondTries, SECOND_TRIES, type SecondTry } from './support/second-tries.ts';

interface Tally {
  readonly passed: number;
  readonly failed: number;
}

const secondTries: SecondTry[] = [];

interface Step {
  readonly name: string;
  readonly run: () => Promise<Tally>;
}

const ROOT = join(import.meta.dirname, '..');
const results = temporaryDirectory('signet-results-');
/** What the operator's accounts asked of every control plane. */
const uses = temporaryDirectory('signet-uses-');
process.env[USES_DIR] = uses.path;

const STEPS: readonly Step[] = [
  { name: 'types', run: () => check('tsc', ['--noEmit']) },
  { name: 'lint and layering', run: () => check('biome', ['check', '--error-on-warnings']) },
  {
    name: 'generated files up to date',
    run: () => check('node', ['crds/generate.ts', '--check']),
  },
  { name: 'no dead code', run: () => check('knip', ['--no-progress']) },
  { name: 'unit and property tests', run: () => vitest('unit') },
  { name: 'integration tests on a real control plane', run: () => vitest('integration') },
  { name: 'demo and dev', run: () => vitest('tools') },
  {
    name: 'permissions: what the chart grants is what those tests used',
    run: () => check('node', ['test/permissions/compare.ts', uses.path]),
  },
];

async function check(program: string, args: readonly string[]): Promise<Tally> {
  const code = await execute(program, args);
  return code === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
}

interface VitestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
}

/** A run that broke off counts as a failure, also when each test in it passed. */
async function vitest(project: string): Promise<Tally> {
  const report = join(results.path, `${project}.json`);
  const tries = join(results.path, `${project}-second-tries.json`);
  process.env[SECOND_TRIES] = tries;
  const reporters = ['default', 'json', join(ROOT, 'test', 'support', 'second-tries.ts')];
  const flags = [
    ...reporters.map((reporter) => `--reporter=${reporter}`),
    `--outputFile.json=${report}`,
  ];
  const code = await execute('vitest', ['run', '--project', project, ...flags]);
  secondTries.push(...readSecondTries(tries));
  if (!existsSync(report)) return { passed: 0, failed: 1 };
  const { numPassedTests, numFailedTests }: VitestReport = JSON.parse(readFileSync(report, 'utf8'));
  const failed = code === 0 ? numFailedTests : Math.max(1, numFailedTests);
  return { passed: numPassedTests, failed };
}

/** Runs one of our tools, its output as it comes. @returns its exit code. */
function execute(program: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(join(ROOT, 'node_modules', '.bin', program), args, {
      cwd: ROOT,
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    const pass = (signal: NodeJS.Signals): boolean => child.kill(signal);
    process.on('SIGTERM', pass).on('SIGINT', pass);
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      process.off('SIGTERM', pass).off('SIGINT', pass);
      if (signal === 'SIGTERM' || signal === 'SIGINT') interrupted = true;
      resolve(code ?? 1);
    });
  });
}

let interrupted = false;
let passed = 0;
let failed = 0;
for (const step of STEPS) {
  if (interrupted) break;
  const started = performance.now();
  console.log(`\n• ${step.name}`);
  const tally = await step.run();
  passed += tally.passed;
  failed += tally.failed;
  const seconds = ((performance.now() - started) / 1_000).toFixed(1);
  console.log(`${tally.failed === 0 ? '✓' : '✗'} ${step.name} (${seconds} s)`);
}
for (const folder of [results, uses]) folder.remove();
if (interrupted) failed += 1;
if (secondTries.length > 0) {
  console.log(`\n${secondTries.length} passed at the second try:`);
  for (const { name, why } of secondTries) console.log(`  ${name}\n    at first: ${why}`);
}
console.log(`\n${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
