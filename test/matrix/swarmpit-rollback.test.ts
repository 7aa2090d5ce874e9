import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Digest } from "../../shared/domain/reference.ts";
import type { Place } from "./place.ts";
import { type Matrix, matrix } from "./world.ts";

let world: Matrix;
let place: Place;
let first: Digest;

beforeEach(async () => {
  world = await matrix({ targets: [{ name: "pit", kind: "swarmpit" }] });
  place = world.place("pit");
  first = world.push("v1", { content: "first" });
  await place.create("web", world.image(first), { tasks: 2 });
});
afterEach(() => world.close());

const exitsAtOnce = ["exit", "3", "100"];
/** Both posts of `redeploy` and of `rollback`, without the service's id. */
const posts = () =>
  place.way.passed.filter((call) => call.startsWith("POST ")).map((call) => call.replace(/.*\//, ""));
const workload = () => world.workload("pit/web");
const history = () => world.history("pit/web");
const both = (image: string) => [image, image];

const bad = () => world.push("v1", { command: exitsAtOnce });

/** Lets time go by in small steps until something is on record. */
async function until(satisfied: (open: Open & object) => boolean, stepMs = 1_000): Promise<Open & object> {
  for (let steps = 0; steps < 200; steps++) {
    const open = (await world.ledger.get("workloads", "pit/web"))?.value.open;
    if (open !== undefined && satisfied(open)) return open;
    await world.pass(stepMs);
    await world.sweep();
  }
  throw new Error("it does not come to that");
}
type Open = Awaited<ReturnType<typeof workload>>["open"];

/** A push of an image that fails a while after its redeploy, which the service is to show when this returns. */
async function redeployed(): Promise<Digest> {
  const failing = world.push("v1", { command: ["exit", "3", "8000"] });
  await world.publish("bad", { digest: failing });
  await until((open) => open.state === "verifying", 100);
  return failing;
}

/** Somebody else changes what replaces no task. */
const touch = () => place.change("web", (spec) => ({ ...spec, Labels: { ...spec.Labels, touched: "yes" } }));

async function expectRolledBack(reason: RegExp): Promise<void> {
  expect(await history()).toEqual([
    expect.stringMatching(new RegExp(`^rolled-back: ${reason.source}`)),
    "succeeded: 2 of 2 tasks ran for 15 s",
  ]);
}

describe("a bad image behind Swarmpit", () => {
  it.each([
    { name: "exits at once", command: exitsAtOnce, reason: /update paused.*non-zero exit \(3\)/ },
    {
      name: "exits every 8 s",
      command: ["exit", "3", "8000"],
      reason: /its tasks do not stay up: \d were lost/,
    },
    { name: "is never healthy", command: ["unhealthy", "3000"], reason: /.*unhealthy container/ },
    { name: "cannot be started", command: ["no-such-program"], reason: /.*no-such-program/ },
  ])(
    "that $name is rolled back by Swarmpit itself, held, and the next one goes out",
    async ({ command, reason }) => {
      const failing = world.push("v1", { command });
      await world.hear("bad", { digest: failing });
      await world.carryOn();
      expect(posts()).toEqual(["redeploy", "rollback"]);
      await expectRolledBack(reason);
      expect(await place.running()).toEqual(both(world.image(first)));
      expect(await workload()).toMatchObject({ deployed: { web: first }, holds: [{ digest: failing }] });

      await world.hear("again", { digest: failing });
      await world.carryOn();
      expect(posts()).toHaveLength(2);
      expect(await world.explain("again")).toContain("This digest is held");

      const good = world.push();
      await world.hear("good", { digest: good });
      await world.carryOn();
      expect(posts()).toEqual(["redeploy", "rollback", "redeploy"]);
      expect(await place.running()).toEqual(both(world.image(good)));
      expect(await workload()).toMatchObject({ deployed: { web: good }, holds: [] });
    },
  );

  it("goes back to what was verified before, and not to the baseline", async () => {
    const second = world.push();
    await world.hear("second", { digest: second });
    await world.carryOn();
    await world.hear("bad", { digest: bad() });
    await world.carryOn();
    expect(posts()).toEqual(["redeploy", "redeploy", "rollback"]);
    expect(await place.running()).toEqual(both(world.image(second)));
  });

  it("is rolled back twice in a row, each time to what ran well", async () => {
    for (const event of ["one", "two"]) {
      await world.hear(event, { digest: world.push("v1", { command: exitsAtOnce }) });
      await world.carryOn();
    }
    expect(posts()).toEqual(["redeploy", "rollback", "redeploy", "rollback"]);
    expect(await place.running()).toEqual(both(world.image(first)));
    expect((await workload()).holds).toHaveLength(1);
  });
});

describe("a bad image that Swarmpit resolved at the second try only", () => {
  it("goes back to what the newest of both redeploys replaced", async () => {
    const failing = bad();
    place.swarmpit.fail("redeploy", { kind: "resolve", digest: first });
    await world.hear("bad", { digest: failing });
    await world.carryOn();
    expect(posts()).toEqual(["redeploy", "redeploy", "rollback"]);
    expect(await place.running()).toEqual(both(world.image(first)));
  });

  it("does not go back to another digest that Swarmpit resolved at first", async () => {
    const between = world.push("v1", { content: "between" });
    const failing = bad();
    place.swarmpit.fail("redeploy", { kind: "resolve", digest: between });
    await world.hear("bad", { digest: failing });
    await world.carryOn();
    expect(posts()).toEqual(["redeploy", "redeploy"]);
    expect((await history())[0]).toMatch(/^rollback-unavailable: /);
  });
});

describe("a service that somebody else has changed since the redeploy", () => {
  async function fails(): Promise<Digest> {
    const failing = await redeployed();
    await touch();
    await world.carryOn();
    return failing;
  }

  it("is never rolled back by Swarmpit: it is held, people are told, and the next push goes out", async () => {
    const failing = await fails();
    expect(posts()).toEqual(["redeploy"]);
    const [undone, undoing] = await history();
    expect(undone).toMatch(
      /^rollback-unavailable: .*non-zero exit \(3\).*nothing leads back to .*`kind: swarm`/,
    );
    expect(undoing).toMatch(/^failed: nothing leads back to/);
    expect(await workload()).toMatchObject({ holds: [{ digest: failing }] });
    expect(world.told.map(({ message }) => message).join("\n")).toContain("nothing leads back to");
    await world.hear("again", { digest: failing });
    await world.carryOn();
    expect(posts()).toEqual(["redeploy"]);

    const good = world.push();
    await world.hear("good", { digest: good });
    await world.carryOn();
    expect(posts()).toEqual(["redeploy", "redeploy"]);
    expect(await place.running()).toEqual(both(world.image(good)));
  });

  it("is brought back by a version's tag that points to what ran well, and still follows its own", async () => {
    world.push("v1.0.0", { content: "first" });
    await world.hear("version", { tag: "v1.0.0", digest: first });
    const failing = await fails();
    expect(posts()).toEqual(["redeploy", "redeploy?tag=v1.0.0"]);
    expect(await place.running()).toEqual(both(world.image(first, "v1.0.0")));
    expect((await history())[0]).toMatch(/^rolled-back: /);
    expect(await workload()).toMatchObject({
      deployed: { web: first },
      detours: { web: { at: "v1.0.0", follows: "v1" } },
    });

    await world.hear("again", { digest: failing });
    await world.hear("version again", { tag: "v1.0.0", digest: world.push("v1.0.0") });
    await world.carryOn();
    expect(posts()).toHaveLength(2);
    expect((await world.event("again")).verdicts).toMatchObject([{ reason: "held" }]);
    expect((await world.event("version again")).verdicts).toMatchObject([
      { reason: "other-tag", detail: "it follows v1" },
    ]);

    const good = world.push();
    await world.hear("good", { digest: good });
    await world.carryOn();
    expect(posts().at(-1)).toBe("redeploy?tag=v1");
    expect(await place.running()).toEqual(both(world.image(good)));
    expect((await workload()).detours).toEqual({});
  });

  it.each([
    { name: "that has moved on", tag: "v1.0.0", move: true },
    { name: "that people move", tag: "latest", move: false },
  ])("is not brought back by a tag $name", async ({ tag, move }) => {
    world.push(tag, { content: "first" });
    await world.hear("tagged", { tag, digest: first });
    if (move) world.push(tag, { content: "moved" });
    await fails();
    expect(posts()).toEqual(["redeploy"]);
    expect((await history())[0]).toMatch(/^rollback-unavailable: /);
  });

  it("waits for the registry before anything is decided by tags", async () => {
    world.push("v1.0.0", { content: "first" });
    await world.hear("version", { tag: "v1.0.0", digest: first });
    await redeployed();
    await touch();
    world.toRegistry.faults.switchOn({ does: { kind: "status", status: 503 }, times: 12 });
    await world.carryOn();
    expect(posts()).toEqual(["redeploy", "redeploy?tag=v1.0.0"]);
    expect((await history())[0]).toMatch(/^rolled-back: /);
  });

  it("has failed where Swarmpit resolves the tag to anything but what ran well", async () => {
    world.push("v1.0.0", { content: "first" });
    await world.hear("version", { tag: "v1.0.0", digest: first });
    const other = world.push("v0", { content: "other" });
    await redeployed();
    await touch();
    place.swarmpit.fail("redeploy", { kind: "resolve", digest: other });
    await world.carryOn();
    expect(posts()).toEqual(["redeploy", "redeploy?tag=v1.0.0"]);
    expect((await history())[0]).toMatch(/^rollback-unavailable: .*which is not what ran well/);
  });

  it("has failed where that is found after the answer was lost, and is not made again", async () => {
    world.push("v1.0.0", { content: "first" });
    await world.hear("version", { tag: "v1.0.0", digest: first });
    const other = world.push("v0", { content: "other" });
    await redeployed();
    await touch();
    place.swarmpit.fail("redeploy", { kind: "resolve", digest: other });
    const does = { kind: "lost-answer" } as const;
    place.way.faults.switchOn({ does, when: ({ method }) => method === "POST", times: 1 });
    await world.carryOn();
    expect(posts()).toEqual(["redeploy", "redeploy?tag=v1.0.0"]);
    expect((await history())[0]).toMatch(/^rollback-unavailable: .*was asked for what ran well, and runs/);
  });
});

describe("a service whose newest write did not replace what ran well", () => {
  it("is not rolled back to what nobody has verified", async () => {
    const second = world.push();
    await world.hear("second", { digest: second });
    await world.carryOn();
    const byHand = world.push("v1", { content: "by hand" });
    await place.change("web", ({ TaskTemplate, ...spec }) => ({
      ...spec,
      TaskTemplate: { ...TaskTemplate, ContainerSpec: { Image: world.image(byHand) } },
    }));
    await world.hear("bad", { digest: bad() });
    await world.carryOn();
    expect(posts()).toEqual(["redeploy", "redeploy"]);
    expect((await history())[1]).toMatch(/^rollback-unavailable: /);
  });
});

describe("a rollback that a person makes in Swarmpit meanwhile", () => {
  it("is somebody else's change: nothing is written after it", async () => {
    await redeployed();
    const state = await place.swarm.snapshot();
    const before = state.services[0]?.previousSpec;
    if (before === undefined) throw new Error("nothing to go back to");
    await place.change("web", () => before);
    await world.carryOn();
    expect(posts()).toEqual(["redeploy"]);
    expect(await history()).toEqual(["superseded: changed by someone else"]);
    await world.pass(20_000);
    expect(await place.running()).toEqual(both(world.image(first)));
  });
});

describe("a rollback without an answer", () => {
  it.each(["lose-answer", "hang"] as const)("is left alone for 20 s, and made once (%s)", async (kind) => {
    if (kind === "lose-answer") place.swarmpit.fail("rollback", { kind });
    const when = ({ method, path }: { readonly method: string; readonly path: string }) =>
      method === "POST" && path.endsWith("/rollback");
    if (kind === "hang") place.way.faults.switchOn({ does: { kind }, when, times: 1 });
    await world.hear("bad", { digest: bad() });
    const made = () => posts().filter((post) => post === "rollback").length;
    const { cause, state, dueMs } = await until((open) => open.note?.includes("no answer") === true);
    expect({ cause: cause.kind, state }).toEqual({ cause: "rollback", state: "applying" });
    await world.pass(dueMs - world.clock.now() - 1);
    await world.sweep();
    expect(made()).toBe(kind === "hang" ? 0 : 1);
    await world.carryOn();
    expect(made()).toBe(1);
    await expectRolledBack(/.*/);
    expect(await place.writes()).toHaveLength(2);
    expect(await place.running()).toEqual(both(world.image(first)));
  });

  it("is not made again when it went through and somebody has gone forward since", async () => {
    const failing = bad();
    place.swarmpit.fail("rollback", { kind: "lose-answer" });
    await world.hear("bad", { digest: failing });
    await until((open) => open.note?.includes("no answer") === true);
    await place.change("web", ({ TaskTemplate, ...spec }) => ({
      ...spec,
      TaskTemplate: { ...TaskTemplate, ContainerSpec: { Image: world.image(failing) }, ForceUpdate: 5 },
    }));
    await world.carryOn();
    expect(posts().filter((post) => post === "rollback")).toHaveLength(1);
    expect((await history())[0]).toMatch(/^rollback-unavailable: .*nothing leads back/);
  });
});

describe("a rollback that Swarmpit refuses", () => {
  it("is made again when another write came in between", async () => {
    place.swarmpit.fail("rollback", { kind: "out-of-sequence" });
    await world.hear("bad", { digest: bad() });
    await world.carryOn();
    expect(posts()).toEqual(["redeploy", "rollback", "rollback"]);
    await expectRolledBack(/.*/);
  });

  it("is unavailable in Docker's words", async () => {
    const body = JSON.stringify({ error: "got EOF while reading request body" });
    place.swarmpit.fail("rollback", { kind: "answer", status: 400, body });
    await world.hear("bad", { digest: bad() });
    await world.carryOn();
    expect((await history())[0]).toMatch(/^rollback-unavailable: .*Docker refused the update: got EOF/);
    expect((await workload()).holds).toHaveLength(1);
  });

  it("waits for a role that may write", async () => {
    await redeployed();
    place.swarmpit.setRole("admin", "viewer");
    await until((open) => open.note?.includes("role") === true);
    place.swarmpit.setRole("admin", "admin");
    await world.carryOn();
    await expectRolledBack(/.*/);
  });
});

describe("an image that nodes behind Swarmpit cannot pull", () => {
  it("is rolled back where that costs tasks, not held, and tried again", async () => {
    const second = world.push();
    place.nodes.canPull = false;
    await world.publish("pushed", { digest: second });
    for (let sweeps = 0; !posts().includes("rollback"); sweeps++) {
      if (sweeps > 200) throw new Error("it is not rolled back");
      await world.pass(1_000);
      await world.sweep();
    }
    place.nodes.canPull = true;
    await world.carryOn();
    expect(posts()).toEqual(["redeploy", "rollback", "redeploy"]);
    expect((await workload()).holds).toEqual([]);
    expect(await place.running()).toEqual(both(world.image(second)));
  });
});
