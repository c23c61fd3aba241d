/**
 * `npm run dev`: the stack from source, running until Ctrl-C or SIGTERM. `npm run dev -- <folder>`
 * writes somewhere else than `.dev`, so that two can run side by side.
 */
import { join, relative, resolve } from 'node:path';
import type { Component } from '../controlplane/component.ts';
import { tail } from '../controlplane/supervise.ts';
import { type Stack, startStack } from '../stack/stack.ts';
import { claim, writeEnvironment } from './dev-folder.ts';
import { quote } from './story.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const LOOK_EVERY = 500;

let stop: (() => void) | undefined;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (stop !== undefined) return stop();
    // What has been started so far ends with us (supervise.ts).
    process.exit(1);
  });
}

async function dev(folder: string): Promise<void> {
  claim(folder);
  console.log('Starting a control plane, controller and issuer …');
  const stack = await startStack({ logDirectory: folder });
  await describe(folder, stack);
  const lost = await untilStoppedOrLost(stack);
  if (lost !== undefined) {
    process.exitCode = 1;
    console.error(`${lost.name} has ended. The end of its log:\n${tail(lost.logFile)}`);
  }
  console.log('\nStopping …');
  await stack.stop();
}

async function describe(folder: string, stack: Stack): Promise<void> {
  const { controller, issuer } = stack;
  const environment = await writeEnvironment(folder, stack);
  const fromRoot = relative(ROOT, environment);
  console.log(`
Signet is running. In another shell:

  source ${quote(fromRoot.startsWith('..') ? environment : fromRoot)}
  kubectl apply -f - <<'END'
  apiVersion: signet.dev/v1alpha1
  kind: SigningKeySet
  metadata: { name: login }
  END
  kubectl wait sks/login --for=condition=Ready
  curl $ISSUER_URL/default/login/.well-known/jwks.json
  kubectl annotate signingkeyset login rotate=now
  kubectl get sks
  curl $METRICS_URL

Logs:    ${controller.logFile}
         ${issuer.logFile}
Source files are read at start: after a change, run it again. Ctrl-C ends it.`);
}

/** @returns the program that ended by itself, if it was that. */
function untilStoppedOrLost(stack: Stack): Promise<Component | undefined> {
  const { controlPlane, controller, issuer } = stack;
  const programs = [...Object.values(controlPlane.components), controller, issuer];
  return new Promise((resolve) => {
    const end = (lost?: Component): void => {
      clearInterval(timer);
      resolve(lost);
    };
    const timer = setInterval(() => {
      const lost = programs.find(({ pid }) => pid === undefined);
      if (lost !== undefined) end(lost);
    }, LOOK_EVERY);
    stop = end;
  });
}

await dev(resolve(ROOT, process.argv[2] ?? '.dev')).catch((error: Error) => {
  process.exitCode = 1;
  console.error(error.message);
});
