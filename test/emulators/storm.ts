/** A push to the registry, or one delivery of its message. */
/** One delivery of a message. */
export interface Delivery {
  readonly kind: "deliver";
  readonly ref: number;
  readonly nth: number;
  readonly attempt: number;
}

export type Step = { readonly kind: "push"; readonly ref: number; readonly nth: number } | Delivery;

/** Mulberry32: the same numbers in [0, 1) for the same seed. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/**
 * Pushes to several tags, and deliveries of their messages, each 1 to 3 times: a message comes after its push, and
 * apart from that in any order.
 */
export function storm(refs: number, pushesEach: number, random: () => number): readonly Step[] {
  const steps: { readonly at: number; readonly step: Step }[] = [];
  for (let ref = 0; ref < refs; ref++) {
    const times = Array.from({ length: pushesEach }, random).toSorted((one, other) => one - other);
    for (const [nth, at] of times.entries()) {
      steps.push({ at, step: { kind: "push", ref, nth } });
      const copies = 1 + Math.floor(random() * 3);
      for (let attempt = 1; attempt <= copies; attempt++) {
        // Most come soon, some long after pushes that were later.
        steps.push({
          at: at - Math.log(1 - random()) * 0.1,
          step: { kind: "deliver", ref, nth, attempt },
        });
      }
    }
  }
  return steps.toSorted((one, other) => one.at - other.at).map(({ step }) => step);
}
