/** What Linux says that a process uses (proc_pid_stat(5), proc_pid_status(5)). */
import { readFileSync } from 'node:fs';

/** Clock ticks a second of /proc, on every architecture that Node runs on. */
const TICKS = 100;
/** Behind the name, which may itself hold spaces: state is the first field, utime the twelfth. */
const UTIME = 11;
const STIME = 12;

/** User and system time since the process began, in milliseconds (to 10). */
export function cpuMilliseconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[UTIME]) + Number(fields[STIME])) * 1_000) / TICKS;
}

/** Resident memory in MB (10^6 bytes). */
export function residentMegabytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const [, kibibytes] = /^VmRSS:\s*(\d+) kB$/m.exec(status) ?? [];
  if (kibibytes === undefined) throw new Error(`process ${pid} has no memory: has it ended?`);
  return (Number(kibibytes) * 1_024) / 1e6;
}
