import type { Keyring } from './keyring.ts';

/** The content of a ConfigMap. */
export interface Publication {
  readonly data: Readonly<Record<string, string>>;
  /** Base64. */
  readonly binaryData: Readonly<Record<string, string>>;
}

/** What gateways that cannot read a JWKS over HTTP mount (design section 3). */
export function renderPublication(_ring: Keyring): Publication {
  throw new Error('under construction');
}
