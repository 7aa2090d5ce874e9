import { afterEach, describe, expect, it } from "vitest";
import type { Digest } from "../../shared/domain/reference.ts";
import type { Place, ServiceOptions } from "./place.ts";
import { type Matrix, type MatrixOptions, matrix } from "./world.ts";

let world: Matrix;
let place: Place;
let first: Digest;
afterEach(() => world.close());

const pollMs = 500;
const stepMs = 250;
const minuteMs = 60_000;

/** A service runs an image that nobody has verified. */
async function begin(options: ServiceOptions = {}, more: MatrixOptions = {}): Promise<void> {
  world = await matrix(more);
  place = world.place();
  first = world.push();
  await place.create("web", world.image(first), { tasks: 2, ...options });
}

/** A push of an image goes its whole way. */
async function deployed(event: string, digest: Digest): Promise<void> {
  await world.hear(event, { digest });
  await world.carryOn();
}

async function latest() {
  const [rollout] = await world.ledger.rollouts({ workload: "swarm/web" }, 1);
  return rollout?.value;
}

const record = () => world.workload("swarm/web");
const images = (...digests: readonly Digest[]) => digests.map((digest) => world.image(digest));

interface Bad {
  readonly name: string;
  readonly command: readonly string[];
  readonly restarts?: ServiceOptions["restarts"];
  /** What its rollout says, whoever undoes it. */
  readonly says: RegExp;
}

const bads: readonly Bad[] = [
  { name: "exits at once", command: ["exit", "3", "50"], says: /task: non-zero exit \(3\)$/ },
  {
    name: "exits after 8 s, and is not started again",
    command: ["exit", "3", "8000"],
    restarts: "none",
    says: /^(not rolled out within 120 s: 0 of 1 tasks run the new image|its tasks do not stay up: 3 were lost): task: non-zero exit \(3\)$/,
  },
  {
    name: "exits every 8 s",
    command: ["exit", "3", "8000"],
    says: /^its tasks do not stay up: \d were lost: task: non-zero exit \(3\)$/,
  },
  {
    name: "never becomes healthy",
    command: ["unhealthy", "20000"],
    says: /task: non-zero exit \(137\): dockerexec: unhealthy container$/,
  },
  {
    name: "cannot be started",
    command: ["no-such-program"],
    says: /executable file not found in \$PATH: unknown$/,
  },
];
const rows = bads.flatMap((bad) =>
  ([1, 3] as const).flatMap((tasks) =>
    (["pause", "rollback"] as const).map((onFailure) => ({ ...bad, tasks, onFailure })),
  ),
);

describe("an image that fails by itself", () => {
  it.each(rows)(
    "$name, $tasks tasks, where Docker does `$onFailure`: back to the last good one at the first look, held, and let be",
    async ({ command, restarts = "any", says, tasks, onFailure }) => {
      await begin({ tasks, onFailure, restarts });
      const good = world.push();
      await deployed("good", good);
      const bad = world.push("v1", { command });
      await world.publish("bad", { digest: bad });
      const { failedMs, endedMs } = await ending(bad);
      expect(endedMs - failedMs).toBeLessThanOrEqual(pollMs + stepMs);
      await world.carryOn();

      const all = images(...Array<Digest>(tasks).fill(good));
      expect(await place.running()).toEqual(all);
      expect(await place.imageOf("web")).toBe(world.image(good));
      const { holds, lastGood } = await record();
      expect(holds).toMatchObject([{ digest: bad, reason: expect.stringMatching(says) }]);
      expect(lastGood).toEqual({ web: world.image(good) });
      const undone = (await world.ledger.rollouts({ workload: "swarm/web" }, 9)).find(
        ({ value }) => value.seq === 2,
      );
      expect(undone?.value).toMatchObject({ state: "rolled-back", blame: "image" });

      const writes = await place.writes();
      const byUs = onFailure === "pause" || /^(not rolled out|its tasks)/.test(undone?.value.reason ?? "");
      expect(writes).toEqual(images(first, good, bad, ...(byUs ? [good] : [])).slice(1));
      expect(await world.compare()).toMatchObject([
        { verdict: "skipped", reason: expect.stringMatching(/^held/) },
      ]);
      await world.order("replayed", { do: "replay", of: "bad" });
      expect((await world.event("replayed.again")).verdicts).toMatchObject([{ reason: "held" }]);
      await deployed("bad once more", bad);
      expect(await place.writes()).toEqual(writes);

      const newer = world.push();
      await deployed("newer", newer);
      expect(await place.running()).toEqual(images(...Array<Digest>(tasks).fill(newer)));
      expect(await record()).toMatchObject({ deployed: { web: newer }, holds: [] });
    },
  );

  /** When a look could see that the image has failed, and when its rollout ended, ms on one clock. */
  async function ending(bad: Digest): Promise<{ readonly failedMs: number; readonly endedMs: number }> {
    let failedMs: number | undefined;
    const startMs = world.clock.monotonic();
    for (;;) {
      if (failedMs === undefined && (await hasFailed(bad, startMs))) failedMs = world.clock.monotonic();
      const { open, seq } = await record();
      if (seq >= 2 && open?.seq !== 2) {
        // What both failed and ended in one step was seen at once.
        const endedMs = world.clock.monotonic();
        return { failedMs: failedMs ?? endedMs - stepMs, endedMs };
      }
      expect(world.clock.monotonic() - startMs).toBeLessThan(3 * minuteMs);
      await world.pass(stepMs);
      if ((world.clock.monotonic() - startMs) % minuteMs < stepMs) await world.sweep();
    }
  }

  /** In the target's own words, or as so many lost tasks, or because the time is up. */
  async function hasFailed(bad: Digest, startMs: number): Promise<boolean> {
    const { services, tasks } = await place.swarm.snapshot();
    const state = services[0]?.status?.State ?? "";
    const lost = tasks.filter(
      (task) => task.state === "failed" && task.template.ContainerSpec.Image === world.image(bad),
    );
    const isLate = world.clock.monotonic() - startMs > 2 * minuteMs;
    return ["paused", "rollback_completed"].includes(state) || lost.length >= 3 || isLate;
  }
});

describe("the way back", () => {
  it("leads to what ran before Landfall when the first rollout ever fails", async () => {
    await begin();
    const bad = world.push("v1", { command: ["exit", "3", "50"] });
    await deployed("bad", bad);
    expect(await place.writes()).toEqual(images(bad, first));
    expect(await place.running()).toEqual(images(first, first));
    expect(await record()).toMatchObject({ holds: [{ digest: bad }], baseline: { web: world.image(first) } });
  });

  it("leads past a last good image that is gone from the registry, to the one before it", async () => {
    await begin();
    const goods = [world.push()];
    await deployed("good", goods[0] as Digest);
    const later = world.push();
    await deployed("later", later);
    await gone(later);
    const bad = world.push("v1", { command: ["exit", "3", "50"] });
    await deployed("bad", bad);
    expect((await place.writes()).at(-1)).toBe(world.image(goods[0] as Digest));
    expect(await world.history("swarm/web")).toEqual([
      expect.stringMatching(/^succeeded/),
      expect.stringMatching(/^succeeded/),
      expect.stringMatching(/^rolled-back: update paused/),
      expect.stringMatching(/^succeeded/),
    ]);
    expect((await record()).holds).toMatchObject([{ digest: bad }]);
  });

  it("ends where it is when all that ran well is gone, and tells people", async () => {
    await begin();
    await gone(first);
    const bad = world.push("v1", { command: ["exit", "3", "50"] });
    await deployed("bad", bad);
    expect(await place.writes()).toEqual(images(bad));
    expect(await world.history("swarm/web")).toEqual([
      expect.stringMatching(
        /^rollback-unavailable: update paused.*nothing that it ran well with is in the registry/,
      ),
      expect.stringMatching(/^failed: nothing that it ran well with is in the registry/),
    ]);
    expect(world.told).toContainEqual(
      expect.objectContaining({
        severity: "alert",
        message: expect.stringContaining("nothing that it ran well with"),
      }),
    );
    expect((await record()).holds).toMatchObject([{ digest: bad }]);
    const good = world.push();
    await deployed("good", good);
    expect(await place.running()).toEqual(images(good, good));
  });

  it("is taken though the registry cannot be asked: nodes have the image", async () => {
    await begin();
    const bad = world.push("v1", { command: ["exit", "3", "2000"] });
    await world.publish("bad", { digest: bad });
    await world.pass(1_000);
    await world.toRegistry.refuse();
    await world.carryOn();
    expect(await place.writes()).toEqual(images(bad, first));
    await world.toRegistry.admit();
  });

  it("is not taken where the configuration says so: the image stays, and is held", async () => {
    await begin({}, { defaults: "rollback: false" });
    const bad = world.push("v1", { command: ["exit", "3", "50"] });
    await deployed("bad", bad);
    expect(await place.writes()).toEqual(images(bad));
    expect(await world.history("swarm/web")).toEqual([expect.stringMatching(/^failed: update paused/)]);
    expect((await record()).holds).toMatchObject([{ digest: bad }]);
  });

  async function gone(digest: Digest): Promise<void> {
    const answer = await fetch(`${world.registry.url}/v2/acme/web/manifests/${digest}`, { method: "DELETE" });
    expect(answer.status).toBe(202);
  }
});

describe("an environment that fails for ten minutes", () => {
  it("nodes that take no tasks: nothing is held, and it is tried again until they do", {
    timeout: 60_000,
  }, async () => {
    await begin({ onFailure: "pause" });
    const second = world.push();
    place.nodes.takeTasks = false;
    await world.hear("pushed", { digest: second });
    await minutesOfSweeps(10);
    expect((await record()).holds).toEqual([]);
    place.nodes.takeTasks = true;
    await world.carryOn();
    expect(await place.running()).toEqual(images(second, second));
    expect(await record()).toMatchObject({ deployed: { web: second }, holds: [] });
    expect(await latest()).toMatchObject({ state: "succeeded", cause: { kind: "retry" } });
  });

  it.each([
    { name: "before anything was written to it", afterMs: 0 },
    { name: "while a rollout is verified", afterMs: 4_000 },
  ])("a target that cannot be reached $name: nothing is held, nothing is undone", async ({ afterMs }) => {
    await begin();
    const second = world.push();
    if (afterMs === 0) await place.way.refuse();
    await world.publish("pushed", { digest: second });
    await world.pass(afterMs);
    if (afterMs > 0) await place.way.refuse();
    await minutesOfSweeps(10);
    await place.way.admit();
    await world.carryOn();
    expect(await place.writes()).toEqual(images(second));
    expect(await place.running()).toEqual(images(second, second));
    expect(await world.history("swarm/web")).toEqual([expect.stringMatching(/^succeeded/)]);
    expect((await record()).holds).toEqual([]);
  });

  it("a target that cannot be reached while a failed rollout is undone: it is undone when it can", async () => {
    await begin();
    const bad = world.push("v1", { command: ["exit", "3", "50"] });
    place.way.faults.switchOn({
      does: { kind: "status", status: 503 },
      when: ({ method, path }) => method === "GET" && path.includes("/services/web") && isUndone(),
    });
    let isOver = false;
    const isUndone = () => !isOver && world.logged.some((line) => line.includes("rollout 1 rolling-back"));
    await world.hear("bad", { digest: bad });
    await minutesOfSweeps(10);
    expect(await place.writes()).toEqual(images(bad));
    expect((await record()).open).toMatchObject({ seq: 2, cause: { kind: "rollback" } });
    isOver = true;
    await world.carryOn();
    expect(await place.writes()).toEqual(images(bad, first));
    expect(await world.history("swarm/web")).toEqual([
      expect.stringMatching(/^rolled-back/),
      expect.stringMatching(/^succeeded/),
    ]);
  });

  async function minutesOfSweeps(count: number): Promise<void> {
    for (let minute = 0; minute < count; minute++) {
      await world.pass(minuteMs);
      await world.sweep();
    }
  }
});

describe("a push", () => {
  it("while a failing image is verified takes its place: that one is neither judged nor held", async () => {
    await begin();
    const bad = world.push("v1", { command: ["exit", "3", "8000"] });
    await world.publish("bad", { digest: bad });
    await world.pass(4_000);
    const good = world.push();
    await world.hear("good", { digest: good });
    await world.carryOn();
    expect(await place.writes()).toEqual(images(bad, good));
    expect(await world.history("swarm/web")).toEqual([
      "superseded: rollout 2 replaced it",
      expect.stringMatching(/^succeeded/),
    ]);
    expect(await record()).toMatchObject({ deployed: { web: good }, holds: [] });
  });

  it.each([100, 3_000, 14_000])(
    "%i ms into a rollback takes its place, and what had failed stays failed",
    async (afterMs) => {
      await begin();
      const bad = world.push("v1", { command: ["exit", "3", "50"] });
      await world.publish("bad", { digest: bad });
      while ((await record().catch(() => undefined))?.open?.undoes === undefined) await world.pass(stepMs);
      await world.pass(afterMs);
      const good = world.push();
      await world.hear("good", { digest: good });
      await world.carryOn();
      expect(await place.writes()).toEqual(images(bad, first, good));
      expect(await place.running()).toEqual(images(good, good));
      expect(await world.history("swarm/web")).toEqual([
        expect.stringMatching(/^failed: update paused.*; rollout 2, which was to undo it, was superseded$/),
        "superseded: rollout 3 replaced it",
        expect.stringMatching(/^succeeded/),
      ]);
      expect(await record()).toMatchObject({ deployed: { web: good }, holds: [] });
    },
  );

  it("of the same bad image while it is rolled back changes nothing", async () => {
    await begin();
    const bad = world.push("v1", { command: ["exit", "3", "50"] });
    await world.publish("bad", { digest: bad });
    while ((await record().catch(() => undefined))?.open?.undoes === undefined) await world.pass(stepMs);
    await world.hear("again", { digest: bad });
    await world.carryOn();
    expect(await place.writes()).toEqual(images(bad, first));
    expect((await record()).holds).toMatchObject([{ digest: bad }]);
  });
});
