import { createServer, type RequestListener } from 'node:http';
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https';
import type { TlsOptions } from 'node:tls';
import { SECOND } from '../api/constants.ts';
import { type Listening, listen } from '../telemetry/listen.ts';
import type { Log } from '../telemetry/log.ts';
import type { Registry } from '../telemetry/metrics.ts';
import { holdTo, type Limits } from './limits.ts';
import { ServingCertificate } from './serving-certificate.ts';

/** Where the issuer listens; addresses are `host:port`, or `:port` for every interface. */
export interface ListenerOptions {
  /** HTTPS, with everything; absent behind a mesh that does TLS for us. */
  readonly https?: {
    readonly address: string;
    /** A folder with `tls.crt` and `tls.key`, which may come later and change at any time. */
    readonly certificateDir: string;
  };
  /** Plain HTTP. */
  readonly plain: {
    readonly address: string;
    /** Whether endpoints that take or give tokens answer here too. Default: public documents only. */
    readonly credentials?: boolean;
  };
}

interface Surroundings {
  readonly clock: () => number;
  readonly log: Log;
  readonly registry: Registry;
  readonly limits: Limits;
  /** Told of each connection closed because too many are open. */
  readonly onDrop: () => void;
}

export interface Listeners {
  /** `host:port` as bound. */
  readonly https?: string;
  /** `host:port` as bound. */
  readonly plain: string;
  /** Why the issuer cannot be reached by HTTPS yet; true when it can, or is not asked to. */
  ready(): true | string;
  /** Takes nothing more, answers what is in flight, and cuts what is left after `graceMs`. */
  close(graceMs?: number): Promise<void>;
}

/** BCP 195 (RFC 9325): TLS 1.2 with forward secrecy and AEAD, and everything in TLS 1.3. */
const TLS = {
  minVersion: 'TLSv1.2',
  ciphers: [
    'TLS_AES_128_GCM_SHA256',
    'TLS_AES_256_GCM_SHA384',
    'TLS_CHACHA20_POLY1305_SHA256',
    'ECDHE-ECDSA-AES128-GCM-SHA256',
    'ECDHE-RSA-AES128-GCM-SHA256',
    'ECDHE-ECDSA-AES256-GCM-SHA384',
    'ECDHE-RSA-AES256-GCM-SHA384',
    'ECDHE-ECDSA-CHACHA20-POLY1305',
    'ECDHE-RSA-CHACHA20-POLY1305',
  ].join(':'),
} as const satisfies TlsOptions;
const HANDSHAKE = { handshakeTimeout: 10 * SECOND, ALPNProtocols: ['http/1.1'] };

/** Listens on both at once; the certificate may come later. @throws the error of bind. */
export async function openListeners(
  app: RequestListener,
  { https, plain }: ListenerOptions,
  surroundings: Surroundings,
): Promise<Listeners> {
  const { limits, onDrop } = surroundings;
  const open: Listening[] = [];
  const closeAll = async (graceMs?: number): Promise<void> => {
    await Promise.all(open.map((each) => each.close(graceMs)));
  };
  try {
    const clear = createServer(limits, app);
    holdTo(limits, clear, onDrop);
    const http = await listen(clear, plain.address);
    open.push(http);
    if (https === undefined) return { plain: http.address, ready: () => true, close: closeAll };
    const server = createHttpsServer({ ...limits, ...TLS, ...HANDSHAKE }, app);
    holdTo(limits, server, onDrop);
    const secure = await listen(server, https.address);
    open.push(secure);
    const certificate = follow(server, https.certificateDir, surroundings);
    return {
      https: secure.address,
      plain: http.address,
      ready: () => certificate.ready(),
      async close(graceMs) {
        certificate.stop();
        await closeAll(graceMs);
      },
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

/** New connections get the new certificate; those that are open go on with the old one. */
function follow(server: HttpsServer, dir: string, surroundings: Surroundings): ServingCertificate {
  const onChange = (pair: Pick<TlsOptions, 'cert' | 'key'>) =>
    server.setSecureContext({ ...TLS, ...pair });
  const certificate = new ServingCertificate({ dir, onChange, ...surroundings });
  certificate.follow();
  return certificate;
}
