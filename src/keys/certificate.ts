import 'reflect-metadata';
import { randomBytes, X509Certificate } from 'node:crypto';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { MINUTE } from '../api/constants.ts';
import { ALGORITHMS, type Algorithm, type KeyPair } from './algorithms.ts';
import type { SigningKey } from './keyring.ts';
import { parseSubject } from './subject.ts';

/** A verifier whose clock is behind ours by less than this accepts a certificate just made. */
export const BACKDATED = 5 * MINUTE;
/** The last instant that X.509 can say (RFC 5280 section 4.1.2.5). */
const END_OF_TIME = Date.UTC(9999, 11, 31, 23, 59, 59);

export interface SelfSignedInput extends KeyPair {
  readonly algorithm: Algorithm;
  /** Distinguished name, such as `CN=login.example.com` (RFC 4514). */
  readonly subject: string;
  /** Milliseconds from now until the certificate ends. */
  readonly lifetime: number;
  /** Unix time in milliseconds. */
  readonly now: number;
}

/**
 * A self-signed X.509 v3 certificate (RFC 5280), PEM, for gateways that cannot read a JWKS. It
 * vouches for nothing: a verifier trusts it because of where it got it.
 *
 * @throws SubjectError when the subject is not a distinguished name.
 */
export async function selfSigned(input: SelfSignedInput): Promise<string> {
  const { algorithm, subject, lifetime, now } = input;
  const { x509 } = ALGORITHMS[algorithm];
  const name = parseSubject(subject);
  const keys = {
    publicKey: input.publicKey.toCryptoKey(x509, true, ['verify']),
    privateKey: input.privateKey.toCryptoKey(x509, false, ['sign']),
  };
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: randomSerial(),
    name,
    notBefore: new Date(now - BACKDATED),
    notAfter: new Date(Math.min(now + lifetime, END_OF_TIME)),
    signingAlgorithm: x509,
    keys,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      // Keys of a set share one subject: this tells OpenSSL which of a bundle is a certificate's own.
      await AuthorityKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return new X509Certificate(Buffer.from(certificate.rawData)).toString();
}

/** Positive and at most 20 octets (RFC 5280 section 4.1.2.2), 126 bits of it random. */
export function randomSerial(): string {
  const octets = randomBytes(16);
  octets[0] = ((octets[0] ?? 0) & 0x3f) | 0x40;
  return octets.toString('hex');
}

/** SHA-256 of a certificate, upper-case hexadecimal with colons, as `openssl x509 -fingerprint` prints it. */
export function fingerprint(pem: string): string {
  return new X509Certificate(pem).fingerprint256;
}

/** The end of a certificate's validity, Unix time in milliseconds. */
export function notAfter(pem: string): number {
  return new X509Certificate(pem).validToDate.getTime();
}

/** The DER of a certificate: what `.cer` files and `x5c` hold. */
export function certificateDer(pem: string): Buffer {
  return new X509Certificate(pem).raw;
}

/** The certificate as OpenSSL writes it: one PEM block, nothing before or after it. */
export function certificatePem(pem: string): string {
  return new X509Certificate(pem).toString();
}

/** A key's certificate with what is read from it, as a {@link SigningKey} has them. */
export function withFacts(
  pem: string,
): Required<Pick<SigningKey, 'certificate' | 'fingerprint' | 'notAfter'>> {
  return { certificate: pem, fingerprint: fingerprint(pem), notAfter: notAfter(pem) };
}
