import type { Clock } from "../clock.ts";

/**
 * When a request may go: resolves with what its end is told by, or `undefined` where that would not be before `until` on
 * the monotonic clock.
 */
export type Pace = (until: number) => Promise<(() => void) | undefined>;

/** One request after another, in the order in which they were asked for. */
export function oneAtATime(clock: Clock): Pace {
  let last: Promise<void> = Promise.resolve();
  return async (until) => {
    const before = last;
    const { promise, resolve } = Promise.withResolvers<void>();
    last = before.then(() => promise);
    const givenUp = new AbortController();
    const inTime = await Promise.race([
      before.then(() => true),
      clock.sleep(until - clock.monotonic(), givenUp.signal).then(() => false),
    ]);
    givenUp.abort();
    if (inTime) return resolve;
    resolve();
    return undefined;
  };
}

/** At most so many requests a second, of which `burst` may go at once after a rest. */
export function atMost(perSecond: number, burst: number, clock: Clock): Pace {
  const stepMs = 1_000 / perSecond;
  let restedAt = Number.NEGATIVE_INFINITY;
  return async (until) => {
    const now = clock.monotonic();
    const from = Math.max(restedAt, now);
    const waitMs = Math.max(0, from - (burst - 1) * stepMs - now);
    if (now + waitMs >= until) return undefined;
    restedAt = from + stepMs;
    if (waitMs > 0) await clock.sleep(waitMs);
    return () => {};
  };
}
