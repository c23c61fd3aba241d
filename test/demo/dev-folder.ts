import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { getCACertificates } from 'node:tls';
import { findClients } from '../controlplane/clients.ts';
import { isAlive } from '../controlplane/supervise.ts';
import type { Stack } from '../stack/stack.ts';
import { quote } from './story.ts';

const PID = 'pid';

/**
 * Takes the folder for this process, and gives it back when the process ends. One that was left by a
 * process that is dead is taken over.
 *
 * @throws Error naming the process that has it.
 */
export function claim(folder: string): void {
  mkdirSync(dirname(folder), { recursive: true });
  const draft = mkdtempSync(`${folder}.`);
  writeFileSync(join(draft, PID), `${process.pid}\n`);
  try {
    refuseIfHeld(folder);
    rmSync(folder, { recursive: true, force: true });
    // Fails where somebody else was faster: theirs is not empty.
    renameSync(draft, folder);
  } catch (error) {
    rmSync(draft, { recursive: true });
    throw error;
  }
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
}

function refuseIfHeld(folder: string): void {
  const file = join(folder, PID);
  if (!existsSync(file)) return;
  const holder = Number(readFileSync(file, 'utf8'));
  if (!isAlive(holder)) return;
  throw new Error(
    `Signet runs already, as process ${holder}: source ${quote(join(folder, 'env'))} to use it, kill ${holder} to end it. If that process is something else, remove ${quote(folder)}.`,
  );
}

/** Writes what a shell sources to use a stack, its kubectl included. @returns the file's path. */
export async function writeEnvironment(folder: string, stack: Stack): Promise<string> {
  const { controlPlane, issuerUrl, caFile, controller, issuer } = stack;
  const variables = {
    KUBECONFIG: controlPlane.kubeconfig,
    ISSUER_URL: issuerUrl,
    METRICS_URL: controller.metricsUrl,
    ISSUER_METRICS_URL: issuer.metricsUrl,
    ...(caFile !== undefined && {
      CURL_CA_BUNDLE: writeTrust(folder, readFileSync(caFile, 'utf8')),
    }),
  };
  const lines = Object.entries(variables).map(([name, value]) => `export ${name}=${quote(value)}`);
  const { kubectl } = await findClients();
  if (isAbsolute(kubectl)) lines.push(`export PATH=${quote(dirname(kubectl))}:"$PATH"`);
  const file = join(folder, 'env');
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}

/**
 * Writes our certificates and those that this machine trusts already: CURL_CA_BUNDLE takes the place
 * of curl's own. @returns the file's path.
 */
function writeTrust(folder: string, ours: string): string {
  const trusted = new Set([ours, ...getCACertificates('system'), ...getCACertificates('default')]);
  const file = join(folder, 'ca-bundle.crt');
  writeFileSync(file, [...trusted].map((pem) => `${pem.trim()}\n`).join(''));
  return file;
}
