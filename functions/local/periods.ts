import type { Clock } from "../../shared/clock.ts";

/**
 * Tells whether another period has begun since it was last asked: by the clock on the wall, so that a process that is
 * often started anew gets its turn too, and none has one at its start.
 */
export function periods(clock: Pick<Clock, "now">, lengthMs: number): () => boolean {
  const current = () => Math.floor(clock.now() / lengthMs);
  let last = current();
  return () => {
    const now = current();
    const isNew = now !== last;
    last = now;
    return isNew;
  };
}
