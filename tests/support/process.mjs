// What a process takes of the machine, as Linux tells it.

import { readdirSync, readFileSync } from 'node:fs';

/** A figure of /proc/PID/status in KiB, such as `VmHWM`; NaN if there is none. */
export function memory(pid, field) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(status.match(new RegExp(`^${field}:\\s+(\\d+)`, 'm'))?.[1]);
}

/** Resident memory of a process in KiB. */
export function resident(pid) {
  return memory(pid, 'VmRSS');
}

/** How many files a process has open. */
export function files(pid) {
  return readdirSync(`/proc/${pid}/fd`).length;
}
