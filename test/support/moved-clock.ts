/**
 * Moves the wall clock of a process, not its monotonic one, by what a file says:
 *
 *   NODE_OPTIONS=--import=<this file>  MOVED_CLOCK=<path of a file with milliseconds>
 *
 * Loaded before the program, which then finds no other clock. Any Node has it; libfaketime has to be
 * installed, and moves what Node reads in some versions and not in others.
 */
import { readFileSync } from 'node:fs';

/** How long a reading of the file is good for, in milliseconds. */
const REREAD = 20;

const file = process.env['MOVED_CLOCK'];
const real = Date.now.bind(Date);
let offset = 0;
let readAt = Number.NEGATIVE_INFINITY;

function moved(): number {
  if (file !== undefined && performance.now() - readAt > REREAD) {
    readAt = performance.now();
    offset = Number(readFileSync(file, 'utf8'));
  }
  return real() + offset;
}

globalThis.Date = new Proxy(Date, {
  construct: (target, args, newTarget) =>
    Reflect.construct(target, args.length === 0 ? [moved()] : args, newTarget),
});
Date.now = moved;
