import fc from "fast-check";
import { expect, it } from "vitest";
import { wrongs } from "./model/check.ts";
import { play } from "./model/play.ts";
import { scripts } from "./model/script.ts";

const runs = 1000;
/** Always the same scripts, so that a change is judged by what it changes; another seed looks further. */
const seed = 7;

it.each([
  { what: "a tag", cast: "tag" },
  { what: "commits and a channel", cast: "commits" },
  { what: "both", cast: "both" },
] as const)(
  "whatever happens to what follows $what, nothing is done that may not be, and what rests says why",
  async ({ cast }) => {
    await fc.assert(
      fc.asyncProperty(scripts(cast), fc.scheduler(), async (script, scheduler) => {
        const played = await play(script, scheduler);
        expect(await wrongs(played, script)).toEqual([]);
        await played.here.close();
      }),
      { numRuns: runs, seed },
    );
  },
  300_000,
);
