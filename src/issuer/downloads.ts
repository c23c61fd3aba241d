import { X509Certificate, X509Certificates } from '@peculiar/x509';
import { certificateDer, certificatePem, fingerprint } from '../keys/certificate.ts';
import type { KeyState, SigningKey } from '../keys/keyring.ts';
import { keysMaxAge, type PublicDocument, publicDocument } from './document.ts';
import { publish } from './publish.ts';
import { Refusal } from './refusals.ts';
import type { ServedSet } from './served.ts';
import type { Endpoint } from './services.ts';

interface Format {
  readonly contentType: string;
  /** Of the file that a browser saves; without one it shows the text. */
  readonly extension?: string;
  /** @param certificate - PEM. */
  readonly write: (certificate: string) => Buffer;
}

/** The certificate of one key as a file, by path: those of Auth0, with its media types. */
const FORMATS = {
  '/pem': {
    contentType: 'application/x-pem-file',
    extension: 'pem',
    write: (certificate) => Buffer.from(certificatePem(certificate)),
  },
  '/cer': { contentType: 'application/pkix-cert', extension: 'cer', write: certificateDer },
  '/rawpem': {
    contentType: 'text/plain; charset=utf-8',
    write: (certificate) => Buffer.from(certificatePem(certificate)),
  },
  '/pb7': { contentType: 'application/x-pkcs7-certificates', extension: 'p7b', write: pkcs7 },
  '/fingerprint': {
    contentType: 'text/plain; charset=utf-8',
    write: (certificate) => Buffer.from(`${fingerprint(certificate)}\n`),
  },
} as const satisfies Record<string, Format>;

type Path = keyof typeof FORMATS;

/** Made when first asked for: most sets are never asked for most of them. */
const made = new WeakMap<ServedSet, Map<string, PublicDocument>>();

/** One row for each format. */
export const DOWNLOADS = Object.keys(FORMATS).map((path) => ({
  path,
  endpoint: download(path as Path),
}));

/** `GET <path>?key=current|next|previous`; without `key` the current one. */
function download(path: Path): Endpoint {
  return publish((set, { request: { url = '' } }) => {
    const [, query] = url.split('?', 2);
    const [asked = 'current', ...others] = new URLSearchParams(query).getAll('key');
    const state = others.length > 0 ? undefined : STATES.find((one) => one === asked);
    if (state === undefined) {
      throw new Refusal('key_invalid', `Set key to ${STATES.join(', ')} or leave it out.`);
    }
    const documents = made.get(set) ?? new Map<string, PublicDocument>();
    made.set(set, documents);
    const name = `${path} ${state}`;
    const document = documents.get(name) ?? makeDocument(set, path, state);
    documents.set(name, document);
    return document;
  });
}

const STATES: readonly KeyState[] = ['current', 'next', 'previous'];

/** @throws Refusal `key_unknown`. */
function makeDocument({ ring }: ServedSet, path: Path, state: KeyState): PublicDocument {
  const { contentType, extension, write }: Format = FORMATS[path];
  const certificate = newest(ring.keys, state)?.certificate;
  if (certificate === undefined) {
    throw new Refusal(
      'key_unknown',
      'Ask for a key that exists and has a certificate, such as current.',
    );
  }
  const suffix = state === 'current' ? '' : `-${state}`;
  const fileName = extension && `${ring.owner.name}${suffix}.${extension}`;
  return publicDocument(contentType, write(certificate), keysMaxAge(ring), fileName);
}

/** The previous keys stand newest first in a keyring. */
function newest(keys: readonly SigningKey[], state: KeyState): SigningKey | undefined {
  return keys.find((key) => key.state === state);
}

/** PKCS#7 with certificates only (RFC 5652 section 5.1), DER. */
function pkcs7(certificate: string): Buffer {
  return Buffer.from(new X509Certificates([new X509Certificate(certificate)]).export('raw'));
}
