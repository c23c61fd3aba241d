/**
 * Where an issuer stands: scheme-less host, port and path in one case, without a default port or
 * empty segments, decoded. What is one place for the issuer's routes is one here.
 *
 * @returns the host, and each level of the path down to the issuer itself; undefined for what is no
 * URL.
 */
export function placesTo(url: string): readonly string[] | undefined {
  const segments = segmentsOf(url);
  if (segments === undefined) return undefined;
  const places = [new URL(url).host.toLowerCase()];
  for (const segment of segments) {
    places.push(`${places.at(-1)}/${segment.replaceAll('/', '%2f').toLowerCase()}`);
  }
  return places;
}

/** The place of an issuer; undefined for what is no URL. */
export function placeOf(url: string): string | undefined {
  return placesTo(url)?.at(-1);
}

/** Whether a URL is a prefix's own or a path below it; never a longer host or half a segment. */
export function isWithin(url: string, prefix: string): boolean {
  const start = placeOf(prefix);
  return start !== undefined && placesTo(url)?.includes(start) === true;
}

/** The path in lower case, decoded as the issuer does; undefined where that cannot be done. */
export function segmentsOf(url: string): readonly string[] | undefined {
  if (!URL.canParse(url)) return undefined;
  try {
    const parts = new URL(url).pathname.split('/').filter((part) => part !== '');
    return parts.map((part) => decodeURIComponent(part).toLowerCase());
  } catch {
    return undefined;
  }
}
