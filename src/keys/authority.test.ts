import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer as createTlsServer } from 'node:tls';
import { expect, test } from 'vitest';
import { DAY, MINUTE } from '../api/constants.ts';
import {
  type Authority,
  issueServingCertificate,
  makeAuthority,
  readAuthority,
  readAuthorityCertificate,
} from './authority.ts';

const NAMES = ['signet-issuer.signet-system.svc', 'localhost', '127.0.0.1', '::1'];
const now = Date.now();
const authority = await makeAuthority({ lifetime: 730 * DAY, now });

function serving(by: Authority = authority, lifetime = 7 * DAY) {
  return issueServingCertificate(by, { names: NAMES, lifetime, now });
}

test('a serving certificate has its names, and ends with its lifetime', async () => {
  const { certificate, notBefore, notAfter } = await serving();
  const x509 = new X509Certificate(certificate);
  for (const name of NAMES.slice(0, 2)) expect(x509.checkHost(name)).toBe(name);
  for (const address of NAMES.slice(2)) expect(x509.checkIP(address)).toBe(address);
  expect(x509.checkHost('elsewhere.example.com')).toBeUndefined();
  expect(x509.ca).toBe(false);
  expect(Math.abs(notAfter - (now + 7 * DAY))).toBeLessThan(1_000);
  expect(Math.abs(notBefore - (now - 5 * MINUTE))).toBeLessThan(1_000);
});

test('it never outlives its authority', async () => {
  const { notAfter } = await serving(authority, 3_650 * DAY);
  expect(notAfter).toBe(authority.notAfter);
});

test('a client that trusts a bundle with its authority accepts it, any other refuses', async () => {
  const { certificate, privateKey } = await serving();
  const other = await makeAuthority({ lifetime: 730 * DAY, now });
  const server = createTlsServer({ cert: certificate, key: privateKey.exportPem() }, (socket) =>
    socket.end(),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const visit = async (ca: string) => {
    const socket = connect({ port, host: '127.0.0.1', ca });
    try {
      await once(socket, 'secureConnect');
    } finally {
      socket.destroy();
    }
  };
  await visit(other.certificate + authority.certificate);
  await expect(visit(other.certificate)).rejects.toThrow('unable to verify the first certificate');
  server.close();
});

test('an authority is read as it was made', () => {
  const read = readAuthority(authority.certificate, authority.privateKey.exportPem());
  expect(read).toEqual(authority);
  expect(read.privateKey.exportPem()).toBe(authority.privateKey.exportPem());
});

test('no two authorities have the same name', async () => {
  const other = await makeAuthority({ lifetime: DAY, now });
  const subject = ({ certificate }: Authority) => new X509Certificate(certificate).subject;
  expect(subject(other)).not.toBe(subject(authority));
});

test.each([
  ['no certificate', 'x', 'y', 'it is no PEM certificate'],
  ['no key', authority.certificate, 'secret', 'its key is no PKCS#8 PEM private key'],
  [
    'the key of another',
    authority.certificate,
    (await makeAuthority({ lifetime: DAY, now })).privateKey.exportPem(),
    'its key is another one',
  ],
])('%s is refused', (_what, certificate, key, message) => {
  expect(() => readAuthority(certificate, key)).toThrow(message);
});

test('a serving certificate is no authority', async () => {
  const { certificate } = await serving();
  expect(() => readAuthorityCertificate(certificate)).toThrow(/not the certificate of an/);
});
