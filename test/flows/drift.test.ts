import { describe, expect, it } from "vitest";
import { newBudget } from "../../shared/flows/deps.ts";
import { type FullRunOrder, fullRun } from "../../shared/flows/full-run.ts";
import { digestOf, tag, type World, world } from "./world.ts";

const order: FullRunOrder = { dryRun: false, adopt: false, by: "test" };

async function run(here: World, more: Partial<FullRunOrder> = {}) {
  const deps = here.instance();
  const done = await fullRun(deps, { ...order, ...more }, newBudget(deps.clock));
  if (done.kind === "busy") throw new Error("another run is under way");
  await here.settle();
  return done;
}

/** A world whose workloads were deployed by an event. */
async function deployed(letter = "b"): Promise<World> {
  const here = world({ workloads: ["web", "api"] });
  here.push(letter);
  here.undelivered.push(here.hear("e1"));
  await here.settle();
  return here;
}

describe("a full run", () => {
  it("repairs what a lost event left behind, once", async () => {
    const here = await deployed();
    here.push("c");
    const first = await run(here);
    expect(first.report.counts).toEqual({ missed: 2 });
    expect(first.rows?.every(({ seq }) => seq !== undefined)).toBe(true);
    for (const name of ["web", "api"]) expect(here.target.imageOf(name)).toContain(digestOf("c"));
    const writes = here.target.writes.length;
    const second = await run(here);
    expect(second.report.counts).toEqual({ "in-sync": 2 });
    expect(here.target.writes).toHaveLength(writes);
  });

  it("leaves what it knows nothing of as it is, run after run, until somebody adopts it", async () => {
    const here = world({ workloads: ["web"] });
    here.push("b");
    for (let times = 0; times < 2; times++) {
      expect((await run(here)).report.counts).toEqual({ new: 1 });
    }
    expect(here.target.writes).toEqual([]);
    expect((await run(here, { adopt: true })).report.counts).toEqual({ new: 1 });
    expect(here.target.imageOf("web")).toContain(digestOf("b"));
  });

  it("repairs what was behind from the start once something newer is wanted", async () => {
    const here = world({ workloads: ["web"] });
    here.push("b");
    await run(here);
    here.push("c");
    expect((await run(here)).report.counts).toEqual({ missed: 1 });
    expect(here.target.imageOf("web")).toContain(digestOf("c"));
  });

  it("repairs what was wanted from the start, and what a person brought there, once a push is lost", async () => {
    const here = world({ workloads: ["web"] });
    here.push("a");
    expect((await run(here)).report.counts).toEqual({ "in-sync": 1 });
    here.push("b");
    here.target.create("web", `acme/web:${tag}@${digestOf("b")}`, { tasks: 2 });
    expect((await run(here)).report.counts).toEqual({ "in-sync": 1 });
    here.push("c");
    expect((await run(here)).report.counts).toEqual({ missed: 1 });
    expect(here.target.imageOf("web")).toContain(digestOf("c"));
  });

  it("repairs what was deployed once, and what a person brought to what was wanted since, once a push is lost", async () => {
    const here = await deployed();
    here.push("c");
    for (const name of ["web", "api"]) {
      here.target.create(name, `acme/web:${tag}@${digestOf("c")}`, { tasks: 2 });
    }
    expect((await run(here)).report.counts).toEqual({ "in-sync": 2 });
    here.push("d");
    expect((await run(here)).report.counts).toEqual({ missed: 2 });
    for (const name of ["web", "api"]) expect(here.target.imageOf(name)).toContain(digestOf("d"));
  });

  it("leaves what a person changed, until somebody adopts it", async () => {
    const here = await deployed();
    here.target.create("web", `acme/web:${tag}@${digestOf("z")}`, { tasks: 2 });
    for (let times = 0; times < 3; times++) {
      expect((await run(here)).report.counts).toEqual({ "changed-outside": 1, "in-sync": 1 });
    }
    expect(here.target.imageOf("web")).toContain(digestOf("z"));
    await run(here, { adopt: true });
    expect(here.target.imageOf("web")).toContain(digestOf("b"));
  });

  it("shows the same rows in a dry run, and changes nothing", async () => {
    const here = await deployed();
    here.push("c");
    const dry = await run(here, { dryRun: true });
    expect(dry.report.counts).toEqual({ missed: 2 });
    for (const name of ["web", "api"]) expect(here.target.imageOf(name)).toContain(digestOf("b"));
  });

  it("lets one go on at a time", async () => {
    const here = await deployed();
    const deps = here.instance();
    const both = await Promise.all([
      fullRun(deps, order, newBudget(deps.clock)),
      fullRun(deps, order, newBudget(deps.clock)),
    ]);
    expect(both.map(({ kind }) => kind).toSorted()).toEqual(["busy", "report"]);
  });
});
