import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Stack } from '../stack/stack.ts';
import { secretLines } from './damage.ts';

const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi'] as const;
const PEM = /-----BEGIN PRIVATE KEY-----[\s\S]+?-----END PRIVATE KEY-----/g;

/** Every text by which the private keys in `text` (PKCS#8 PEM) could be seen somewhere (I12). */
export function canariesIn(text: string): readonly string[] {
  return (text.match(PEM) ?? []).flatMap((pem) => {
    const jwk = createPrivateKey(pem).export({ format: 'jwk' });
    const members = PRIVATE_MEMBERS.map((name) => jwk[name]);
    return [...secretLines(pem), ...members.filter((member) => typeof member === 'string')];
  });
}

/** The places in which one of the canaries stands; never the canary itself. */
export function placesWith(
  canaries: Iterable<string>,
  places: Readonly<Record<string, string>>,
): readonly string[] {
  const all = [...canaries];
  return Object.entries(places)
    .filter(([, text]) => all.some((canary) => text.includes(canary)))
    .map(([place]) => place);
}

/** What is known of the private keys of a whole stack, those that were revoked since included. */
export class StackCanaries {
  readonly #stack: Stack;
  readonly #known = new Set<string>();

  constructor(stack: Stack) {
    this.#stack = stack;
  }

  get size(): number {
    return this.#known.size;
  }

  /** Takes every private key that there is now, those of certificates for HTTPS included. */
  async learn(): Promise<void> {
    const { controlPlane, namespace } = this.#stack;
    const ours = ['get', 'secrets', '-n', namespace, '-o', 'json'];
    const { stdout } = await controlPlane.kubectl(ours);
    const { items }: { items: { data?: Record<string, string> }[] } = JSON.parse(stdout);
    for (const { data = {} } of items) {
      for (const value of Object.values(data)) {
        const text = Buffer.from(value, 'base64').toString();
        for (const canary of canariesIn(text)) this.#known.add(canary);
      }
    }
  }

  /** Where any of them can be seen: logs, metrics, and every object but the Secrets themselves. */
  async search(): Promise<readonly string[]> {
    const { controlPlane, controller, issuer } = this.#stack;
    const objects = 'events,configmaps,leases,signingkeysets';
    const all = ['get', objects, '--all-namespaces', '-o', 'yaml'];
    const metrics = [controller, issuer].map(async ({ metricsUrl }) => {
      const answer = await fetch(metricsUrl);
      return answer.text();
    });
    const [controllerMetrics = '', issuerMetrics = ''] = await Promise.all(metrics);
    return placesWith(this.#known, {
      'objects that are no Secrets': (await controlPlane.kubectl(all)).stdout,
      'the log of the controller': readFileSync(controller.logFile, 'utf8'),
      'the log of the issuer': readFileSync(issuer.logFile, 'utf8'),
      'the metrics of the controller': controllerMetrics,
      'the metrics of the issuer': issuerMetrics,
    });
  }
}
