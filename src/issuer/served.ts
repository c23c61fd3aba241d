import { LONGEST_MAX_AGE } from '../api/caching.ts';
import { jwks } from '../keys/jwks.ts';
import type { Keyring } from '../keys/keyring.ts';
import { discovery } from './discovery.ts';
import { keysMaxAge, type PublicDocument, publicDocument } from './document.ts';

/** A set as this replica serves it. */
export interface ServedSet {
  readonly ring: Keyring;
  readonly discovery: PublicDocument;
  readonly jwks: PublicDocument;
}

export function serve(ring: Keyring): ServedSet {
  return {
    ring,
    discovery: json('application/json', discovery(ring.issuer), LONGEST_MAX_AGE),
    jwks: json('application/jwk-set+json', jwks(ring), keysMaxAge(ring)),
  };
}

function json(contentType: string, content: object, maxAge: number): PublicDocument {
  return publicDocument(contentType, Buffer.from(JSON.stringify(content)), maxAge);
}
