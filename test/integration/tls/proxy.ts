/** HAProxy as it stands before replicas: checks each one's /readyz, and tries nothing twice. */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { component } from '../../controlplane/component.ts';
import { freePort } from '../../controlplane/port.ts';
import type { Replica } from '../../stack/stack.ts';

const run = promisify(execFile);
const PROGRAM = '/usr/sbin/haproxy';

/** Installs Debian's HAProxy where it is missing. @throws Error saying what to install. */
export async function requireHaproxy(): Promise<void> {
  if (existsSync(PROGRAM)) return;
  console.log('Installing haproxy with apt-get …');
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  try {
    await run('apt-get', ['update', '-qq'], { env });
    await run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'haproxy'], { env });
  } catch (cause) {
    throw new Error('this test needs haproxy, and apt-get did not install it: install it', {
      cause,
    });
  }
}

export interface Proxy extends AsyncDisposable {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  /** How many replicas it sends to. */
  replicas(): Promise<number>;
}

/** Sends to every replica that is ready, over verified HTTPS. */
export async function startProxy(replicas: readonly Replica[], caFile: string): Promise<Proxy> {
  const dir = mkdtempSync(join(tmpdir(), 'signet-haproxy-'));
  const port = await freePort();
  const statistics = `127.0.0.1:${await freePort()}`;
  const servers = replicas.map(({ url, metricsUrl }, index) => {
    const tls = `ssl verify required ca-file ${caFile} verifyhost localhost sni str(localhost)`;
    const health = `check port ${new URL(metricsUrl).port} no-check-ssl`;
    return `  server issuer-${index} 127.0.0.1:${new URL(url).port} ${tls} ${health}`;
  });
  const config = `global
  maxconn 200
defaults
  mode http
  timeout connect 10s
  timeout check 2s
  timeout client 10s
  timeout server 10s
  retries 0
  option httpchk GET /readyz
  default-server inter 100ms fall 1 rise 1
frontend statistics
  bind ${statistics}
  stats enable
  stats uri /
frontend issuer
  bind 127.0.0.1:${port}
  default_backend replicas
backend replicas
  balance roundrobin
${servers.join('\n')}
`;
  const file = join(dir, 'haproxy.cfg');
  writeFileSync(file, config);
  const url = `http://127.0.0.1:${port}`;
  const count = async (): Promise<number> => {
    const rows = (await (await fetch(`http://${statistics}/;csv`)).text()).split('\n');
    return rows.filter((row) => row.startsWith('replicas,issuer-') && row.includes(',UP,')).length;
  };
  const proxy = component({
    name: 'haproxy',
    command: PROGRAM,
    args: ['-db', '-f', file],
    logFile: join(dir, 'haproxy.log'),
    ready: async () => (await count()) === replicas.length,
  });
  await proxy.restart();
  return {
    url,
    replicas: count,
    async [Symbol.asyncDispose]() {
      await proxy.kill();
      rmSync(dir, { recursive: true });
    },
  };
}
