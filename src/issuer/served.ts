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
  return publicDocument(contentType, unpooled(JSON.stringify(content)), maxAge);
}

/**
 * In memory of its own: a slice of Node's pool would keep what was decoded beside it as well, 40 KB
 * for each set.
 */
function unpooled(text: string): Buffer {
  const bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(text));
  bytes.write(text);
  return bytes;
}
