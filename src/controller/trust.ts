import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { SECOND } from '../api/constants.ts';
import { sleep } from '../kube/backoff.ts';
import type { Log } from '../telemetry/log.ts';

/**
 * Certificates, PEM, by which clients know the issuer's HTTPS: published as `ca.crt`. Empty: there
 * are none, and no file. Undefined: not known yet, and what is published stays.
 */
export type Trust = () => string | undefined;

interface CaFileOptions {
  readonly path: string;
  readonly onChange: () => void;
  readonly log: Log;
}

const LOOK_EVERY = 5 * SECOND;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** The `ca.crt` of a mounted Secret, which may be missing, and change at any time. */
export class CaFile {
  readonly #options: CaFileOptions;
  #bundle: string | undefined;
  #told = '';

  constructor(options: CaFileOptions) {
    this.#options = options;
  }

  get bundle(): string | undefined {
    return this.#bundle;
  }

  /** Reads it now and then until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.look();
      await sleep(LOOK_EVERY, signal);
    }
  }

  async look(): Promise<void> {
    const { path, onChange, log } = this.#options;
    const before = this.#bundle;
    try {
      this.#bundle = certificatesIn(await readFile(path, 'utf8'));
      this.#told = '';
    } catch (error) {
      if (isMissing(error)) this.#bundle = '';
      else if (this.#told !== String(error)) {
        this.#told = String(error);
        log.warn({ path, err: error }, 'no certificates can be read there; ca.crt stays as it is');
      }
    }
    if (this.#bundle !== before) onChange();
  }
}

/** Only certificates, whatever else the file holds (I12). @throws Error when there is none. */
function certificatesIn(text: string): string {
  const found = text.match(CERTIFICATE) ?? [];
  if (found.length === 0) throw new Error('the file holds no PEM certificate');
  return found.map((pem) => new X509Certificate(pem).toString()).join('');
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
