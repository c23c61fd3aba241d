import { ALLOWED_ISSUERS_ANNOTATION } from '../api/constants.ts';
import type { IssuerClaim, ReadyFault } from '../rotation/situation.ts';
import type { Holder, IssuerHolders } from './issuer-holders.ts';
import { isWithin, placeOf, segmentsOf } from './issuer-place.ts';

/** Path segments that belong to the issuer's own endpoints (design section 4). */
const RESERVED_SEGMENTS: ReadonlySet<string> = new Set([
  '.well-known',
  'sign',
  'oauth',
  'pem',
  'cer',
  'rawpem',
  'pb7',
  'fingerprint',
  'api',
]);

interface Claim {
  readonly namespace: string;
  readonly namespaceUid: string;
  readonly name: string;
  /** `spec.issuer`; absent: the default under the public URL. */
  readonly asked?: string;
  /** `signet.dev/allowed-issuers` of the Namespace: URL prefixes apart by spaces or commas. */
  readonly allowed?: string;
  /** Under which the issuer service is reached; default issuers lie there. */
  readonly publicUrl: string;
  readonly holders: Pick<IssuerHolders, 'overlapping'>;
}

/**
 * Decides whether a set may have its issuer (design section 1): an explicit one must be allowed by
 * its namespace, and none may be, contain or lie under the issuer of another set.
 */
export function claimIssuer(claim: Claim): IssuerClaim {
  const { asked, namespace, name, publicUrl } = claim;
  const own = `${publicUrl.replace(/\/$/, '')}/${namespace}/${name}`;
  const issuer = asked ?? own;
  const refusal =
    (asked === undefined ? undefined : refusalOf(asked, own, claim)) ?? taken(issuer, claim);
  if (refusal !== undefined) return { granted: false, ...refusal };
  return { granted: true, issuer, source: asked === undefined ? 'default' : 'spec' };
}

function refusalOf(asked: string, own: string, claim: Claim): ReadyFault | undefined {
  return unreadable(asked) ?? notAllowed(asked, claim) ?? reserved(asked, own, claim);
}

/** The API server takes some hosts that no client does, such as 10.0.0.256. */
function unreadable(asked: string): ReadyFault | undefined {
  if (placeOf(asked) !== undefined) return undefined;
  return {
    reason: 'IssuerNotAllowed',
    message:
      `${asked} is no URL that clients can read, such as https://login.example.com/: delete this ` +
      'set, and make it again with another spec.issuer',
  };
}

function notAllowed(asked: string, { allowed = '', namespace }: Claim): ReadyFault | undefined {
  const prefixes = allowed.split(/[\s,]+/).filter((prefix) => prefix !== '');
  if (prefixes.some((prefix) => isWithin(asked, prefix) && sameScheme(asked, prefix))) {
    return undefined;
  }
  return {
    reason: 'IssuerNotAllowed',
    message:
      `${asked} is not allowed in namespace ${namespace}: a cluster administrator may type ` +
      `kubectl annotate namespace ${namespace} --overwrite ` +
      `${ALLOWED_ISSUERS_ANNOTATION}="${[...prefixes, asked].join(' ')}"`,
  };
}

function reserved(asked: string, own: string, { publicUrl }: Claim): ReadyFault | undefined {
  const segment = segmentsOf(asked)?.find((part) => RESERVED_SEGMENTS.has(part));
  if (segment !== undefined) {
    return {
      reason: 'IssuerConflict',
      message: `${asked} contains /${segment}, which is an endpoint of every issuer: choose another path`,
    };
  }
  if (placeOf(asked) === placeOf(own) || !isWithin(asked, publicUrl)) return undefined;
  const depth = (url: string) => segmentsOf(url)?.length ?? 0;
  if (depth(asked) < depth(publicUrl) + 2) return undefined;
  return {
    reason: 'IssuerConflict',
    message:
      `${asked} lies where the sets of other namespaces have their default issuers ` +
      `(${publicUrl}/<namespace>/<name>): leave spec.issuer out, or choose a path elsewhere`,
  };
}

function taken(issuer: string, { holders, namespaceUid, name }: Claim): ReadyFault | undefined {
  // Another namespace of the same name is another tenant.
  const isOwn = ({ owner }: Holder) => owner.namespaceUid === namespaceUid && owner.name === name;
  const holder = [...holders.overlapping(issuer)].find((one) => !isOwn(one));
  if (holder === undefined) return undefined;
  const how = placeOf(holder.issuer) === placeOf(issuer) ? 'is' : 'overlaps';
  const message =
    holder.retiredAt === undefined
      ? `${issuer} ${how} the issuer of another set, which had it first: choose another host or ` +
        'path in a new set'
      : `${issuer} ${how} the issuer of a set that was deleted, whose tokens still verify: this ` +
        'one begins when the last of them has expired';
  return { reason: 'IssuerConflict', message };
}

/** Whoever may have https is not thereby allowed tokens over plain http. */
function sameScheme(left: string, right: string): boolean {
  return new URL(left).protocol === new URL(right).protocol;
}
