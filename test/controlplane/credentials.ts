import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY = 24 * 3_600_000;

interface Authority {
  readonly certificate: x509.X509Certificate;
  readonly key: webcrypto.CryptoKey;
}

interface Leaf {
  readonly commonName: string;
  readonly organization?: string;
  readonly usage: x509.ExtendedKeyUsage;
  readonly names?: x509.JsonGeneralNames;
}

export interface KeyPairPem {
  readonly certificate: string;
  readonly key: string;
}

/** What a control plane needs to know itself and its callers by; also written to `dir`. */
export interface ClusterCredentials {
  readonly caPem: string;
  readonly caFile: string;
  readonly serverCertificateFile: string;
  readonly serverKeyFile: string;
  readonly serviceAccountKeyFile: string;
  readonly serviceAccountPublicKeyFile: string;
  readonly admin: KeyPairPem;
  readonly controllerManager: KeyPairPem;
}

/** Makes a CA, the server's certificate, client certificates and the ServiceAccount signing key. */
export async function makeCredentials(dir: string): Promise<ClusterCredentials> {
  const file = (name: string, content: string): string => {
    const path = join(dir, name);
    writeFileSync(path, content, { mode: 0o600 });
    return path;
  };
  const authority = await makeAuthority();
  const [server, admin, controllerManager, serviceAccount] = await Promise.all([
    issue(authority, {
      commonName: 'kube-apiserver',
      usage: x509.ExtendedKeyUsage.serverAuth,
      names: [
        { type: 'ip', value: '127.0.0.1' },
        { type: 'dns', value: 'localhost' },
        { type: 'dns', value: 'kubernetes.default.svc' },
      ],
    }),
    issue(authority, {
      commonName: 'kubernetes-admin',
      organization: 'system:masters',
      usage: x509.ExtendedKeyUsage.clientAuth,
    }),
    issue(authority, {
      commonName: 'system:kube-controller-manager',
      usage: x509.ExtendedKeyUsage.clientAuth,
    }),
    generate(),
  ]);
  const caPem = authority.certificate.toString('pem');
  return {
    caPem,
    caFile: file('ca.crt', caPem),
    serverCertificateFile: file('apiserver.crt', server.certificate),
    serverKeyFile: file('apiserver.key', server.key),
    serviceAccountKeyFile: file('sa.key', await pem(serviceAccount.privateKey)),
    serviceAccountPublicKeyFile: file('sa.pub', await pem(serviceAccount.publicKey)),
    admin,
    controllerManager,
  };
}

async function makeAuthority(): Promise<Authority> {
  const keys = await generate();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    ...validity(),
    name: 'CN=signet-local-ca',
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate, key: keys.privateKey };
}

async function issue(authority: Authority, leaf: Leaf): Promise<KeyPairPem> {
  const keys = await generate();
  const subject = [{ CN: [leaf.commonName] }];
  const certificate = await x509.X509CertificateGenerator.create({
    ...validity(),
    subject: leaf.organization === undefined ? subject : [{ O: [leaf.organization] }, ...subject],
    issuer: authority.certificate.subject,
    publicKey: keys.publicKey,
    signingKey: authority.key,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.ExtendedKeyUsageExtension([leaf.usage]),
      await x509.AuthorityKeyIdentifierExtension.create(authority.certificate.publicKey),
      ...(leaf.names === undefined ? [] : [new x509.SubjectAlternativeNameExtension(leaf.names)]),
    ],
  });
  return { certificate: certificate.toString('pem'), key: await pem(keys.privateKey) };
}

function generate(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

/** A day each way: nothing made here is meant to last, and a wrong clock must not matter. */
function validity(): { serialNumber: string; notBefore: Date; notAfter: Date } {
  const now = Date.now();
  return {
    serialNumber: `01${randomBytes(15).toString('hex')}`,
    notBefore: new Date(now - DAY),
    notAfter: new Date(now + 30 * DAY),
  };
}

async function pem(key: webcrypto.CryptoKey): Promise<string> {
  const [format, label] =
    key.type === 'private'
      ? (['pkcs8', 'PRIVATE KEY'] as const)
      : (['spki', 'PUBLIC KEY'] as const);
  return x509.PemConverter.encode(await webcrypto.subtle.exportKey(format, key), label);
}
