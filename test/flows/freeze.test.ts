import { describe, expect, it } from "vitest";
import type { Order } from "../../shared/domain/order.ts";
import { newBudget } from "../../shared/flows/deps.ts";
import { fullRun } from "../../shared/flows/full-run.ts";
import { sweep } from "../../shared/flows/sweep.ts";
import { freezeEnds } from "../../shared/freeze.ts";
import { channelRule, imageWorld } from "./image-world.ts";
import { digestOf, type World, type WorldOptions, world } from "./world.ts";

const hourMs = 3_600_000;

/** A freeze that can be begun, for an hour; and what a world has to know of it. */
function freezer() {
  let endMs = 0;
  return {
    begin: (here: World) => {
      endMs = here.clock.now() + hourMs;
      return endMs;
    },
    frozenUntil: (_target: string, nowMs: number) => (nowMs < endMs ? endMs : undefined),
  };
}

/** A world in which nothing may be deployed for an hour from now. */
function frozen(options: WorldOptions = {}): World & { readonly endMs: number } {
  const { begin, frozenUntil } = freezer();
  const here = world({ ...options, frozenUntil });
  return { ...here, endMs: begin(here) };
}

async function pushed(here: World, letter: string): Promise<void> {
  here.push(letter);
  await here.deliver(here.hear(`push ${letter}`, letter), here.instance());
}

let orders = 0;

async function given(here: World, order: Order) {
  const event = `order-${++orders}`;
  const message = { kind: "order", event, heardMs: here.clock.now(), by: "ann", order } as const;
  await here.deliver(message, here.instance());
  return (await here.ledger.get("events", event))?.value;
}

const web = "swarm/web";
const written = (here: World) => here.target.writes.map(({ image }) => image.slice(image.indexOf("@") + 1));

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

  it("is looked after also when it ends just when a look at the tag would be repeated", async () => {
    let endMs = 0;
    const here = world({ frozenUntil: (_target, nowMs) => (nowMs < endMs ? endMs : undefined) });
    endMs = here.clock.now() + 60_000;
    for (const letter of ["b", "c"]) await pushed(here, letter);
    here.clock.set(endMs);
    await here.settle();
    expect(written(here)).toEqual([digestOf("c")]);
  });

  it("turns three builds into one look when it ends, at the newest; the channel's tag moves meanwhile", async () => {
    const { begin, frozenUntil } = freezer();
    const here = imageWorld({ channels: [channelRule("prod")], frozenUntil });
    await here.built("m1");
    await here.settle();
    const endMs = begin(here);
    for (const name of ["m2", "m3", "m4"]) await here.built(name);
    await here.minutes(5);
    expect([here.runs(), here.at("prod")]).toEqual(["m1, replaced 0 times", "m4"]);
    here.clock.set(endMs);
    await here.settle();
    expect([here.runs(), here.at("prod")]).toEqual(["m4, replaced 1 times", "m4"]);
  });

  it("lets a rollback through, and a rollout that fails in it is undone", async () => {
    const { begin, frozenUntil } = freezer();
    const here = world({ frozenUntil });
    await pushed(here, "b");
    await here.settle();
    begin(here);
    expect(await given(here, { do: "rollback", workload: web, until: "next" })).toMatchObject({
      outcome: "ordered",
    });
    expect(written(here)).toEqual([digestOf("b"), digestOf("a")]);

    const other = freezer();
    const there = world({
      frozenUntil: other.frozenUntil,
      turn: async (label) => {
        if (label === "update answered" && there.target.writes.length === 1) other.begin(there);
      },
    });
    await pushed(there, "X");
    expect(there.clock.now()).toBeLessThan(Date.UTC(2026, 0, 5, 12) + hourMs);
    expect(written(there)).toEqual([digestOf("X"), digestOf("a")]);
  });

  it("refuses what a person deploys, and says until when", async () => {
    const here = frozen();
    here.push("b");
    const image = "docker.io/acme/web";
    const deploy = { do: "deploy", workload: web, image, tag: "v1", until: "next" } as const;
    expect(await given(here, deploy)).toMatchObject({
      outcome: "refused",
      detail: `swarm is frozen until ${new Date(here.endMs).toISOString()}: order it then; only a rollback goes through a freeze`,
    });
    expect(here.target.writes).toEqual([]);
    here.clock.set(here.endMs);
    expect((await given(here, deploy))?.outcome).toBe("ordered");
    expect(written(here)).toEqual([digestOf("b")]);
  });

  it("keeps a full run from deploying; the next one after it repairs", async () => {
    const { begin, frozenUntil } = freezer();
    const here = world({ frozenUntil });
    await pushed(here, "b");
    await here.settle();
    here.push("c");
    const endMs = begin(here);
    const run = async () => {
      const deps = here.instance();
      const done = await fullRun(deps, { dryRun: false, adopt: false, by: "timer" }, newBudget(deps.clock));
      return done.kind === "report" ? done.rows?.map(({ verdict, reason }) => [verdict, reason]) : done;
    };
    const until = `frozen: until ${new Date(endMs).toISOString()}`;
    expect(await run()).toEqual([["missed", until]]);
    expect(written(here)).toEqual([digestOf("b")]);
    here.clock.set(endMs);
    expect(await run()).toEqual([["missed", undefined]]);
    expect(written(here)).toEqual([digestOf("b"), digestOf("c")]);
  });

  it.each([
    { name: "before it was claimed", when: "planned", options: { maxParallel: 0 } },
    { name: "before it was written", when: "applying", options: {} },
  ])(
    "that begins after a plan $name takes it back: the newest is deployed when it ends, and nothing before",
    async ({ when, options }) => {
      const { begin, frozenUntil } = freezer();
      let endMs = 0;
      const here: World = world({
        ...options,
        frozenUntil,
        turn: async (label) => {
          if (when === "applying" && label === "get asked" && endMs === 0) endMs = begin(here);
        },
      });
      await pushed(here, "b");
      if (when === "planned") {
        endMs = begin(here);
        here.clock.set(here.clock.now() + 60_000);
        await sweep(here.instance(), newBudget(here.clock));
      }
      expect((await here.ledger.get("rollouts", `${web}/1`))?.value).toMatchObject({
        state: "superseded",
        reason: `frozen until ${new Date(endMs).toISOString()}`,
      });
      await pushed(here, "c");
      here.clock.set(endMs);
      const roomy = { ...here.instance(), maxParallel: 4 };
      expect((await sweep(roomy, newBudget(here.clock))).work).toMatchObject([{ kind: "ref" }]);
      expect(written(here)).toEqual([digestOf("c")]);
    },
  );

  it("that begins after a person's order was planned keeps it until it ends", async () => {
    const { begin, frozenUntil } = freezer();
    let endMs = 0;
    const here: World = world({
      frozenUntil,
      turn: async (label) => {
        if (label === "publish" || (label === "get asked" && gets++ === 1)) endMs = begin(here);
      },
    });
    let gets = 0;
    here.push("b");
    await given(here, { do: "deploy", workload: web, image: "docker.io/acme/web", tag: "v1", until: "next" });
    expect(here.target.writes).toEqual([]);
    expect((await here.ledger.get("workloads", web))?.value.open?.note).toContain("frozen until");
    here.clock.set(endMs);
    await sweep(here.instance(), newBudget(here.clock));
    expect(written(here)).toEqual([digestOf("b")]);
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
