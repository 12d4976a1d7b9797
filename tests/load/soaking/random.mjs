// A seeded random number generator: the same seed makes the same choices.

/** A generator for a seed and a purpose. Generators of different purposes are independent. */
export function seededRandom(seed, purpose) {
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
    /** One of the keys, with its value as its weight. */
    weighed(weights) {
      let rest = fraction() * Object.values(weights).reduce((sum, weight) => sum + weight);
      return Object.keys(weights).find((key) => (rest -= weights[key]) < 0);
    },
  };
}
