import { styleText } from 'node:util';
import { invoke } from '../controlplane/clients.ts';
import type { Cluster } from '../controlplane/cluster.ts';

/** Tells what is done: the command that a user would type, and what it printed. */
export interface Story {
  /** The folder that the commands run in. */
  readonly dir: string;
  /** Types a kubectl command. @returns what it printed. @throws CommandError when it fails. */
  kubectl(args: readonly string[]): Promise<string>;
  /** Types any other command. @returns what it printed. @throws CommandError when it fails. */
  command(program: string, args: readonly string[]): Promise<string>;
  /** Shows what was done by a program of ours, in words, and what came of it. */
  show(action: string, outcome: string): void;
  /** Says what has been proved. */
  verified(what: string): void;
}

type Style = Parameters<typeof styleText>[0];

/** Colour only where a person looks: styleText asks the stream, and NO_COLOR. */
function styled(style: Style, text: string): string {
  return styleText(style, text, { stream: process.stdout });
}

export function heading(text: string): void {
  console.log(`\n${styled('bold', text)}`);
}

export function failure(text: string): void {
  console.log(`\n${styled('red', text)}`);
}

export function verified(text: string): void {
  console.log(`  ${styled('green', '✓')} ${text}`);
}

/** A story that goes on in `dir`, in the eyes of the cluster's admin. */
export function tell(cluster: Cluster, dir: string): Story {
  const typed = (words: readonly string[]): void => {
    console.log(`  ${styled('cyan', `$ ${words.map(quote).join(' ')}`)}`);
  };
  const printed = (output: string): string => {
    const text = output.trim();
    if (text !== '') console.log(text.replaceAll(/^/gm, '    '));
    return text;
  };
  return {
    dir,
    async kubectl(args) {
      typed(['kubectl', ...args]);
      const { stdout } = await cluster.kubectl(args, { cwd: dir });
      return printed(stdout);
    },
    async command(program, args) {
      typed([program, ...args]);
      const { stdout, stderr } = await invoke(program, args, process.env, { cwd: dir });
      return printed(stdout + stderr);
    },
    show(action, outcome) {
      console.log(`  ${styled('cyan', `> ${action}`)}`);
      printed(outcome);
    },
    verified,
  };
}

/** As it must be typed in a shell. */
export function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
