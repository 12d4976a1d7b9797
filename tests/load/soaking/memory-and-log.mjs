// Checks the daemon's memory and its log. Not here: presence (`audit.mjs`).

/** Allowed growth of resident memory from the first third to the last, after a warm-up: 10 % and 2 MiB. */
const MAX_FACTOR = 1.1;
const MAX_MORE_KIB = 2 * 1024;

/** The error in samples of resident memory, or null. In a long soak the first sample is the warm-up. */
export function growth(samples) {
  const warm = samples.length > 3 ? samples.slice(1) : samples;
  const third = Math.ceil(warm.length / 3);
  const [first, last] = [Math.max(...warm.slice(0, third)), Math.max(...warm.slice(-third))];
  const bound = Math.round(first * MAX_FACTOR + MAX_MORE_KIB);
  return last > bound ? `resident memory grew from ${first} to ${last} KiB, where ${bound} are allowed` : null;
}

/** Lines of the log at `warn` or `error`. */
export function complaints(log) {
  const lines = log.split('\n').filter((line) => line !== '');
  return lines.filter((line) => !/"level":"(INFO|DEBUG)"/.test(line));
}
