// Judges samples of the daemon's memory and its log. Not here: presence (`audit.mjs`).

/** How much more resident memory the last third may have at most than the first, after it has warmed up. */
const MORE = 1.1;
const MORE_KIB = 2 * 1024;

/** What is wrong with samples of resident memory, or null. In a long soak the first of them is only to warm up. */
export function growth(samples) {
  const warm = samples.length > 3 ? samples.slice(1) : samples;
  const third = Math.ceil(warm.length / 3);
  const [first, last] = [Math.max(...warm.slice(0, third)), Math.max(...warm.slice(-third))];
  const bound = Math.round(first * MORE + MORE_KIB);
  return last > bound ? `resident memory grew from ${first} to ${last} KiB, where ${bound} are allowed` : null;
}

/** Lines of the log that should not be there. */
export function complaints(log) {
  const lines = log.split('\n').filter((line) => line !== '');
  return lines.filter((line) => !/"level":"(INFO|DEBUG)"/.test(line));
}
