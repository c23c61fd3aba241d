import { certificateDer, certificatePem } from './certificate.ts';
import { publicKeyOf } from './jwk.ts';
import { jwks, publishedKeys } from './jwks.ts';
import type { Keyring, SigningKey } from './keyring.ts';

/** The content of a ConfigMap. */
export interface Publication {
  readonly data: Readonly<Record<string, string>>;
  /** Base64. */
  readonly binaryData: Readonly<Record<string, string>>;
}

/** The names under which gateways mount the keys, in the order of {@link publishedKeys}. */
const SLOTS = ['current', 'next', 'previous', 'previous-2', 'previous-3'] as const;

/**
 * What a gateway mounts that cannot read a JWKS over HTTP (design section 3). The same ring gives
 * the same content, byte for byte. Every slot always exists, so that no mount ever breaks: one
 * without a key, and the certificate of a key that has none, is that of the current key.
 *
 * @throws RangeError when the ring has no current key with a certificate; a decoded ring has one.
 */
export function renderPublication(ring: Pick<Keyring, 'keys' | 'issuer'>): Publication {
  const keys = publishedKeys(ring).map(render);
  const [current] = keys;
  if (current?.certificate === undefined)
    throw new RangeError('a ring needs a current key with a certificate to be published');

  const data: Record<string, string> = {};
  const binaryData: Record<string, string> = {};
  for (const [index, slot] of SLOTS.entries()) {
    const { publicKey, certificate = current.certificate } = keys[index] ?? current;
    data[`${slot}.crt`] = certificate.pem;
    data[`${slot}.pub`] = publicKey;
    binaryData[`${slot}.cer`] = certificate.der;
  }
  for (const { kid, publicKey, certificate } of keys) {
    if (certificate !== undefined) data[`${kid}.crt`] = certificate.pem;
    data[`${kid}.pub`] = publicKey;
  }
  const bundle = keys.map(({ certificate }) => certificate?.pem ?? '').join('');
  const document = JSON.stringify(jwks(ring));
  return {
    data: {
      ...data,
      'bundle.crt': bundle,
      jwks: document,
      'jwks.json': document,
      issuer: ring.issuer,
    },
    binaryData,
  };
}

interface Rendered {
  readonly kid: string;
  /** SubjectPublicKeyInfo, PEM. */
  readonly publicKey: string;
  readonly certificate?: { readonly pem: string; readonly der: string };
}

function render({ kid, jwk, certificate }: SigningKey): Rendered {
  const publicKey = publicKeyOf(jwk).export({ type: 'spki', format: 'pem' }).toString();
  if (certificate === undefined) return { kid, publicKey };
  const der = certificateDer(certificate).toString('base64');
  return { kid, publicKey, certificate: { pem: certificatePem(certificate), der } };
}
