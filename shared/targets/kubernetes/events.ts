import type { EventWire } from "./schema.ts";

/** What the newest of the events that fit says, whole; the scheduler's have no `lastTimestamp`. */
export function newestWords(
  events: readonly EventWire[],
  fits: (event: EventWire) => boolean,
): string | undefined {
  const newest = events
    .filter((event) => (event.message ?? "") !== "" && fits(event))
    .toSorted((one, other) => timeOf(one).localeCompare(timeOf(other)))
    .at(-1);
  return newest?.message ?? undefined;
}

function timeOf({ lastTimestamp, eventTime }: EventWire): string {
  return lastTimestamp ?? eventTime ?? "";
}
