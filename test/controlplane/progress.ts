const REDRAW = 250;
const PLAIN_EVERY = 15_000;
const BAR = 24;

/** The display of one long step: a bar on a terminal, a line now and then elsewhere. */
export interface Progress {
  /** Begins a phase of the step. */
  phase(name: string): void;
  /** @param done between 0 and 1; @param detail shown behind the bar. */
  update(done: number, detail: string): void;
  /** A line of its own that stays. */
  say(line: string): void;
  stop(): void;
}

/** Shows progress on standard error until `stop()`. */
export function startProgress(
  title: string,
  stream: NodeJS.WriteStream = process.stderr,
): Progress {
  const started = Date.now();
  let [name, done, detail, drawn] = ['', 0, '', false];
  const erase = (): void => {
    if (drawn) stream.write('\r\u001b[K');
    drawn = false;
  };
  const draw = (): void => {
    if (name === '') return;
    const filled = Math.round(BAR * Math.min(1, done));
    const bar = stream.isTTY ? ` [${'='.repeat(filled)}${' '.repeat(BAR - filled)}]` : '';
    const share = detail === '' ? '' : ` ${Math.floor(done * 100)} % ${detail}`;
    const line = `${title}: ${name}${bar}${share} ${elapsed(Date.now() - started)}`;
    if (!stream.isTTY) stream.write(`${line}\n`);
    else stream.write(`\r\u001b[K${line.slice(0, (stream.columns || 80) - 1)}`);
    drawn = stream.isTTY;
  };
  const timer = setInterval(draw, stream.isTTY ? REDRAW : PLAIN_EVERY);
  timer.unref();
  return {
    phase(next) {
      [name, done, detail] = [next, 0, ''];
    },
    update(value, text) {
      [done, detail] = [value, text];
    },
    say(line) {
      erase();
      stream.write(`${line}\n`);
    },
    stop() {
      clearInterval(timer);
      erase();
    },
  };
}

/** `4:05` */
function elapsed(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1_000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}
