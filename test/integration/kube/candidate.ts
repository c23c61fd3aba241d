/**
 * A process that stands for election and says each moment whether it leads, so that a test can stop
 * it: `node candidate.ts <port> <credentials> <lease> <identity>`. One JSON line for each look.
 */
import { connect } from '../../../src/kube/client.ts';
import { LeaderElection } from '../../../src/kube/leader-election.ts';
import { memoryLog, NAMESPACE } from './cluster.ts';

const [port = '', credentialsDir = '', name = '', identity = ''] = process.argv.slice(2);
const env = { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: port };
const kube = await connect({ credentialsDir, userAgent: identity, env });
const times = { leaseDurationMs: 6_000, renewDeadlineMs: 4_000, retryPeriodMs: 300 };
const election = new LeaderElection({
  ...{ kube, namespace: NAMESPACE, name, identity, log: memoryLog(), ...times },
});
let interrupted = false;
setInterval(() => {
  const look = { at: Date.now(), leading: election.isLeading(), interrupted };
  process.stdout.write(`${JSON.stringify(look)}\n`);
}, 5);
await election.run(new AbortController().signal, async (leading) => {
  await new Promise((resolve) => leading.addEventListener('abort', resolve));
  interrupted = true;
});
