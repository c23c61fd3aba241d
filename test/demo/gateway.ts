/** A gateway that cannot read a JWKS: certificates in files, and openssl. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { invoke } from '../controlplane/clients.ts';
import type { Story } from './story.ts';

export const CONFIG_MAP = 'login-verification-keys';
const FOLDER = 'gateway';

interface ConfigMap {
  readonly data: Readonly<Record<string, string>>;
}

/** @throws Error saying what to install. */
export async function requireOpenssl(): Promise<void> {
  await invoke('openssl', ['version'], process.env).catch((cause) => {
    throw new Error(
      'The demo plays a gateway with openssl, and openssl is not on the PATH: install it (Debian: apt-get install openssl).',
      { cause },
    );
  });
}

/** Has the ConfigMap's files where a kubelet would have mounted them. @returns their names. */
export async function mountConfigMap(
  story: Story,
  read: (args: readonly string[]) => Promise<string>,
): Promise<readonly string[]> {
  const config: ConfigMap = JSON.parse(await read(['get', 'configmap', CONFIG_MAP, '-o', 'json']));
  const names = Object.keys(config.data).sort();
  mkdirSync(join(story.dir, FOLDER), { recursive: true });
  for (const [name, content] of Object.entries(config.data)) {
    writeFileSync(join(story.dir, FOLDER, name), content);
  }
  return names;
}

/**
 * Verifies a token's RS256 signature with a certificate of the ConfigMap.
 *
 * @throws CommandError when openssl says that it does not verify.
 */
export async function verifyWithCertificate(
  story: Story,
  token: string,
  certificate: string,
): Promise<void> {
  const [header, payload, signature = ''] = token.split('.');
  writeFileSync(join(story.dir, 'signed.txt'), `${header}.${payload}`);
  writeFileSync(join(story.dir, 'signature.bin'), Buffer.from(signature, 'base64url'));
  const from = join(FOLDER, certificate);
  await story.command('openssl', ['x509', '-in', from, '-noout', '-subject', '-enddate']);
  await story.command('openssl', ['x509', '-in', from, '-noout', '-pubkey', '-out', 'public.pem']);
  await story.command('openssl', [
    ...['dgst', '-sha256', '-verify', 'public.pem', '-signature', 'signature.bin', 'signed.txt'],
  ]);
}
