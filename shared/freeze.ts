import { Cron } from "croner";
import { ConfigError } from "./errors.ts";

/** A time in which nothing is deployed. */
export interface Freeze {
  /** Names of targets; absent: all. */
  readonly targets?: readonly string[];
  readonly cron: string;
  /** How long it lasts from each of its starts, ms of elapsed time: clocks that are changed meanwhile do not stretch it. */
  readonly durationMs: number;
  /** IANA name in which `cron` is read, e.g. `Europe/Berlin`. */
  readonly timezone: string;
}

/** Overlapping starts of one freeze that are followed at most. */
const maxStarts = 1_000;

/**
 * When the freezes of a target that hold now end, ms; `undefined`: nothing holds.
 * @throws ConfigError when an expression cannot be read, or never begins
 */
export function freezeEnds(
  freezes: readonly Freeze[],
): (target: string, nowMs: number) => number | undefined {
  const read = freezes.map((freeze, index) => ({ freeze, cron: cronOf(freeze, index) }));
  return (target, nowMs) => {
    const ends = read
      .filter(({ freeze }) => freeze.targets?.includes(target) ?? true)
      .flatMap(({ freeze, cron }) => endOf(cron, freeze.durationMs, nowMs) ?? []);
    if (ends.length === 0) return undefined;
    // One freeze may begin before another one ends: then both are one.
    const endMs = Math.max(...ends);
    return freezeEndsAgain(read, target, endMs);
  };
}

function cronOf({ cron, timezone }: Freeze, index: number): Cron {
  try {
    const read = new Cron(cron, { paused: true, timezone });
    if (read.nextRun() !== null) return read;
  } catch {
    // Its own words name the value, which does not belong into a log.
  }
  throw new ConfigError([`freezes[${index}].cron: is no cron expression of five fields that ever begins`]);
}

function freezeEndsAgain(
  read: readonly { readonly freeze: Freeze; readonly cron: Cron }[],
  target: string,
  endMs: number,
): number {
  for (let end = endMs, rounds = 0; ; rounds++) {
    const later = read
      .filter(({ freeze }) => freeze.targets?.includes(target) ?? true)
      .flatMap(({ freeze, cron }) => endOf(cron, freeze.durationMs, end) ?? []);
    const next = Math.max(end, ...later);
    if (next === end || rounds >= maxStarts) return end;
    end = next;
  }
}

/** The end of the latest start that still holds at a moment. */
function endOf(cron: Cron, durationMs: number, atMs: number): number | undefined {
  let end: number | undefined;
  let start = cron.nextRun(new Date(atMs - durationMs));
  for (let starts = 0; start !== null && start.getTime() <= atMs && starts < maxStarts; starts++) {
    end = start.getTime() + durationMs;
    start = cron.nextRun(start);
  }
  return end;
}
