import { remember } from './remember.ts';

/**
 * Where a set is found: `<host>/<path>` of its issuer, and `/<namespace>/<name>` on any host.
 * Segments are compared decoded; case counts in paths and not in hosts.
 */
export type Location = string;

/** @param issuer - an absolute URL; anything else has no location of its own. */
export function issuerLocation(issuer: string): Location | undefined {
  if (!URL.canParse(issuer)) return undefined;
  const { host, pathname } = new URL(issuer);
  const segments = decodeSegments(pathname);
  return segments === undefined ? undefined : host + pathLocation(segments);
}

export function nameLocation(namespace: string, name: string): Location {
  return pathLocation([namespace, name]);
}

/** The locations that a request can mean, the more specific one first. */
export function requestedLocations(
  hostHeader: string | undefined,
  segments: readonly string[],
): readonly Location[] {
  return locationsOnHost(hostHeader, pathLocation(segments));
}

/** The same, of a path that was taken apart before. */
export function locationsOnHost(
  hostHeader: string | undefined,
  path: Location,
): readonly Location[] {
  return hostsOf(hostHeader).map((host) => host + path);
}

/** A name has at most 253 characters (RFC 1035), and a port 5: longer ones are worth no memory. */
const LONGEST_HOST = 260;

function hostsOf(header: string | undefined): readonly string[] {
  return header !== undefined && header.length > LONGEST_HOST ? ANY_HOST : meantBy(header);
}

const ANY_HOST: readonly string[] = [''];

/** What a Host header can mean; it is the same for most requests. */
const meantBy = remember(1_000, (header: string | undefined): readonly string[] => {
  const hosts = new Set(['https', 'http'].map((scheme) => hostOf(scheme, header)));
  return [...hosts.add('')];
});

/** Without a host; empty segments do not count. */
export function pathLocation(segments: readonly string[]): Location {
  const named = segments.filter((segment) => segment !== '');
  // An encoded slash is part of a segment and never divides two.
  return `/${named.map((segment) => segment.replaceAll('/', '%2F')).join('/')}`;
}

function decodeSegments(pathname: string): string[] | undefined {
  try {
    return pathname.split('/').filter(Boolean).map(decodeURIComponent);
  } catch {
    return undefined;
  }
}

/** Lower case, without the default port of `scheme`. */
function hostOf(scheme: string, header: string | undefined): string {
  const url = `${scheme}://${header}`;
  return header !== undefined && URL.canParse(url) ? new URL(url).host : '';
}
