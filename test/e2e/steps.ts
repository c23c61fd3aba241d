/** The e2e, as a user would: each step proves what it says, or throws. */
import { killLeader, restartContainers, rollOut, survivesEviction } from './disruptions.ts';
import { installAgain, installPrevious, tryHelmTest, uninstall, upgrade } from './install.ts';
import { applySet, getToken, resume, revoke, rotate } from './keys.ts';
import type { Life } from './life.ts';
import { issuerMay, peopleMay } from './permissions.ts';

export interface Step {
  readonly name: string;
  readonly run: (life: Life) => Promise<void>;
}

export const STEPS: readonly Step[] = [
  { name: 'the images of this version and of the one before it', run: ({ bring }) => bring() },
  {
    name: 'helm install of the version before, where `restricted` is enforced',
    run: installPrevious,
  },
  { name: 'a set is Ready, where `restricted` is enforced', run: applySet },
  { name: 'a workload gets a token, verified by the DNS name of the Service', run: getToken },
  { name: 'rotate=now: the next key signs, a gateway takes new and old tokens', run: rotate },
  { name: 'helm upgrade keeps sets and keys, without a refused request', run: upgrade },
  { name: 'rotate=now once more', run: rotate },
  { name: 'helm test mints and verifies a token, and cleans up', run: tryHelmTest },
  { name: 'the issuer’s container may do what it must, and nothing else', run: issuerMay },
  { name: 'a typo fails in kubectl; who may rotate may not force', run: peopleMay },
  { name: 'each container may be restarted', run: restartContainers },
  { name: 'the leader’s pod is killed: the other leads, signing never stops', run: killLeader },
  { name: 'a replica is evicted, and no second one meanwhile', run: survivesEviction },
  { name: 'a rolling upgrade refuses no request', run: rollOut },
  { name: 'revoke=previous: its tokens verify no more', run: revoke },
  { name: 'a set that was deleted and made again goes on with its keys', run: resume },
  { name: 'helm uninstall keeps sets and keys, and install goes on with them', run: installAgain },
  { name: 'what the notes say removes all of it', run: uninstall },
];
