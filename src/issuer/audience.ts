import type { Keyring } from '../keys/keyring.ts';
import { Refusal } from './refusals.ts';
import { remember } from './remember.ts';

const MAX_LENGTH = 1024;
const MAX_AUDIENCES = 16;
/** Audiences are logged (audit), and a credential in the wrong field must not be (I12). */
const JWT = /eyJ[\w-]+\.[\w-]+\./;

/**
 * The `aud` of a token: what was asked for, if the set allows it; without a wish the first of the
 * allow-list, else the issuer itself. One audience is a string, several are an array (RFC 7519
 * section 4.1.3).
 *
 * @throws Refusal `audience_invalid`, `audience_reserved`, `audience_not_allowed`.
 */
export function chooseAudience(
  ring: Pick<Keyring, 'issuer' | 'audiences'>,
  requested: readonly string[],
): string | readonly string[] {
  const [first = ring.audiences[0] ?? ring.issuer, ...others] = new Set(requested);
  const audiences = [first, ...others];
  if (audiences.length > MAX_AUDIENCES) {
    throw new Refusal('audience_invalid', `Ask for at most ${MAX_AUDIENCES} audiences.`);
  }
  for (const audience of audiences) checkAudience(ring, audience);
  return others.length === 0 ? first : audiences;
}

function checkAudience(ring: Pick<Keyring, 'issuer' | 'audiences'>, audience: string): void {
  if (audience === '' || audience.length > MAX_LENGTH) {
    throw new Refusal('audience_invalid', `An audience has 1 to ${MAX_LENGTH} characters.`);
  }
  if (JWT.test(audience)) {
    throw new Refusal('audience_invalid', 'An audience is no token: name who is to accept it.');
  }
  if (isReserved(ring.issuer, audience)) {
    throw new Refusal(
      'audience_reserved',
      'Tokens for the management API (<issuer>/api/v2/) are not signed for callers; use a role on signingkeysets/rotation.',
    );
  }
  if (ring.audiences.length > 0 && !ring.audiences.includes(audience)) {
    throw new Refusal(
      'audience_not_allowed',
      'Ask for one of the audiences in spec.tokens.audiences of the set.',
    );
  }
}

/**
 * Whether `audience` reads as the management API of `issuer` to any reader, however lenient: upper
 * case, a default port, another scheme, dot segments, doubled slashes and percent-encoding are seen
 * through, and so is a path below it.
 */
export function isReserved(issuer: string, audience: string): boolean {
  const reserved = plain(`${issuer}/api/v2`);
  const asked = plain(audience);
  return asked === reserved || asked.startsWith(`${reserved}/`);
}

/** An audience has at most 1 KiB, so what is kept is small. */
const plain = remember(500, (url: string): string => {
  if (!URL.canParse(url)) return url.toLowerCase();
  const { hostname, port, pathname } = new URL(url);
  const explicitPort = port === '80' || port === '443' ? '' : port;
  const path = decodeRepeatedly(pathname)
    .replaceAll('\\', '/')
    .replaceAll(/\/{2,}/g, '/');
  const resolved = new URL(path, 'http://host/').pathname;
  const host = hostname.replace(/\.$/, '');
  return `${host}:${explicitPort}${resolved}`.toLowerCase().replace(/\/$/, '');
});

/**
 * `%2561pi` is `%61pi` is `api`: what any number of layers of decoding would make of a path, each
 * escape by itself, so that one that is none protects no other. It ends, as each round is shorter.
 */
function decodeRepeatedly(path: string): string {
  const decoded = path.replaceAll(/%([\da-f]{2})/gi, (_, code: string) =>
    String.fromCharCode(Number.parseInt(code, 16)),
  );
  return decoded === path ? path : decodeRepeatedly(decoded);
}
