/** Starts a control plane, prints where it is and waits to be killed. */
import { startControlPlane } from '../controlplane/controlplane.ts';

const { dir, components } = await startControlPlane({ controllerManager: false });
const pids = [components.etcd.pid, components.apiserver.pid];
process.stdout.write(`${JSON.stringify({ dir, pids })}\n`);
