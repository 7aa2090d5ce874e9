import type { Clock } from "../../clock.ts";

export interface ServerClock {
  /** The server's time now, ms since the epoch. */
  now(): number;
  /**
   * An answer that carries a server's time.
   * @param serverMs a time that was not yet to come when the answer was sent
   * @param sentMs this machine's time when the question was sent; only for a time that was not before the question came
   */
  heard(serverMs: number, sentMs?: number): void;
}

/**
 * The server's clock without asking for it: each answer bounds how far this machine's clock is off. A commit's time lies
 * between question and answer; that of a read may be older than the question, so it bounds one side only.
 *
 * As long as this machine's own time is possible it is taken as it is, else corrected as little as must be: until the
 * first answer it is believed, after one it is off by at most the duration of the quickest commit.
 */
export function serverClock(clock: Pick<Clock, "now">): ServerClock {
  let leastMs = Number.NEGATIVE_INFINITY;
  let mostMs = Number.POSITIVE_INFINITY;
  return {
    now: () => clock.now() + Math.min(Math.max(0, leastMs), mostMs),
    heard: (serverMs, sentMs) => {
      // Both clocks are read in whole milliseconds.
      const least = serverMs - clock.now() - 1;
      const most = sentMs === undefined ? Number.POSITIVE_INFINITY : serverMs - sentMs + 1;
      leastMs = Math.max(leastMs, least);
      mostMs = Math.min(mostMs, most);
      if (leastMs <= mostMs) return;
      // Bounds that contradict each other: one of the clocks was set since. What was heard last holds.
      leastMs = least;
      mostMs = most;
    },
  };
}
