/** `npm run dev`: the stack from source, running until Ctrl-C or SIGTERM. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findClients } from '../controlplane/clients.ts';
import { startStack } from '../stack/stack.ts';

const FOLDER = join(import.meta.dirname, '..', '..', '.dev');
const ENVIRONMENT = join(FOLDER, 'env');

let running = false;
const stopped = new Promise<void>((resolve) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      resolve();
      if (running) return;
      // What has been started so far ends with us (supervise.ts).
      rmSync(FOLDER, { recursive: true, force: true });
      process.exit(1);
    });
  }
});

mkdirSync(FOLDER, { recursive: true });
console.log('Starting a control plane, controller and issuer …');
const stack = await startStack({ logDirectory: FOLDER });
running = true;
const { controlPlane, issuerUrl, caFile, controller, issuer } = stack;
const { kubectl } = await findClients();
writeFileSync(
  ENVIRONMENT,
  `export KUBECONFIG=${controlPlane.kubeconfig}
export ISSUER_URL=${issuerUrl}
export CURL_CA_BUNDLE=${caFile}
export METRICS_URL=${controller.metricsUrl}
export ISSUER_METRICS_URL=${issuer.metricsUrl}
`,
);
console.log(`
Signet is running. In another shell:

  source .dev/env
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

kubectl: ${kubectl}
Logs:    ${controller.logFile}
         ${issuer.logFile}
Source files are read at start: after a change, run it again. Ctrl-C ends it.`);

const idle = setInterval(() => undefined, 60_000);
await stopped;
clearInterval(idle);
console.log('\nStopping …');
await stack.stop();
rmSync(FOLDER, { recursive: true, force: true });
