import 'reflect-metadata';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { ALGORITHMS } from './algorithms.ts';
import { BACKDATED, randomSerial } from './certificate.ts';
import { PrivateKey } from './private-key.ts';

/** A certificate with its key. */
export interface Certified {
  /** PEM. */
  readonly certificate: string;
  readonly privateKey: PrivateKey;
  /** Unix ms. */
  readonly notBefore: number;
  /** Unix ms. */
  readonly notAfter: number;
}

/** Who signs serving certificates, and is trusted by those who were given its certificate. */
export type Authority = Certified;

interface Validity {
  /** In milliseconds. */
  readonly lifetime: number;
  /** Unix ms. */
  readonly now: number;
}

/** P-256, as everywhere in TLS. */
const ROW = ALGORITHMS.ES256;

/** A certificate authority for serving certificates and nothing below it. */
export async function makeAuthority({ lifetime, now }: Validity): Promise<Authority> {
  // A name of its own: verifiers that look for an issuer by name alone find one certificate.
  const serial = randomSerial();
  const subject = `CN=Signet CA ${serial.slice(0, 8)}`;
  return certify({ subject, serial, notBefore: now - BACKDATED, notAfter: now + lifetime }, [
    new BasicConstraintsExtension(true, 0, true),
    new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
  ]);
}

interface ServingRequest extends Validity {
  /** DNS names and IP addresses, one at least. */
  readonly names: readonly string[];
}

/** A certificate for a TLS server with these names; it never outlives its authority. */
export async function issueServingCertificate(
  authority: Authority,
  { names, lifetime, now }: ServingRequest,
): Promise<Certified> {
  const alternatives = names.map((value) => ({ type: isIP(value) ? 'ip' : 'dns', value }) as const);
  const form = {
    subject: 'CN=signet-issuer',
    serial: randomSerial(),
    notBefore: now - BACKDATED,
    notAfter: Math.min(now + lifetime, authority.notAfter),
    authority,
  };
  return certify(form, [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
    new SubjectAlternativeNameExtension(alternatives),
  ]);
}

/** What was read is no certificate authority, or not with this key. */
export class AuthorityError extends Error {
  override readonly name = 'AuthorityError';
  readonly code = 'AuthorityDamaged';
}

/**
 * Reads what {@link makeAuthority} made.
 *
 * @throws AuthorityError; its message repeats nothing of what was given.
 */
export function readAuthority(certificate: string, privateKeyPem: string): Authority {
  const { x509, ...facts } = readAuthorityCertificate(certificate);
  const privateKey = attempt('its key is no PKCS#8 PEM private key', () =>
    createPrivateKey(privateKeyPem),
  );
  if (!x509.checkPrivateKey(privateKey)) throw new AuthorityError('its key is another one');
  return { ...facts, privateKey: new PrivateKey(privateKey) };
}

/** The same without the key. @throws AuthorityError */
export function readAuthorityCertificate(
  certificate: string,
): Omit<Authority, 'privateKey'> & { readonly x509: X509Certificate } {
  const x509 = attempt('it is no PEM certificate', () => new X509Certificate(certificate));
  if (!x509.ca) throw new AuthorityError('it is not the certificate of an authority');
  return { ...factsOf(x509), x509 };
}

interface Form {
  readonly subject: string;
  readonly serial: string;
  readonly notBefore: number;
  readonly notAfter: number;
  /** Who signs; default: the new key itself. */
  readonly authority?: Authority;
}

async function certify(form: Form, extensions: readonly Extension[]): Promise<Certified> {
  const { subject, serial, authority } = form;
  const pair = await ROW.generate(0);
  const publicKey = pair.publicKey.toCryptoKey(ROW.x509, true, ['verify']);
  const signer = authority?.privateKey.keyObject ?? pair.privateKey;
  const signerPublic =
    authority === undefined
      ? publicKey
      : new X509Certificate(authority.certificate).publicKey.toCryptoKey(ROW.x509, true, [
          'verify',
        ]);
  const certificate = await X509CertificateGenerator.create({
    serialNumber: serial,
    subject,
    issuer: authority === undefined ? subject : subjectOf(authority),
    notBefore: new Date(form.notBefore),
    notAfter: new Date(form.notAfter),
    publicKey,
    signingKey: signer.toCryptoKey(ROW.x509, false, ['sign']),
    signingAlgorithm: ROW.x509,
    extensions: [
      ...extensions,
      await SubjectKeyIdentifierExtension.create(publicKey),
      await AuthorityKeyIdentifierExtension.create(signerPublic),
    ],
  });
  const x509 = new X509Certificate(Buffer.from(certificate.rawData));
  return { ...factsOf(x509), privateKey: new PrivateKey(pair.privateKey) };
}

/** As `CN=…`, which is all that we put into one. */
function subjectOf({ certificate }: Authority): string {
  return new X509Certificate(certificate).subject;
}

function factsOf(x509: X509Certificate): Omit<Certified, 'privateKey'> {
  return {
    certificate: x509.toString(),
    notBefore: x509.validFromDate.getTime(),
    notAfter: x509.validToDate.getTime(),
  };
}

function attempt<T>(fault: string, read: () => T): T {
  try {
    return read();
  } catch {
    throw new AuthorityError(fault);
  }
}
