import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Command } from './programs.ts';

/** One process that reads discovery once and verifies tokens for as long as it lives. */
export class Verifier implements Disposable {
  readonly #process: ChildProcess;
  readonly #answers: AsyncIterator<string>;
  #said = '';

  private constructor(process: ChildProcess) {
    const { stdout, stderr } = process;
    if (stdout === null || stderr === null) throw new Error('the verifier has no output');
    this.#process = process;
    this.#answers = createInterface({ input: stdout })[Symbol.asyncIterator]();
    stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#said += text;
    });
  }

  /**
   * @param caFile - what it trusts the issuer's certificate by, PEM.
   * @throws Error with what it printed, when it does not accept the issuer's discovery.
   */
  static async start(
    [program, ...args]: Command,
    issuer: string,
    audience: string,
    caFile: string,
  ): Promise<Verifier> {
    const trust = { SSL_CERT_FILE: caFile, NODE_EXTRA_CA_CERTS: caFile };
    const env = { ...process.env, ...trust };
    const child = spawn(program, [...args, issuer, audience], { env, stdio: 'pipe' });
    const verifier = new Verifier(child);
    const answer = await verifier.#answer();
    if (answer !== 'ready') throw new Error(`${program} said ${answer}`);
    return verifier;
  }

  /** @returns `ok`, or `error` and why. */
  async verify(token: string): Promise<string> {
    this.#process.stdin?.write(`${token}\n`);
    return this.#answer();
  }

  [Symbol.dispose](): void {
    this.#process.kill();
  }

  async #answer(): Promise<string> {
    const { done, value } = await this.#answers.next();
    if (done) throw new Error(`the verifier has ended: ${this.#said}`);
    return value;
  }
}
