import { brief } from "./answers.ts";
import type { EventWire } from "./schema.ts";

/** What the newest of the events that fit says; the scheduler's have no `lastTimestamp`. */
export function newestWords(
  events: readonly EventWire[],
  fits: (event: EventWire) => boolean,
): string | undefined {
  const words = events
    .filter((event) => (event.message ?? "") !== "" && fits(event))
    .toSorted((one, other) => timeOf(one).localeCompare(timeOf(other)))
    .at(-1)?.message;
  return words === undefined || words === null ? undefined : brief(words);
}

function timeOf({ lastTimestamp, eventTime }: EventWire): string {
  return lastTimestamp ?? eventTime ?? "";
}
