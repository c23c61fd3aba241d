import type { Site } from './site.ts';

/** What somebody who looks for the cause of a failure asks a cluster. No Secret is among it. */
const QUESTIONS: readonly (readonly string[])[] = [
  ['get', 'signingkeysets,configmaps,pods,deployments,leases,pdb', '-A', '-o', 'wide'],
  ['get', 'signingkeysets', '-A', '-o', 'yaml'],
  ['describe', 'pods', '-A', '-l', 'app.kubernetes.io/name=signet'],
  ['get', 'events', '-A', '--sort-by=.lastTimestamp'],
  ...['controller', 'issuer'].flatMap((container) => {
    const logs = ['logs', '-n', 'signet-system', '-l', 'app.kubernetes.io/name=signet'];
    return [[], ['--previous']].map((more) => [
      ...[...logs, '-c', container, '--tail=200', '--prefix'],
      ...more,
    ]);
  }),
  ['logs', '-n', 'identity', '-l', 'app', '--tail=100', '--prefix'],
];

/** Prints objects, events and logs. Never throws: the failure before it is what counts. */
export async function dump({ kubectl }: Site): Promise<void> {
  for (const question of QUESTIONS) {
    console.error(`\n--- kubectl ${question.join(' ')}`);
    try {
      console.error((await kubectl(question)).stdout);
    } catch (error) {
      console.error(String(error));
    }
  }
}
