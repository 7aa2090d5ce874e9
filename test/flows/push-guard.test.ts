import { describe, expect, it } from "vitest";
import type { Repository } from "../../shared/domain/reference.ts";
import { newBudget } from "../../shared/flows/deps.ts";
import { type FullRunOrder, fullRun } from "../../shared/flows/full-run.ts";
import { digestOf, type World, world } from "./world.ts";

const names = Array.from({ length: 10 }, (_, n) => `s${n}`);
const repositoryOf = (name: string): Repository => `docker.io/acme/${name}`;

/** Ten services of ten repositories, each deployed by an event. */
async function stack(): Promise<World> {
  const here = world({
    workloads: Object.fromEntries(names.map((name) => [name, `acme/${name}:v1@${digestOf(`${name} 0`)}`])),
  });
  for (const name of names) await release(here, name, "1", "named");
  await here.settle();
  return here;
}

/** A tag moves, and its webhook comes; `other`: the sender says that another digest was pushed. */
async function release(here: World, name: string, letter: string, how: "named" | "unnamed" | "other") {
  here.registry.push(repositoryOf(name), "v1", digestOf(`${name} ${letter}`));
  return hear(here, name, letter, how);
}

async function hear(here: World, name: string, letter: string, how: "named" | "unnamed" | "other") {
  const event = `${name}-${letter}-${how}`;
  const digest = digestOf(how === "other" ? "something else" : `${name} ${letter}`);
  const push = {
    source: "distribution",
    registry: "docker.io",
    repository: `acme/${name}`,
    tag: "v1",
    ...(how === "unnamed" ? {} : { digest }),
  };
  const message = { kind: "push", event, heardMs: here.clock.now(), push } as const;
  await here.deliver(message, here.instance());
  return (await here.ledger.get("events", event))?.value;
}

async function run(here: World, more: Partial<FullRunOrder> = {}) {
  const deps = here.instance();
  const order = { dryRun: false, adopt: false, by: "test", ...more };
  const done = await fullRun(deps, order, newBudget(deps.clock));
  if (done.kind === "busy") throw new Error("another run is under way");
  await here.settle();
  return done;
}

const running = (here: World, letter: string) =>
  names.filter((name) => here.target.imageOf(name)?.includes(digestOf(`${name} ${letter}`)));

describe("the guard of pushes", () => {
  it.each(["named", "unnamed"] as const)(
    "lets ten releases in a row go, of one service each or of all at once (%s)",
    async (how) => {
      const here = await stack();
      for (const letter of ["2", "3"]) {
        for (const name of names) expect((await release(here, name, letter, how))?.outcome).toBe("observed");
        await here.settle();
        expect(running(here, letter)).toEqual(names);
      }
    },
  );

  it("stops what the registry moved to where no sender says that it was pushed, until somebody approves it", async () => {
    const here = await stack();
    const outcomes: (string | undefined)[] = [];
    for (const name of names) outcomes.push((await release(here, name, "mad", "other"))?.outcome);
    await here.settle();
    expect(outcomes.filter((each) => each === "guarded")).toHaveLength(8);
    expect(running(here, "mad")).toHaveLength(2);
    const stopped = await run(here);
    const [plan] = stopped.report.guarded;
    expect(plan).toMatchObject({ target: "swarm", actionable: 8, references: 10 });
    expect(running(here, "mad")).toHaveLength(2);
    await run(here, { approve: plan?.fingerprint ?? "" });
    expect(running(here, "mad")).toEqual(names);
  });

  it("stops a registry that goes back to what it had, though senders name nothing", async () => {
    const here = await stack();
    for (const name of names) await release(here, name, "2", "unnamed");
    await here.settle();
    for (const name of names) await release(here, name, "1", "unnamed");
    await here.settle();
    expect(running(here, "1")).toHaveLength(2);
  });
});

describe("the guard of full runs", () => {
  /** Nobody says anything, and every tag is somewhere else. */
  async function mad(letter = "mad"): Promise<World> {
    const here = await stack();
    here.clock.set(here.clock.now() + 100 * 3_600_000);
    for (const name of names) here.registry.push(repositoryOf(name), "v1", digestOf(`${name} ${letter}`));
    return here;
  }

  it("deploys nothing, run after run, and the same plan has the same fingerprint", async () => {
    const here = await mad();
    const writes = here.target.writes.length;
    const [one, other] = [await run(here), await run(here, { dryRun: true })];
    expect(one.report.counts).toEqual({ missed: 10 });
    expect(one.rows?.every(({ reason }) => reason?.startsWith("guarded: "))).toBe(true);
    expect(one.report.guarded[0]?.fingerprint).toBe(other.report.guarded[0]?.fingerprint);
    expect(here.target.writes).toHaveLength(writes);
  });

  it("does nothing of a plan that has changed since it was shown, and names the new one", async () => {
    const here = await mad();
    const shown = (await run(here)).report.guarded[0]?.fingerprint ?? "";
    here.registry.push(repositoryOf("s0"), "v1", digestOf("s0 later"));
    const tried = await run(here, { approve: shown });
    const now = tried.report.guarded[0]?.fingerprint ?? "";
    expect(now).not.toBe(shown);
    expect(running(here, "mad")).toEqual([]);
    await run(here, { approve: now });
    expect(running(here, "mad")).toHaveLength(9);
  });

  it("does nothing for an approval of a plan that nobody knows", async () => {
    const here = await mad();
    const tried = await run(here, { approve: "0123456789ab" });
    expect(tried.report.troubles[0]).toContain("no plan 0123456789ab waits");
    expect(running(here, "mad")).toEqual([]);
  });

  it("counts against all that the target follows, though the run is narrowed to less", async () => {
    const here = await mad();
    const images = names.slice(0, 2).map(repositoryOf);
    expect((await run(here, { images })).report.guarded).toEqual([]);
    expect(running(here, "mad")).toHaveLength(2);
    const three = names.slice(2, 5).map((name) => `swarm/${name}`);
    const [plan] = (await run(here, { workloads: three })).report.guarded;
    expect(plan).toMatchObject({ actionable: 3, references: 10, workloads: three });
    await run(here, { approve: plan?.fingerprint ?? "" });
    expect(running(here, "mad")).toHaveLength(5);
  });

  it("is not minded where events explain it", async () => {
    const here = await stack();
    const deps = here.instance();
    for (const name of names) {
      here.registry.push(repositoryOf(name), "v1", digestOf(`${name} 2`));
      const frozen = { ...deps, frozenUntil: (_: string, nowMs: number) => nowMs + 1 };
      const push = { source: "distribution", registry: "docker.io", repository: `acme/${name}`, tag: "v1" };
      await here.deliver({ kind: "push", event: `f-${name}`, heardMs: here.clock.now(), push }, frozen);
    }
    expect((await run(here)).report.guarded).toEqual([]);
    expect(running(here, "2")).toEqual(names);
  });
});
