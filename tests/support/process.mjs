// Memory and open files of a process, from /proc.

import { readdirSync, readFileSync } from 'node:fs';

/** A field of /proc/PID/status in KiB, such as `VmHWM`. NaN if the field is missing. */
export function memory(pid, field) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(status.match(new RegExp(`^${field}:\\s+(\\d+)`, 'm'))?.[1]);
}

/** Resident memory of a process in KiB. */
export function resident(pid) {
  return memory(pid, 'VmRSS');
}

/** Number of open files of a process. */
export function files(pid) {
  return readdirSync(`/proc/${pid}/fd`).length;
}
