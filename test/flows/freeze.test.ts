import { describe, expect, it } from "vitest";
import { newBudget } from "../../shared/flows/deps.ts";
import { sweep } from "../../shared/flows/sweep.ts";
import { freezeEnds } from "../../shared/freeze.ts";
import { digestOf, type World, world } from "./world.ts";

const hourMs = 3_600_000;

/** A world in which nothing may be deployed for an hour from now. */
function frozen(): World & { readonly endMs: number } {
  let endMs = 0;
  const here = world({ frozenUntil: (_target, nowMs) => (nowMs < endMs ? endMs : undefined) });
  endMs = here.clock.now() + hourMs;
  return { ...here, endMs };
}

describe("a freeze", () => {
  it("turns three pushes into one look when it ends, at the newest", async () => {
    const here = frozen();
    for (const letter of ["b", "c", "d"]) {
      here.push(letter);
      await here.deliver(here.hear(`push ${letter}`, letter), here.instance());
    }
    expect(here.target.writes).toEqual([]);
    expect((await here.ledger.due(here.endMs - 1, 10)).map(({ collection }) => collection)).toEqual([]);
    here.clock.set(here.endMs);
    const deps = here.instance();
    const { work } = await sweep(deps, newBudget(deps.clock));
    expect(work.map(({ kind }) => kind)).toEqual(["ref"]);
    await here.settle();
    expect(here.target.writes.map(({ image }) => image)).toEqual([`docker.io/acme/web:v1@${digestOf("d")}`]);
  });

  it("tells each workload why it stays", async () => {
    const here = frozen();
    here.push("b");
    await here.deliver(here.hear("e1"), here.instance());
    const event = await here.ledger.get("events", "e1");
    expect(event?.value).toMatchObject({ state: "done", verdicts: [{ kind: "skipped", reason: "frozen" }] });
  });
});

describe("the end of a freeze", () => {
  const at = (text: string) => Date.parse(text);
  const fridays = { cron: "0 18 * * 5", durationMs: 60 * hourMs };

  it.each([
    { name: "is unknown before it begins", now: "2026-11-20T20:59:59Z", end: undefined },
    { name: "is known from its first moment", now: "2026-11-20T21:00:00Z", end: "2026-11-23T09:00:00Z" },
    { name: "stays the same", now: "2026-11-22T12:00:00Z", end: "2026-11-23T09:00:00Z" },
    { name: "is no part of it", now: "2026-11-23T09:00:00Z", end: undefined },
  ])("$name", ({ now, end }) => {
    const ends = freezeEnds([{ ...fridays, timezone: "America/Argentina/Buenos_Aires" }]);
    expect(ends("any", at(now))).toBe(end === undefined ? undefined : at(end));
  });

  it("counts elapsed time where clocks are changed in it", () => {
    const ends = freezeEnds([{ ...fridays, timezone: "Europe/Berlin" }]);
    expect(ends("any", at("2026-10-23T16:00:00Z"))).toBe(at("2026-10-26T04:00:00Z"));
    expect(ends("any", at("2026-03-27T17:00:00Z"))).toBe(at("2026-03-30T05:00:00Z"));
  });

  it("holds for the targets that it names, and is that of the last where several follow each other", () => {
    const daily = { cron: "0 12 * * *", durationMs: 13 * hourMs, timezone: "UTC", targets: ["prod"] };
    const nightly = { cron: "0 0 * * *", durationMs: 6 * hourMs, timezone: "UTC" };
    const ends = freezeEnds([daily, nightly]);
    expect(ends("prod", at("2026-01-05T13:00:00Z"))).toBe(at("2026-01-06T06:00:00Z"));
    expect(ends("int", at("2026-01-05T13:00:00Z"))).toBeUndefined();
  });

  it("cannot be told of an expression that never begins", () => {
    expect(() => freezeEnds([{ ...fridays, cron: "0 0 30 2 *", timezone: "UTC" }])).toThrow(
      "freezes[0].cron",
    );
  });
});
