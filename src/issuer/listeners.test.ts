import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { connect as dial } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConnectionOptions, connect, type PeerCertificate } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { eventually } from '../../test/support/eventually.ts';
import { DAY } from '../api/constants.ts';
import { type Certified, issueServingCertificate, makeAuthority } from '../keys/authority.ts';
import { createLog } from '../telemetry/log.ts';
import { createRegistry } from '../telemetry/metrics.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import { type Listeners, openListeners } from './listeners.ts';

const now = Date.now();
const authority = await makeAuthority({ lifetime: 730 * DAY, now });
const names = ['localhost', '127.0.0.1'];
const issue = (at = now) => issueServingCertificate(authority, { names, lifetime: DAY, now: at });

/** Both listeners, and the folder with the certificate, which is empty at first. */
class Place implements AsyncDisposable {
  readonly dir = mkdtempSync(join(tmpdir(), 'signet-listeners-'));
  readonly lines: string[] = [];
  readonly registry = createRegistry();
  #listeners: Listeners | undefined;

  get listeners(): Listeners {
    if (this.#listeners === undefined) throw new Error('not open');
    return this.#listeners;
  }

  async open(): Promise<this> {
    const write = (line: string) => this.lines.push(line);
    this.#listeners = await openListeners(
      (_request, response) => response.end('hello'),
      {
        https: { address: '127.0.0.1:0', certificateDir: this.dir },
        plain: { address: '127.0.0.1:0' },
      },
      {
        clock: Date.now,
        log: createLog({ component: 'issuer', destination: { write } }),
        registry: this.registry,
        limits: DEFAULT_LIMITS,
        onDrop: () => {},
      },
    );
    return this;
  }

  /** One file after the other, each by rename. */
  put({ certificate, privateKey }: Certified): void {
    const files = { 'tls.crt': certificate, 'tls.key': privateKey.exportPem() };
    for (const [name, content] of Object.entries(files)) {
      writeFileSync(join(this.dir, `${name}.new`), content);
      renameSync(join(this.dir, `${name}.new`), join(this.dir, name));
    }
  }

  /** As the kubelet does. */
  swap({ certificate, privateKey }: Certified, version: string): void {
    mkdirSync(join(this.dir, version));
    writeFileSync(join(this.dir, version, 'tls.crt'), certificate);
    writeFileSync(join(this.dir, version, 'tls.key'), privateKey.exportPem());
    symlinkSync(version, join(this.dir, '..data.new'));
    renameSync(join(this.dir, '..data.new'), join(this.dir, '..data'));
  }

  get port(): number {
    return Number(this.listeners.https?.split(':').at(-1));
  }

  /** The certificate that a new connection meets, verified. */
  met(options: ConnectionOptions = {}): Promise<PeerCertificate> {
    return new Promise((resolve, reject) => {
      const where = { host: '127.0.0.1', port: this.port, ca: authority.certificate };
      const socket = connect({ ...where, ...options }, () => {
        resolve(socket.getPeerCertificate());
        socket.destroy();
      });
      socket.once('error', reject);
    });
  }

  /** Waits until new connections meet this one. */
  async serves({ certificate }: Certified): Promise<void> {
    await eventually(async () => {
      const { raw } = await this.met();
      expect(certificate.replaceAll('\n', '')).toContain(raw.toString('base64'));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.listeners.close(100);
    rmSync(this.dir, { recursive: true });
  }
}

// Each waits for the next look at the folder: together, they wait once.
describe.concurrent('the HTTPS listener', () => {
  it('waits for its certificate, says which file is missing, and serves once it is there', async () => {
    await using place = await new Place().open();
    const { listeners, dir } = place;
    expect(listeners.ready()).toMatch(`cannot read ${join(dir, 'tls.crt')} (ENOENT): mount`);
    await expect(place.met()).rejects.toThrow(/handshake failure/);
    expect(await (await fetch(`http://${listeners.plain}`)).text()).toBe('hello');
    const pair = await issue();
    writeFileSync(join(dir, 'tls.crt'), pair.certificate);
    await eventually(() => /tls\.key \(ENOENT\)/.test(String(listeners.ready())));
    place.put(pair);
    await eventually(() => listeners.ready() === true);
    await place.serves(pair);
    // One that nobody has written yet is no fault of anybody's.
    expect(await place.registry.metrics()).not.toContain('loads_total{result="refused"}');
  });

  it('takes a new certificate, whether files are renamed or a symbolic link is swapped', async () => {
    await using place = await new Place().open();
    place.swap(await issue(), '..1');
    for (const name of ['tls.crt', 'tls.key']) {
      symlinkSync(join('..data', name), join(place.dir, name));
    }
    const second = await issue();
    place.swap(second, '..2');
    await place.serves(second);
    const third = await issue();
    place.put(third);
    await place.serves(third);
  });

  it('keeps the last good certificate when a broken one comes, and says so', async () => {
    await using place = await new Place().open();
    const { dir, lines, listeners, registry } = place;
    const good = await issue();
    place.put(good);
    await place.serves(good);
    const ended = await issue(now - 10 * DAY);
    const { privateKey } = await issue();
    const broken: readonly [string, () => void][] = [
      ['tls.crt holds no PEM certificate', () => writeFileSync(join(dir, 'tls.crt'), 'x')],
      ['tls.key is not the key of tls.crt', () => place.put({ ...good, privateKey })],
      ['tls.crt ended on', () => place.put(ended)],
    ];
    for (const [fault, damage] of broken) {
      damage();
      await eventually(() => lines.some((line) => line.includes(fault)));
      await place.serves(good);
      expect(listeners.ready()).toBe(true);
    }
    const text = await registry.metrics();
    expect(text).toMatch(/signet_tls_certificate_loads_total\{result="refused"\} [3-9]/);
    expect(text).toContain(`_expiry_timestamp_seconds ${good.notAfter / 1_000}`);
    expect(lines.join()).not.toContain('PRIVATE');
    const mended = await issue();
    place.put(mended);
    await place.serves(mended);
  });

  it('speaks TLS 1.2 and 1.3, and nothing older', async () => {
    await using place = await new Place().open();
    const pair = await issue();
    place.put(pair);
    await place.serves(pair);
    await place.met({ maxVersion: 'TLSv1.2' });
    await place.met({ minVersion: 'TLSv1.3' });
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1' } as const;
    await expect(place.met({ ...old, ciphers: 'DEFAULT@SECLEVEL=0' })).rejects.toThrow(
      /alert protocol version/,
    );
  });

  it('leaves open connections alone when the certificate changes', async () => {
    await using place = await new Place().open();
    place.put(await issue());
    await eventually(() => place.listeners.ready() === true);
    const socket = connect({ host: '127.0.0.1', port: place.port, ca: authority.certificate });
    const second = await issue();
    place.put(second);
    await place.serves(second);
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const call = request({ host: '127.0.0.1', createConnection: () => socket }, (answer) => {
        resolve(answer.resume().statusCode);
      });
      call.once('error', reject).end();
    });
    expect(status).toBe(200);
  });

  it('closes though a client never ends its handshake', async () => {
    const place = await new Place().open();
    const mute = dial(place.port, '127.0.0.1');
    await new Promise((resolve) => mute.once('connect', resolve));
    const startedAt = performance.now();
    await place[Symbol.asyncDispose]();
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    mute.destroy();
  });
});
