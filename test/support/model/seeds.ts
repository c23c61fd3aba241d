import { randomInt } from 'node:crypto';

const ASKED = process.env['SIGNET_SEED'];

/**
 * Of the histories. The same ones each time fail only for who broke something; `SIGNET_SEED=random`
 * tries others, and prints their seed with a failure: to see that again, `SIGNET_SEED=<seed>`.
 */
export const SEED = ASKED === 'random' ? randomInt(2 ** 31) : Number(ASKED ?? 22);
