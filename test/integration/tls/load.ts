/** Clients that go on asking, one request after the other, and remember what went wrong. */
export interface Load {
  /** Requests that were answered as they should be. */
  readonly answered: number;
  /** Ends it. @returns what every other request came to. */
  stop(): Promise<readonly string[]>;
}

/** @param calls - asked in turn by each client; any status but 200 is a failure. */
export function startLoad(clients: number, calls: readonly (() => Promise<Response>)[]): Load {
  const failures: string[] = [];
  let answered = 0;
  let running = true;
  const ask = async (call: () => Promise<Response>): Promise<void> => {
    try {
      const response = await call();
      const body = await response.text();
      if (response.status === 200) answered += 1;
      else failures.push(`${response.status} ${body}`);
    } catch (error) {
      const { message, cause } = error instanceof Error ? error : new Error(String(error));
      failures.push(`${message}: ${String(cause)}`);
    }
  };
  const working = Array.from({ length: clients }, async () => {
    while (running) for (const call of calls) await ask(call);
  });
  return {
    get answered() {
      return answered;
    },
    async stop() {
      running = false;
      await Promise.all(working);
      return failures;
    },
  };
}
