import { request } from 'node:http';
import { join } from 'node:path';

/** etcd takes a unix socket only as host:port, and makes a file of that name where it runs. */
const CLIENT = 'client:0';
const PEER = 'peer:0';

/** Sockets in a private folder: no port to lose, and nobody else on the machine gets in. */
export function etcdSocket(dir: string): string {
  return join(dir, CLIENT);
}

export function etcdArguments(dir: string): readonly string[] {
  return [
    `--data-dir=${join(dir, 'data')}`,
    `--listen-client-urls=unix://${CLIENT}`,
    `--advertise-client-urls=unix://${CLIENT}`,
    `--listen-peer-urls=unix://${PEER}`,
    `--initial-advertise-peer-urls=unix://${PEER}`,
    `--initial-cluster=default=unix://${PEER}`,
    // The page cache outlives a killed etcd; only a crash of the machine would lose data.
    '--unsafe-no-fsync',
    '--log-level=warn',
  ];
}

export async function etcdIsHealthy(dir: string): Promise<boolean> {
  return (await call(dir, 'GET', '/health')).health === 'true';
}

/** Compacts to the present revision. */
export async function compact(dir: string): Promise<void> {
  const { header } = await call(dir, 'POST', '/v3/maintenance/status', {});
  if (header === undefined) throw new Error('etcd did not tell its revision');
  const { revision } = header;
  await call(dir, 'POST', '/v3/kv/compaction', { revision, physical: true });
}

/** What we read of etcd's answers; numbers are text in them. */
interface Answer {
  readonly health?: string;
  readonly header?: { readonly revision: string };
}

function call(dir: string, method: string, path: string, body?: object): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { socketPath: etcdSocket(dir), method, path, agent: false },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        response.on('end', () => {
          if (response.statusCode === 200) resolve(JSON.parse(text));
          else reject(new Error(`etcd ${path}: ${response.statusCode} ${text}`));
        });
      },
    );
    outgoing.on('error', reject).end(body === undefined ? undefined : JSON.stringify(body));
  });
}
