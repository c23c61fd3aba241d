import { getCACertificates, setDefaultCACertificates } from 'node:tls';

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** From now on `fetch` and every other TLS client of this process trusts these certificates too. */
export function trust(bundle: string): void {
  const found = bundle.match(CERTIFICATE) ?? [];
  if (found.length === 0) throw new Error('that is no PEM certificate');
  setDefaultCACertificates([...getCACertificates('default'), ...found]);
}
