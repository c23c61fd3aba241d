/** The e2e, as a user would: each step proves what it says, or throws. */
import { deleteLeader, restartContainers, rollOut, survivesEviction } from './disruptions.ts';
import {
  install,
  installAgain,
  installPrevious,
  tryHelmTest,
  uninstall,
  upgrade,
} from './install.ts';
import { applySet, getToken, resume, revoke, rotate } from './keys.ts';
import type { Life } from './life.ts';
import { typeThePages } from './pages.ts';
import { issuerMay, peopleMay } from './permissions.ts';

export interface Step {
  readonly name: string;
  readonly run: (life: Life) => Promise<void>;
  /** Played only where the version before is there to install, or only where it is not. */
  readonly only?: 'with-previous' | 'without';
}

export const STEPS: readonly Step[] = [
  {
    name: 'the images, of the version before too where its source is there',
    run: ({ bring }) => bring(),
  },
  {
    name: 'helm install of the version before, where `restricted` is enforced',
    run: installPrevious,
    only: 'with-previous',
  },
  { name: 'helm install, where `restricted` is enforced', run: install, only: 'without' },
  { name: 'a set is Ready, where `restricted` is enforced', run: applySet },
  { name: 'a workload gets a token, verified by the DNS name of the Service', run: getToken },
  { name: 'rotate=now: the next key signs, a gateway takes new and old tokens', run: rotate },
  {
    name: 'helm upgrade keeps sets and keys, without a refused request',
    run: upgrade,
    only: 'with-previous',
  },
  { name: 'rotate=now once more', run: rotate },
  { name: 'helm test mints and verifies a token, and cleans up', run: tryHelmTest },
  {
    name: 'the issuer’s container may do what docs/security.md says, and nothing else',
    run: issuerMay,
  },
  { name: 'a typo fails in kubectl; who may rotate may not force', run: peopleMay },
  { name: 'each container may be restarted', run: restartContainers },
  {
    name: 'the leader’s pod is deleted by force: the other leads, signing never stops',
    run: deleteLeader,
  },
  { name: 'a replica is evicted, and no second one meanwhile', run: survivesEviction },
  { name: 'a rolling upgrade refuses no request', run: rollOut },
  { name: 'revoke=previous: its tokens verify no more', run: revoke },
  { name: 'a set that was deleted and made again goes on with its keys', run: resume },
  { name: 'helm uninstall keeps sets and keys, and install goes on with them', run: installAgain },
  { name: 'what the notes say removes all of it', run: uninstall },
  { name: 'each command of docs/install.md, rbac.md and upgrade.md works', run: typeThePages },
];
