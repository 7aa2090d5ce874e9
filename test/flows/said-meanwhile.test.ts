import { describe, expect, it } from "vitest";
import type { Order } from "../../shared/domain/order.ts";
import { newBudget } from "../../shared/flows/deps.ts";
import { fullRun } from "../../shared/flows/full-run.ts";
import { digestOf, type World, world } from "./world.ts";

const web = "swarm/web";
const image = "docker.io/acme/web";
const hold = (letter: string): Order & { do: "hold" } => ({ do: "hold", image, digest: digestOf(letter) });
const pause: Order = { do: "pause", workload: web };

let orders = 0;

async function give(here: World, order: Order): Promise<void> {
  const event = `order-${++orders}`;
  const message = { kind: "order", event, heardMs: here.clock.now(), by: "ann", order } as const;
  await here.deliver(message, here.instance());
}

async function pushed(here: World, letter: string): Promise<void> {
  here.push(letter);
  await here.deliver(here.hear(`push-${letter}`, letter), here.instance());
}

const running = (here: World) => here.target.imageOf("web")?.split("@")[1];
const newest = async (here: World) => (await here.ledger.rollouts({}, 1))[0]?.value;

/** A world in which a person gives an order at the first time that something happens. */
function meanwhile(label: string, order: Order): World {
  let isGiven = false;
  const here: World = world({
    turn: async (now) => {
      if (isGiven || now !== label) return;
      isGiven = true;
      await give(here, order);
    },
  });
  return here;
}

describe("a rollout that somebody is about to write", () => {
  it.each<{ name: string; order: Order; reason: string }>([
    { name: "a pause", order: pause, reason: "paused by ann" },
    { name: "a hold of its digest", order: { ...hold("b"), workload: web }, reason: "held by ann: held" },
    { name: "a hold of its digest everywhere", order: hold("b"), reason: "held by ann everywhere" },
  ])("is not written any more after $name that is read before the write", async ({ order, reason }) => {
    const here = meanwhile("get asked", order);
    // What runs is put right in the record before the write: that is where the order is met.
    here.target.change("web", { image: `acme/web:v1@${digestOf("z")}` });
    const list = await here.target.list();
    here.target.change("web", { image: `acme/web:v1@${digestOf("a")}` });
    const deps = here.instance();
    const targets = deps.targets.map((at) => ({ ...at, target: { ...at.target, list: async () => list } }));
    here.push("b");
    await here.deliver(here.hear("push", "b"), { ...deps, targets });
    expect(here.target.writes).toEqual([]);
    expect(await newest(here)).toMatchObject({ state: "superseded", reason });
  });

  it("is undone though a pause came, and tried again by nobody", async () => {
    const here = meanwhile("update answered", pause);
    await pushed(here, "X");
    await here.settle();
    expect(here.target.writes.map(({ image: to }) => to.split("@")[1])).toEqual([
      digestOf("X"),
      digestOf("a"),
    ]);
    expect(running(here)).toBe(digestOf("a"));
  });
});

describe("what a workload goes back to", () => {
  it.each<{ name: string; order: Order }>([
    { name: "for it", order: { ...hold("b"), workload: web } },
    { name: "everywhere", order: hold("b") },
  ])("is nothing that a person holds $name", async ({ order }) => {
    const here = world();
    for (const letter of ["b", "c"]) await pushed(here, letter);
    await give(here, order);
    await give(here, { do: "rollback", workload: web, until: "next" });
    expect(running(here)).toBe(digestOf("a"));
    await pushed(here, "d");
    await give(here, { ...hold("d"), workload: web });
    await pushed(here, "X");
    await here.settle();
    expect(running(here)).toBe(digestOf("a"));
  });

  it("is left as it is where everything is held", async () => {
    const here = world();
    await pushed(here, "b");
    await give(here, hold("a"));
    await give(here, hold("b"));
    await pushed(here, "X");
    await here.settle();
    expect(running(here)).toBe(digestOf("X"));
    expect((await here.ledger.rollouts({}, 10)).map(({ value }) => value.state)).toContain(
      "rollback-unavailable",
    );
  });
});

describe("a rollout that is tried again because of its environment", () => {
  it("leaves alone what a person has changed since", async () => {
    let starts = false;
    const here = world({ starts: () => starts });
    starts = true;
    here.target.change("web", { image: `acme/web:v1@${digestOf("a")}` });
    starts = false;
    await pushed(here, "b");
    starts = true;
    expect((await here.ledger.workloads())[0]?.value.open?.cause.kind).toBe("retry");
    here.target.change("web", { image: `acme/web:v1@${digestOf("h")}` });
    await here.settle();
    expect(running(here)).toBe(digestOf("h"));
    expect(await newest(here)).toMatchObject({ state: "superseded", reason: "changed by someone else" });
  });
});

describe("a dry run", () => {
  it("tells of what is held everywhere, as the run after it does", async () => {
    const here = world();
    await pushed(here, "b");
    await give(here, hold("c"));
    here.push("c");
    for (const dryRun of [true, false]) {
      const deps = here.instance();
      const done = await fullRun(deps, { dryRun, adopt: false, by: "timer" }, newBudget(deps.clock));
      const rows = done.kind === "report" ? done.rows?.map(({ verdict, reason }) => [verdict, reason]) : [];
      expect(rows).toEqual([["skipped", "held: by ann everywhere: held"]]);
    }
  });
});
