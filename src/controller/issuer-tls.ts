import { isIPv6 } from 'node:net';
import type { Kube } from '../kube/client.ts';
import type { Log } from '../telemetry/log.ts';
import type { Registry } from '../telemetry/metrics.ts';
import { CertificateAuthority } from './certificate-authority.ts';
import { handOverServingCertificates } from './serving-certificates.ts';
import { CaFile, type Trust } from './trust.ts';
import type { Write } from './write.ts';

/** Where the certificate of the issuer's HTTPS comes from. */
export interface IssuerTlsOptions {
  /** Serving certificates from an authority of our own are handed over here. */
  readonly handover?: {
    readonly dir: string;
    /** DNS names and IP addresses, besides the host of the public URL. */
    readonly names: readonly string[];
  };
  /** Where the certificate is not ours: a file that clients should trust, if it is there. */
  readonly caFile?: string;
}

interface Surroundings {
  readonly kube: Kube;
  readonly namespace: string;
  readonly publicUrl: string;
  readonly write: Write;
  readonly clock: () => number;
  readonly clockSkew: number;
  readonly log: Log;
  readonly registry: Registry;
  /** Called when clients are to trust something else than before. */
  readonly onChange: () => void;
}

export interface IssuerTls {
  readonly trust: Trust;
  /** What every replica does, until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
  /** What has to be there before anything is published. Resolves also when it failed. */
  settle(): Promise<void>;
  /** What the replica that leads does, until the signal aborts. */
  lead(signal: AbortSignal): Promise<void>;
}

/** The issuer's TLS as far as the controller sees to it. */
export function issuerTls(options: IssuerTlsOptions, surroundings: Surroundings): IssuerTls {
  const { handover, caFile } = options;
  if (handover !== undefined) return ownAuthority(handover, surroundings);
  return caFile === undefined ? NOTHING : mounted(caFile, surroundings);
}

async function nothing(): Promise<void> {}

/** Nobody told us: what is published stays. */
const NOTHING: IssuerTls = {
  trust: () => undefined,
  run: nothing,
  settle: nothing,
  lead: nothing,
};

function mounted(path: string, { onChange, log }: Surroundings): IssuerTls {
  const file = new CaFile({ path, onChange, log });
  return {
    ...NOTHING,
    trust: () => file.bundle,
    run: (signal) => file.run(signal),
    settle: () => file.look(),
  };
}

function ownAuthority(
  { dir, names }: NonNullable<IssuerTlsOptions['handover']>,
  surroundings: Surroundings,
): IssuerTls {
  const authority = new CertificateAuthority(surroundings);
  const { publicUrl, clock, log } = surroundings;
  const all = [...new Set([hostOf(publicUrl), ...names])];
  return {
    trust: () => authority.bundle,
    async run(signal) {
      const current = () => authority.current;
      const handing = { authority: current, names: all, dir, clock, log, signal };
      await Promise.all([authority.run(signal), handOverServingCertificates(handing)]);
    },
    async settle() {
      await authority.settle();
    },
    lead: (signal) => authority.lead(signal),
  };
}

/** As a certificate names it. */
function hostOf(url: string): string {
  const { hostname } = new URL(url);
  const bare = hostname.replace(/^\[|\]$/g, '');
  return isIPv6(bare) ? bare : hostname;
}
