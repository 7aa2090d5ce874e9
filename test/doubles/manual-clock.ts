import type { Clock } from "../../shared/clock.ts";

/** A clock that stands still until a test moves it. */
export interface ManualClock extends Clock {
  /** Rings once, `afterMs` later on this clock; the result cancels it. */
  timer(afterMs: number, ring: () => void): () => void;
  /** Moves time, stops at each alarm on the way, and lets what it set off run until it waits again. */
  advance(ms: number): Promise<void>;
  /** How far away the next alarm is, ms; `undefined`: none is set. */
  nextMs(): number | undefined;
  /** Somebody sets the machine's clock by so much, back where negative: alarms and the monotonic clock do not notice. */
  step(ms: number): void;
}

export function manualClock(startMs = Date.UTC(2026, 0, 5, 12)): ManualClock {
  let elapsedMs = 0;
  let steppedMs = 0;
  const alarms = new Set<{ readonly atMs: number; readonly ring: () => void }>();

  function timer(afterMs: number, ring: () => void): () => void {
    const alarm = { atMs: elapsedMs + afterMs, ring };
    alarms.add(alarm);
    return () => alarms.delete(alarm);
  }

  return {
    now: () => startMs + elapsedMs + steppedMs,
    monotonic: () => elapsedMs,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) return resolve();
        const cancel = timer(ms, resolve);
        signal?.addEventListener("abort", () => {
          cancel();
          resolve();
        });
      }),
    timer,
    nextMs: () => {
      const nextMs = Math.min(...[...alarms].map(({ atMs }) => atMs));
      return nextMs === Infinity ? undefined : Math.max(0, nextMs - elapsedMs);
    },
    step: (ms) => {
      steppedMs += ms;
    },
    advance: async (ms) => {
      const untilMs = elapsedMs + ms;
      await settled();
      for (;;) {
        const [next] = [...alarms].filter(({ atMs }) => atMs <= untilMs).toSorted((a, b) => a.atMs - b.atMs);
        if (next === undefined) break;
        alarms.delete(next);
        elapsedMs = Math.max(elapsedMs, next.atMs);
        next.ring();
        await settled();
      }
      elapsedMs = untilMs;
      await settled();
    },
  };
}

/** Lets promises and immediates that are ready run. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve));
}
