// Chance that can be repeated: the same seed makes the same choices.

/** Dice for a seed and what they are thrown for, so that one thrower does not disturb another. */
export function dice(seed, purpose) {
  let state = seed;
  for (const letter of purpose) state = Math.imul(state ^ letter.codePointAt(0), 0x9e3779b1);
  // Mulberry32.
  const fraction = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    chance: (probability) => fraction() < probability,
    between: (least, most) => least + fraction() * (most - least),
    below: (count) => Math.floor(fraction() * count),
    oneOf: (things) => things[Math.floor(fraction() * things.length)],
    /** One of the keys, as likely as its value says. */
    weighed(weights) {
      let rest = fraction() * Object.values(weights).reduce((sum, weight) => sum + weight);
      return Object.keys(weights).find((key) => (rest -= weights[key]) < 0);
    },
  };
}
