import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { EventDocument } from "../../shared/ledger/ledger.ts";
import type { Graph } from "../contracts/history-graphs.ts";
import { type ModelHistory, modelHistory } from "../doubles/model-history.ts";
import { channelRule, type ImageWorld, imageWorld, line, repository } from "./image-world.ts";
import { digestOf } from "./world.ts";

/** What main is after somebody has forced it: nothing of the old line is there any more. */
const rewritten: Graph = {
  name: "rewritten",
  commits: ["r1", "r2 r1", "r3 r2", "r4 r3"].map((each, index) => {
    const [name = "", ...parents] = each.split(" ");
    return { name, parents, atS: 1_800_000_000 + index };
  }),
  branches: { main: "r4" },
};

interface Here extends ImageWorld {
  forcePush(): void;
  accept(name: string, event?: string): Promise<EventDocument | undefined>;
}

/** A world whose main can be forced. */
function here(): Here {
  const [before, after] = [modelHistory(line), modelHistory(rewritten)];
  let current: ModelHistory = before;
  const history: ModelHistory = Object.assign(Object.create(before), {
    order: (...asked: Parameters<ModelHistory["order"]>) => current.order(...asked),
  });
  const workloads = { web: `acme/web:prod@${digestOf("m1")}`, head: `acme/web:m1@${digestOf("m1")}` };
  const world = imageWorld({ channels: [channelRule("prod")], workloads, history });
  let orders = 0;
  return Object.assign(world, {
    forcePush: () => {
      current = after;
    },
    accept: async (name: string, event = `accept-${++orders}`) => {
      const order = { do: "accept", image: repository, tag: world.id(name) } as const;
      const message = { kind: "order", event, heardMs: world.clock.now(), by: "ann", order } as const;
      await world.deliver(message, world.instance());
      return world.event(event);
    },
  });
}

async function built(world: Here, ...names: readonly string[]): Promise<void> {
  for (const name of names) {
    await world.built(name);
    await world.settle();
  }
}

describe("a build that a person accepts", () => {
  it("is the head after a force-push; what was held back is judged against it", async () => {
    const world = here();
    await built(world, "m1", "m2");
    world.forcePush();
    await built(world, "r3", "r1", "r2");
    expect([world.at("prod"), (await world.buildEvent("r3"))?.outcome]).toEqual(["m2", "held-back"]);

    const { generation = 0 } = (await world.image())?.head ?? {};
    expect(await world.accept("r1")).toMatchObject({ outcome: "ordered", by: "ann" });
    await world.settle();
    expect(
      [world.at("prod"), world.runs("web"), world.runs("head")].map((each) => each?.slice(0, 2)),
    ).toEqual(["r3", "r3", "r3"]);
    expect((await world.image())?.head?.generation).toBeGreaterThan(generation);
    const outcomes = await Promise.all(["r1", "r2", "r3"].map((name) => world.buildEvent(name)));
    expect(outcomes.map((event) => event?.state)).toEqual(["done", "done", "done"]);
    expect(outcomes.map((event) => event?.outcome)).not.toContain("held-back");
    await built(world, "r4");
    expect(world.at("prod")).toBe("r4");
  });

  it("leads to the newest commit that was built, whatever the order", async () => {
    const names = ["r1", "r2", "r3", "r4"];
    const anything = fc.record({
      builds: fc.shuffledSubarray(names, { minLength: 1 }),
      at: fc.nat(3),
      which: fc.nat(3),
    });
    await fc.assert(
      fc.asyncProperty(anything, async ({ builds, at, which }) => {
        const world = here();
        await built(world, "m1", "m2");
        world.forcePush();
        const first = builds.slice(0, 1 + (at % builds.length));
        for (const name of first) await world.built(name);
        await world.accept(first[which % first.length] ?? "");
        for (const name of builds.slice(first.length)) await world.built(name);
        await world.settle();
        const newest = builds.toSorted().at(-1);
        expect([world.at("prod"), world.runs("head").slice(0, 2)]).toEqual([newest, newest]);
        await world.close();
      }),
      { numRuns: 60 },
    );
  });

  it("may be older than the head: what runs goes back there", async () => {
    const world = here();
    await built(world, "m1", "m2", "m3");
    await world.accept("m2");
    await world.settle();
    expect([world.at("prod"), world.runs("web").slice(0, 2)]).toEqual(["m2", "m2"]);
    await built(world, "m4");
    expect(world.at("prod")).toBe("m4");
  });

  it("is accepted once, however often the order is delivered", async () => {
    const world = here();
    await built(world, "m1", "m3", "m2");
    const { generation } = (await world.image())?.head ?? { generation: 0 };
    for (let time = 0; time < 3; time++) await world.accept("m2", "same");
    await world.settle();
    expect((await world.image())?.head?.generation).toBe(generation + 1);
    expect((await world.accept("m2"))?.outcome).toBe("already");
  });

  it.each<{ name: string; act: (world: Here) => Promise<unknown>; says: string }>([
    { name: "that nobody has heard of", act: async () => {}, says: "landfall list" },
    {
      name: "that is not in the registry any more",
      act: async (world) => {
        await built(world, "m2", "m1");
        world.registry.forget(digestOf("m1"));
      },
      says: "not in the registry any more",
    },
  ])("is refused when it is one $name", async ({ act, says }) => {
    const world = here();
    await act(world);
    expect(await world.accept("m1")).toMatchObject({
      outcome: "refused",
      detail: expect.stringContaining(says),
    });
  });
});
