import { MANAGED_BY } from '../api/constants.ts';
import { AuthorityError, readAuthority, readAuthorityCertificate } from '../keys/authority.ts';
import { type Authorities, bundleOf } from './authority-plan.ts';
import type { Metadata, SecretObject } from './objects.ts';

/** In the operator's own namespace. Its bundle, `ca.crt`, is what clients are to trust. */
export const AUTHORITY_SECRET = 'signet-ca';
/** Immutable, and nobody else's. */
const TYPE = 'signet.dev/certificate-authority';

/** The Secret as it is written: `tls.crt` and `tls.key` of who signs, and the others' by name. */
export function encodeAuthorities(
  held: Authorities,
  metadata: Omit<Metadata, 'name'>,
): SecretObject {
  const { current, next, previous } = held;
  const entries: Record<string, string | undefined> = {
    'ca.crt': bundleOf(held),
    'tls.crt': current.certificate,
    'tls.key': current.privateKey.exportPem(),
    'next.crt': next?.certificate,
    'next.key': next?.privateKey.exportPem(),
    'previous.crt': previous?.certificate,
  };
  const data = Object.entries(entries).flatMap(([name, text]) =>
    text === undefined ? [] : [[name, Buffer.from(text).toString('base64')] as const],
  );
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type: TYPE,
    metadata: {
      ...metadata,
      name: AUTHORITY_SECRET,
      labels: { [MANAGED_BY.key]: MANAGED_BY.value },
    },
    data: Object.fromEntries(data),
  };
}

/**
 * Reads one that we made (I19): of our type, with our label, and whole.
 *
 * @throws AuthorityError saying what is wrong and what to do.
 */
export function decodeAuthorities({ type, metadata, data = {} }: SecretObject): Authorities {
  if (type !== TYPE || metadata.labels?.[MANAGED_BY.key] !== MANAGED_BY.value) {
    throw new AuthorityError(
      `Secret ${AUTHORITY_SECRET} was not made by Signet and is not used: delete or rename it, and a certificate authority is made`,
    );
  }
  const text = (name: string) => Buffer.from(data[name] ?? '', 'base64').toString();
  const pair = (name: string) =>
    explain(name, () => readAuthority(text(`${name}.crt`), text(`${name}.key`)));
  return {
    current: pair('tls'),
    ...(data['next.crt'] === undefined ? {} : { next: pair('next') }),
    ...(data['previous.crt'] === undefined ? {} : { previous: previous(text('previous.crt')) }),
  };
}

function previous(certificate: string): NonNullable<Authorities['previous']> {
  const { x509: _, ...facts } = explain('previous', () => readAuthorityCertificate(certificate));
  return facts;
}

function explain<T>(name: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof AuthorityError)) throw error;
    throw new AuthorityError(
      `Secret ${AUTHORITY_SECRET} is damaged at ${name}.crt (${error.message}): restore it, or delete it, and the last good one is written again`,
    );
  }
}
