const due: (() => void)[] = [];

/**
 * Sends what became ready in one turn of the event loop together, when the turn ends. Each write
 * wakes its reader, which on the same machine costs as much as the rest of the answer: one that is
 * awake from the write before need not be woken.
 */
export function atEndOfTurn(send: () => void): void {
  if (due.push(send) > 1) return;
  setImmediate(() => {
    for (const one of due.splice(0)) one();
  });
}
