import { expect, it } from "vitest";
import { periods } from "../../functions/local/periods.ts";

const minute = 60_000;
const noon = Date.UTC(2026, 0, 5, 12);

it.each<[name: string, startMs: number, at: readonly number[]]>([
  ["at the start of a period", noon, [15, 30]],
  ["in the middle of one", noon + 7.5 * minute, [8, 23]],
  ["at the end of one", noon + 14.9 * minute, [1, 16]],
])(
  "a process that starts %s has its turns by the clock on the wall, and none at its start",
  (_name, startMs, at) => {
    let nowMs = startMs;
    const isNew = periods({ now: () => nowMs }, 15 * minute);
    const turns = [];
    for (let minutes = 0; minutes <= 30; minutes++) {
      nowMs = startMs + minutes * minute;
      if (isNew()) turns.push(minutes);
    }
    expect(turns).toEqual(at);
  },
);
