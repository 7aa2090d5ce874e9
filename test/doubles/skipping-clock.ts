import { type Clock, systemClock } from "../../shared/clock.ts";

/** The machine's clock, on which nobody waits: who sleeps is further on at once. */
export function skippingClock(): Clock & {
  /** What was slept in all, ms. */
  readonly sleptMs: number;
} {
  let sleptMs = 0;
  return {
    now: () => systemClock.now() + sleptMs,
    monotonic: () => systemClock.monotonic() + sleptMs,
    sleep: async (ms) => {
      sleptMs += Math.max(0, ms);
    },
    get sleptMs() {
      return sleptMs;
    },
  };
}
