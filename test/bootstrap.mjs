// Plain JavaScript for whichever Node is on the path (20 or later): installs what is missing, then
// hands over to the pinned Node, which runs TypeScript as it is.
//
//   node test/bootstrap.mjs test/run.ts [arguments]
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const node = join(root, 'node_modules', '.bin', 'node');

if (!isInstalled()) install();
run(process.argv.slice(2));

/** Whether node_modules holds what the lock file names (packages for other platforms apart). */
function isInstalled() {
  const installed = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(installed) || !existsSync(node)) return false;
  const found = readPackages(installed);
  return Object.entries(readPackages(join(root, 'package-lock.json'))).every(
    ([path, wanted]) => path === '' || wanted.optional || found[path]?.version === wanted.version,
  );
}

function readPackages(file) {
  return JSON.parse(readFileSync(file, 'utf8')).packages;
}

function install() {
  console.error('Installing packages with npm ci: about half a minute, once.');
  const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', process.stderr, process.stderr],
  });
  if (status !== 0)
    fail('npm ci failed: see above; with Node 20 or later and a registry, run it again.');
  // Packages bring Node and esbuild by their install scripts.
  if (existsSync(node)) return;
  fail(
    'npm ci installed no Node, as with ignore-scripts=true in an npmrc: type npm ci --ignore-scripts=false',
  );
}

function fail(message) {
  console.error(message);
  process.exit(1);
}

/** Becomes the program, as far as one process can: its signals, its exit. */
function run(args) {
  const child = spawn(node, args, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, PATH: `${dirname(node)}:${process.env.PATH}` },
  });
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  // A terminal sends Ctrl-C to the child as well; a second one would be one too many.
  process.on('SIGINT', () => process.stdin.isTTY || child.kill('SIGINT'));
  if (process.env.npm_lifecycle_event) whenOrphaned(() => child.kill('SIGTERM'));
  child.on('error', (error) => {
    console.error(`${node} did not start: ${error.message}`);
    process.exit(1);
  });
  child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
}

/** An npm that is killed tells nobody. */
function whenOrphaned(stop) {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    stop();
  }, 500);
  timer.unref();
}
