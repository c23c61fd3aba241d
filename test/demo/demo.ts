/** `npm run demo`: the whole life of a set on a real control plane, each step verified. */
import { existsSync } from 'node:fs';
import { type ControlPlane, startControlPlane } from '../controlplane/controlplane.ts';
import { type Stack, startStack } from '../stack/stack.ts';
import { eventually } from '../support/eventually.ts';
import { requireOpenssl } from './gateway.ts';
import { type Life, STEPS } from './life.ts';
import { failure, heading, tell, verified } from './story.ts';

const started = performance.now();
let count = 0;
let step = '';

async function tellStep<T>(name: string, run: () => Promise<T>): Promise<T> {
  step = name;
  count += 1;
  heading(`${count}. ${name[0]?.toUpperCase()}${name.slice(1)}`);
  return run();
}

function seconds(): string {
  return `${((performance.now() - started) / 1_000).toFixed(0)} s`;
}

async function startAll(): Promise<[ControlPlane, Stack]> {
  const controlPlane = await tellStep('start a control plane', async () => {
    const plane = await startControlPlane();
    verified(`etcd, kube-apiserver and kube-controller-manager serve at ${plane.server}`);
    return plane;
  });
  try {
    const stack = await tellStep(
      'install from the chart, start controller and issuer',
      async () => {
        const running = await startStack({ controlPlane, trust: false });
        verified('both are ready, each with its own ServiceAccount and nothing more');
        return running;
      },
    );
    return [controlPlane, stack];
  } catch (error) {
    await controlPlane.stop();
    throw error;
  }
}

async function live(life: Life): Promise<void> {
  for (const { name, run } of STEPS) await tellStep(name, () => run(life));
}

async function stopAll(controlPlane: ControlPlane, stack: Stack): Promise<void> {
  const { components, dir } = controlPlane;
  await stack.stop();
  await controlPlane.stop();
  const processes = [...Object.values(components), stack.controller, stack.issuer];
  await eventually(() => processes.every(({ pid }) => pid === undefined) && !existsSync(dir));
}

async function demo(): Promise<void> {
  await requireOpenssl();
  const [controlPlane, stack] = await startAll();
  try {
    const story = tell(controlPlane, controlPlane.dir);
    await live({ story, stack, issuer: '', firstToken: '', secondToken: '' });
  } catch (error) {
    // Before stopping, which may fail too.
    tellFailure(error);
    await stopAll(controlPlane, stack);
    return;
  }
  await tellStep('stop everything', async () => {
    await stopAll(controlPlane, stack);
    verified('no process and no file is left');
  });
  heading(`All ${count} steps verified in ${seconds()}.`);
}

function tellFailure(error: unknown): void {
  process.exitCode = 1;
  console.error(error instanceof Error ? error.message : error);
  if (step !== '') failure(`failed at: ${step}`);
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  // Whatever we started ends with us (supervise.ts).
  process.once(signal, () => {
    failure(`stopped at: ${step}`);
    process.exit(1);
  });
}

await demo().catch(tellFailure);
