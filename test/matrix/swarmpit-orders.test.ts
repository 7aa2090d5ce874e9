import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { OrderMessage } from "../../shared/bus/bus.ts";
import type { Digest } from "../../shared/domain/reference.ts";
import type { Place } from "./place.ts";
import { type Matrix, matrix } from "./world.ts";

let world: Matrix;
let place: Place;
let first: Digest;
let second: Digest;
let begun: number;

/** A service that runs a second release, which was verified. */
beforeEach(async () => {
  world = await matrix({ targets: [{ name: "pit", kind: "swarmpit" }] });
  place = world.place("pit");
  first = world.push("v1", { content: "first" });
  await place.create("web", world.image(first), { tasks: 2 });
  second = world.push("v1", { content: "second" });
  await world.hear("second", { digest: second });
  await world.carryOn();
  begun = place.way.passed.length;
});
afterEach(() => world.close());

const posts = () =>
  place.way.passed
    .slice(begun)
    .filter((call) => call.startsWith("POST "))
    .map((call) => call.replace(/.*\//, ""));
const workload = () => world.workload("pit/web");
const both = (image: string) => [image, image];
const touch = () => place.change("web", (spec) => ({ ...spec, Labels: { ...spec.Labels, touched: "yes" } }));

async function give(event: string, order: OrderMessage["order"]) {
  const heardMs = world.clock.now();
  await world.deps.bus.publish([{ kind: "order", event, heardMs, by: "ann", order }]);
  await world.carryOn();
  return world.event(event);
}
const asked = { workload: "pit/web", until: "next" } as const;
const rollback = (event = "back") => give(event, { do: "rollback", ...asked });
const deploy = (tag: string, event = "deploy") =>
  give(event, { do: "deploy", image: `${world.registry.host}/acme/web`, tag, ...asked });

/** The tag of a version that points to a release, and a push that told of it. */
async function versioned(tag = "v1.0.0", content = "first"): Promise<void> {
  const digest = world.push(tag, { content });
  await world.hear(`version ${tag}`, { tag, digest });
}

describe("an order to roll back behind Swarmpit", () => {
  it("is Swarmpit's own rollback while that leads there, and pins", async () => {
    expect(await rollback()).toMatchObject({ outcome: "ordered" });
    expect(posts()).toEqual(["rollback"]);
    expect(await place.running()).toEqual(both(world.image(first)));
    expect(await workload()).toMatchObject({ deployed: { web: first }, pin: { by: "ann" }, holds: [] });

    await world.hear("again", { digest: second });
    await world.carryOn();
    expect((await world.event("again")).verdicts).toMatchObject([{ reason: "pinned-by-person" }]);
    const third = world.push();
    await world.hear("third", { digest: third });
    await world.carryOn();
    expect(posts()).toEqual(["rollback", "redeploy"]);
    expect(await place.running()).toEqual(both(world.image(third)));
    expect((await workload()).pin).toBeUndefined();
  });

  it("given twice goes back once, and not forward again", async () => {
    await rollback("one");
    const again = await rollback("two");
    expect(again.outcome).toBe("refused");
    expect(posts()).toEqual(["rollback"]);
    expect(await place.running()).toEqual(both(world.image(first)));
  });

  it("is refused where nothing is sure to lead there, with what to do, and nothing is pinned", async () => {
    await touch();
    expect(await rollback()).toMatchObject({
      outcome: "refused",
      detail: expect.stringMatching(
        /nothing leads back to .*: push .*, set the image by hand, or use `kind: swarm`/,
      ),
    });
    expect(posts()).toEqual([]);
    expect((await workload()).pin).toBeUndefined();
  });

  it("goes by a version's tag else, and what follows is what it followed", async () => {
    await versioned();
    await touch();
    expect(await rollback()).toMatchObject({ outcome: "ordered" });
    expect(posts()).toEqual(["redeploy?tag=v1.0.0"]);
    expect(await place.running()).toEqual(both(world.image(first, "v1.0.0")));
    await give("release", { do: "release", workload: "pit/web" });
    await world.carryOn();
    expect(posts()).toEqual(["redeploy?tag=v1.0.0", "redeploy?tag=v1"]);
    expect(await place.running()).toEqual(both(world.image(second)));
    expect((await workload()).detours).toEqual({});
  });
});

describe("an order to deploy behind Swarmpit", () => {
  it("redeploys another tag, which it follows from then on, and pins", async () => {
    await versioned();
    expect(await deploy("v1.0.0")).toMatchObject({ outcome: "ordered" });
    expect(posts()).toEqual(["redeploy?tag=v1.0.0"]);
    expect(await place.running()).toEqual(both(world.image(first, "v1.0.0")));
    expect(await workload()).toMatchObject({ deployed: { web: first }, pin: { by: "ann" } });
    expect((await workload()).detours ?? {}).toEqual({});
    await world.hear("other", { digest: world.push() });
    expect((await world.event("other")).verdicts).toMatchObject([{ reason: "other-tag" }]);
  });

  it("redeploys the tag that it has where that has moved, and touches nothing where it has not", async () => {
    expect(await deploy("v1", "same")).toMatchObject({ outcome: "ordered" });
    expect(posts()).toEqual([]);
    const third = world.push();
    expect(await deploy("v1", "moved")).toMatchObject({ outcome: "ordered" });
    expect(posts()).toEqual(["redeploy"]);
    expect(await place.running()).toEqual(both(world.image(third)));
  });

  it("is refused for a tag that is not there", async () => {
    expect(await deploy("v7")).toMatchObject({ outcome: "refused" });
    expect(posts()).toEqual([]);
  });

  it("takes what the tag points to by then", async () => {
    world.push("v2.0.0", { content: "early" });
    let late: Digest | undefined;
    place.way.faults.switchOn({
      does: { kind: "reset" },
      when: ({ method }) => {
        if (method === "POST") late ??= world.push("v2.0.0", { content: "late" });
        return false;
      },
    });
    await deploy("v2.0.0");
    if (late === undefined) throw new Error("nothing was posted");
    expect(posts()).toEqual(["redeploy?tag=v2.0.0"]);
    expect(await place.running()).toEqual(both(world.image(late, "v2.0.0")));
    expect((await workload()).deployed).toEqual({ web: late });
  });

  it("is made once though its answer is lost", async () => {
    await versioned();
    place.swarmpit.fail("redeploy", { kind: "lose-answer" });
    await deploy("v1.0.0");
    expect(posts()).toEqual(["redeploy?tag=v1.0.0"]);
    expect(await place.writes()).toEqual([world.image(second), world.image(first, "v1.0.0")]);
  });

  it("of what fails is rolled back like any other", async () => {
    world.push("v2.0.0", { command: ["exit", "3", "100"] });
    await deploy("v2.0.0");
    expect(posts()).toEqual(["redeploy?tag=v2.0.0", "rollback"]);
    expect(await place.running()).toEqual(both(world.image(second)));
  });
});

describe("a full run over a service on a detour", () => {
  it("judges it by the tag that it follows: leaves what is held, and repairs a push that was lost", async () => {
    await versioned("v1.0.1", "second");
    const failing = world.push("v1", { command: ["exit", "3", "8000"] });
    await world.publish("bad", { digest: failing });
    while ((await workload()).open?.state !== "verifying") await world.pass(100);
    await touch();
    await world.carryOn();
    expect(posts()).toEqual(["redeploy", "redeploy?tag=v1.0.1"]);

    const run = async (event: string) => {
      const message = { kind: "reconcile", event, heardMs: world.clock.now(), by: "ann" } as const;
      await world.deps.bus.publish([{ ...message, run: { dryRun: false, adopt: false } }]);
      await world.carryOn();
    };
    world.push("v1.0.1", { content: "somebody moves it" });
    await run("one");
    expect(posts()).toHaveLength(2);
    const good = world.push();
    await run("two");
    expect(posts().slice(2)).toEqual(["redeploy?tag=v1"]);
    expect(await place.running()).toEqual(both(world.image(good)));
  });
});
