import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SecureContextOptions } from 'node:tls';
import { SECOND } from '../api/constants.ts';
import type { Log } from '../telemetry/log.ts';
import { counter, defineMetrics, gauge, type Registry } from '../telemetry/metrics.ts';

interface ServingCertificateOptions {
  /** A folder with `tls.crt` and `tls.key`, as the kubelet mounts a Secret of kubernetes.io/tls. */
  readonly dir: string;
  /** Given each certificate that can be used, the first one included. */
  readonly onChange: (pair: CertificatePair) => void;
  readonly clock: () => number;
  readonly log: Log;
  readonly registry: Registry;
}

/** PEM; `cert` may be a chain, our own certificate first. */
type CertificatePair = Required<Pick<SecureContextOptions, 'cert' | 'key'>>;

interface Files {
  readonly cert: string;
  readonly key: string;
}

const CERTIFICATE = 'tls.crt';
const KEY = 'tls.key';
/** Notices neither a swapped symbolic link nor a rename late, whatever the file system tells. */
const POLL = SECOND;

const METRICS = {
  expiry: gauge(
    'signet_tls_certificate_expiry_timestamp_seconds',
    'When the certificate that the issuer serves with ends.',
  ),
  loads: counter(
    'signet_tls_certificate_loads_total',
    'Certificates found in --tls-dir: "loaded", or "refused" because they cannot be used.',
    ['result'],
  ),
};

/**
 * The certificate of the HTTPS listener, read again when its files change. One that cannot be used
 * leaves the last good one in force.
 */
export class ServingCertificate {
  readonly #options: ServingCertificateOptions;
  readonly #metrics;
  #fault = 'it was not looked for yet';
  #seen: Files | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ServingCertificateOptions) {
    this.#options = options;
    this.#metrics = defineMetrics(options.registry, METRICS);
  }

  /** Looks now, and once a second until stopped. */
  follow(): void {
    this.#look();
    this.#timer = setInterval(() => this.#look(), POLL);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** True once there is a certificate to serve with; else which file is missing or wrong. */
  ready(): true | string {
    return this.#seen !== undefined || this.#fault;
  }

  #look(): void {
    const { dir, clock } = this.#options;
    try {
      const files = { cert: read(dir, CERTIFICATE), key: read(dir, KEY) };
      if (files.cert !== this.#seen?.cert || files.key !== this.#seen.key) {
        this.#load(files, check(dir, files, clock()));
      }
      this.#fault = '';
    } catch (error) {
      if (!(error instanceof CertificateError)) throw error;
      this.#refuse(error);
    }
  }

  #load(files: Files, leaf: X509Certificate): void {
    const { dir, onChange, log } = this.#options;
    parse(join(dir, CERTIFICATE), 'certificate that TLS takes', () => onChange(files));
    this.#seen = files;
    this.#metrics.expiry.set(leaf.validToDate.getTime() / SECOND);
    this.#metrics.loads.inc({ result: 'loaded' });
    const { subjectAltName: names, fingerprint256: fingerprint } = leaf;
    log.info({ names, fingerprint, notAfter: leaf.validToDate }, 'Serving with this certificate.');
  }

  /** Said once for each fault, not once a second. */
  #refuse({ message: fault, isMissing }: CertificateError): void {
    if (fault === this.#fault) return;
    this.#fault = fault;
    if (!isMissing) this.#metrics.loads.inc({ result: 'refused' });
    const meanwhile = this.#seen ? 'the last good one stays in use' : 'HTTPS waits for it';
    this.#options.log.warn({ fault }, `The certificate cannot be used; ${meanwhile}.`);
  }
}

/** What is in the folder cannot be served with; says which file, and what to do. */
class CertificateError extends Error {
  override readonly name = 'CertificateError';
  readonly code = 'CertificateUnusable';
  /** Whether there is no such file: at a start nobody has written it yet. */
  readonly isMissing: boolean;

  constructor(message: string, isMissing = false) {
    super(message);
    this.isMissing = isMissing;
  }
}

function read(dir: string, name: string): string {
  const path = join(dir, name);
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : 'unknown';
    throw new CertificateError(
      `cannot read ${path} (${code}): mount a Secret of type kubernetes.io/tls at ${dir}, or wait until the controller has written there`,
      code === 'ENOENT',
    );
  }
}

/** @throws CertificateError; its message repeats nothing of what the files hold. */
function check(dir: string, { cert, key }: Files, now: number): X509Certificate {
  const leaf = parse(join(dir, CERTIFICATE), 'certificate', () => new X509Certificate(cert));
  const privateKey = parse(join(dir, KEY), 'private key', () => createPrivateKey(key));
  if (!leaf.checkPrivateKey(privateKey)) {
    throw new CertificateError(
      `${join(dir, KEY)} is not the key of ${CERTIFICATE}: put both in place together`,
    );
  }
  if (leaf.validToDate.getTime() <= now) {
    throw new CertificateError(
      `${join(dir, CERTIFICATE)} ended on ${leaf.validToDate.toISOString()}: renew it`,
    );
  }
  return leaf;
}

function parse<T>(path: string, what: string, read: () => T): T {
  try {
    return read();
  } catch {
    throw new CertificateError(`${path} holds no PEM ${what}: replace it`);
  }
}
