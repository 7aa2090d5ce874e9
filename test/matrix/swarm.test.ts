import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Digest } from "../../shared/domain/reference.ts";
import type { Place, ServiceOptions } from "./place.ts";
import { type Matrix, matrix } from "./world.ts";

let world: Matrix;
let place: Place;
let first: Digest;

beforeEach(async () => {
  world = await matrix();
  place = world.place();
  first = world.push();
});
afterEach(() => world.close());

const web = (options: ServiceOptions = {}) =>
  place.create("web", world.image(first), { tasks: 2, ...options });

/** An image whose containers end with code 3 after so long. */
const exiting = (afterMs: number) => world.push("v1", { command: ["exit", "3", `${afterMs}`] });

async function newest() {
  const [rollout] = await world.ledger.rollouts({ workload: "swarm/web" }, 1);
  return rollout?.value;
}

/** Half an hour on the world's clock is a few seconds of a machine that has nothing else to do. */
const longMs = 60_000;

/** How a rollback ends, and what every good rollout says. */
const ran = "succeeded: 2 of 2 tasks ran for 15 s";

/** When each rollout was sent, s after the first one. */
async function sentAfterSeconds(): Promise<readonly number[]> {
  const rollouts = await world.ledger.rollouts({ workload: "swarm/web" }, 100);
  const sent = rollouts.map(({ value: { times } }) => times.applying ?? 0).toReversed();
  return sent.map((atMs) => Math.round((atMs - (sent[0] ?? 0)) / 1000));
}

describe("an image whose containers end at once", () => {
  interface Case {
    readonly onFailure: "pause" | "rollback" | "continue";
    readonly reason: RegExp;
    /** Who brings the service back to what it ran. */
    readonly back: "Landfall" | "Docker";
  }

  it.each<Case>([
    {
      onFailure: "pause",
      reason: /^update paused due to failure or early termination of task \w+: task: non-zero exit \(3\)$/,
      back: "Landfall",
    },
    {
      onFailure: "rollback",
      reason:
        /^update rolled back due to failure or early termination of task \w+: task: non-zero exit \(3\)$/,
      back: "Docker",
    },
    {
      onFailure: "continue",
      reason: /^its tasks do not stay up: \d were lost: task: non-zero exit \(3\)$/,
      back: "Landfall",
    },
  ])(
    "fails in the words of a Docker that does `$onFailure`, is held, makes room for the one before, and another image goes out",
    async ({ onFailure, reason, back }) => {
      await web({ onFailure });
      const bad = exiting(100);
      await world.hear("bad", { digest: bad });
      await world.carryOn();
      const said = new RegExp(`^rolled-back: ${reason.source.slice(1)}`);
      const rollback = back === "Landfall" ? [ran] : [];
      expect(await world.history("swarm/web")).toEqual([expect.stringMatching(said), ...rollback]);
      const writes = [world.image(bad), ...(back === "Landfall" ? [world.image(first)] : [])];
      expect(await place.writes()).toEqual(writes);
      expect(await place.running()).toEqual([world.image(first), world.image(first)]);
      const { holds, deployed } = await world.workload("swarm/web");
      expect(holds).toMatchObject([{ digest: bad, reason: expect.stringMatching(reason) }]);
      expect(deployed).toEqual(back === "Landfall" ? { web: first } : undefined);
      const text = await world.explain("swarm/web");
      expect(text).toMatch(/rolled-back/);
      expect(text).toContain("task: non-zero exit (3); blamed on the image");
      expect(text).toMatch(/held +[0-9a-f]{12} by Landfall/);

      await world.hear("again", { digest: bad });
      await world.carryOn();
      expect(await place.writes()).toEqual(writes);
      expect((await world.event("again")).verdicts).toMatchObject([
        { kind: "skipped", reason: "held", detail: expect.stringMatching(reason) },
      ]);
      expect(await world.explain("again")).toContain("This digest is held");

      const good = world.push();
      await world.hear("good", { digest: good });
      await world.carryOn();
      expect(await place.running()).toEqual([world.image(good), world.image(good)]);
      expect(await world.workload("swarm/web")).toMatchObject({ deployed: { web: good }, holds: [] });
    },
  );
});

describe("an image that nodes cannot pull", () => {
  interface Case {
    readonly onFailure: NonNullable<ServiceOptions["onFailure"]>;
    /** Whether Landfall brings back what ran before each time, or Docker has done so. */
    readonly back: "Landfall" | "Docker";
    /** When each rollout is sent: 1, 5 and 15 minutes after the service was as before. */
    readonly sent: readonly number[];
  }

  it.each<Case>([
    { onFailure: "pause", back: "Landfall", sent: [0, 1, 76, 77, 392, 393, 1308, 1309] },
    { onFailure: "rollback", back: "Docker", sent: [0, 66, 372, 1278] },
    { onFailure: "continue", back: "Landfall", sent: [0, 121, 197, 317, 633, 754, 1670, 1790] },
  ])(
    "is blamed on the environment where Docker does `$onFailure`, never held, and tried three times more while the service runs what it ran",
    { timeout: longMs },
    async ({ onFailure, back, sent }) => {
      await web({ onFailure });
      const second = world.push();
      place.nodes.canPull = false;
      await world.hear("pushed", { digest: second });
      await world.carryOn();
      const failure = expect.stringMatching(new RegExp(`^rolled-back: .*No such image: .*@${second}$`));
      const one = back === "Landfall" ? [failure, ran] : [failure];
      expect(await world.history("swarm/web")).toEqual([one, one, one, one].flat());
      expect(await sentAfterSeconds()).toEqual(sent);
      expect(await place.running()).toEqual([world.image(first), world.image(first)]);
      expect((await world.workload("swarm/web")).holds).toEqual([]);
      expect(await world.explain("swarm/web")).toMatch(/No such image: .*; blamed on the environment/);

      place.nodes.canPull = true;
      await world.hear("again", { digest: second });
      await world.carryOn();
      expect(await newest()).toMatchObject({ state: "succeeded" });
      expect(await place.running()).toEqual([world.image(second), world.image(second)]);
      expect(await world.workload("swarm/web")).toMatchObject({ deployed: { web: second }, holds: [] });
    },
  );

  it.each<NonNullable<ServiceOptions["onFailure"]>>(["pause", "rollback", "continue"])(
    "goes out by itself once they can, where Docker does `%s`",
    async (onFailure) => {
      await web({ onFailure });
      const second = world.push();
      place.nodes.canPull = false;
      await world.hear("pushed", { digest: second });
      await world.pass(30_000);
      place.nodes.canPull = true;
      await world.carryOn();
      expect(await newest()).toMatchObject({ state: "succeeded", cause: { kind: "retry", of: 1 } });
      expect(await place.running()).toEqual([world.image(second), world.image(second)]);
      expect(await world.workload("swarm/web")).toMatchObject({ deployed: { web: second }, holds: [] });
    },
  );
});

describe("containers that do not stay", () => {
  it("fail the rollout at the third that is lost, though Docker completes the update each time", async () => {
    await web({ tasks: 1 });
    const bad = exiting(8_000);
    await world.hear("bad", { digest: bad });
    await world.carryOn();
    expect(await world.history("swarm/web")).toEqual([
      "rolled-back: its tasks do not stay up: 3 were lost: task: non-zero exit (3)",
      "succeeded: 1 of 1 tasks ran for 15 s",
    ]);
    expect(await place.writes()).toEqual([world.image(bad), world.image(first)]);
    expect((await world.workload("swarm/web")).holds).toMatchObject([{ digest: bad }]);
  });

  it("are given the whole window anew when one was replaced", async () => {
    await web({ tasks: 2 });
    const second = world.push();
    await world.publish("pushed", { digest: second });
    await world.pass(8_000);
    await place.kill();
    await world.rest();
    const { times, state } = (await newest()) ?? {};
    expect(state).toBe("succeeded");
    expect((times?.finished ?? 0) - (times?.heard ?? 0)).toBeGreaterThan(8_000 + 15_000);
    expect((times?.finished ?? 0) - (times?.heard ?? 0)).toBeLessThan(8_000 + 15_000 + 5_000);
  });

  it("are no matter of a rollout that has been verified", async () => {
    await web({ tasks: 1 });
    const second = exiting(40_000);
    await world.hear("pushed", { digest: second });
    await world.pass(60_000);
    await world.sweep();
    await world.carryOn();
    expect(await world.history("swarm/web")).toEqual(["succeeded: 1 of 1 tasks ran for 15 s"]);
    expect(await place.writes()).toEqual([world.image(second)]);
  });
});

describe("a rollout that never converges", () => {
  it("fails when its time is up, tells how far it came, holds nothing, and gives up after three more", {
    timeout: longMs,
  }, async () => {
    await web();
    const second = world.push();
    place.nodes.pullMs = 3_600_000;
    await world.hear("pushed", { digest: second });
    await world.carryOn();
    const late = "not rolled out within 120 s: 0 of 2 tasks run the new image";
    const rolledBack = "not rolled out within 120 s: [01] of 2 tasks run the new image";
    const matching = (text: string) => expect.stringMatching(new RegExp(`^${text}$`));
    expect(await world.history("swarm/web")).toEqual(
      [2, 4, 6, 8].flatMap((by) => [
        matching(
          `rollback-unavailable: ${late}; rollout ${by}, which was to undo it, failed too: ${rolledBack}`,
        ),
        matching(`failed: ${rolledBack}`),
      ]),
    );
    // Each takes its two minutes, and so does each rollback; then 1, 5 and 15 minutes go by.
    expect(await sentAfterSeconds()).toEqual([0, 121, 301, 422, 842, 963, 1983, 2104]);
    expect((await world.workload("swarm/web")).holds).toEqual([]);
    expect(await world.explain()).toContain(
      "0 of 2 tasks run the new image; rollout 2, which was to undo it",
    );
    const images = [world.image(second), world.image(first)];
    expect(await place.writes()).toEqual([images, images, images, images].flat());
  });
});

describe("a write that meets another one", () => {
  it.each([1, 4])("is made again on top of it, when that happens %i times", async (times) => {
    await web();
    const second = world.push();
    place.swarm.inject({ kind: "conflict", on: /POST .*update/, times });
    await world.hear("pushed");
    expect(await world.history("swarm/web")).toEqual(["succeeded: 2 of 2 tasks ran for 15 s"]);
    expect(await place.writes()).toEqual([world.image(second)]);
  });

  it("gives way for a while to one who does not stop writing, and says so", async () => {
    await web();
    const second = world.push();
    place.swarm.inject({ kind: "conflict", on: /POST .*update/, times: 7 });
    await world.hear("pushed");
    expect((await world.workload("swarm/web")).open).toMatchObject({ state: "planned" });
    expect(await world.explain()).toContain(
      "the workload is being changed by others; looked at again in 5 s",
    );
    await world.carryOn();
    expect(await place.writes()).toEqual([world.image(second)]);
  });

  it("is not made when somebody has changed the image since, and says so", async () => {
    await web();
    const second = world.push();
    place.way.faults.switchOn({
      does: { kind: "status", status: 500 },
      times: 1,
      when: ({ path }) => path.endsWith("/services/web"),
    });
    await world.hear("pushed");
    const byHand = `${world.registry.host}/acme/web:v0@${first}`;
    await place.change("web", (spec) => withImage(spec, byHand));
    await world.carryOn();
    expect(await place.imageOf("web")).toBe(byHand);
    expect(await place.writes()).not.toContain(world.image(second));
    expect(await world.history("swarm/web")).toEqual(["superseded: other-tag: it follows v0"]);
  });

  it("is recognised when its answer is lost", async () => {
    await web();
    const second = world.push();
    place.swarm.inject({ kind: "lose-answer", on: /POST .*update/ });
    await world.hear("pushed");
    expect(await world.history("swarm/web")).toEqual(["succeeded: 2 of 2 tasks ran for 15 s"]);
    expect(await place.writes()).toEqual([world.image(second)]);
  });
});

describe("a write that Docker refuses", () => {
  it("fails with Docker's words, holds nothing, and is tried again at a later push", async () => {
    await web();
    const second = world.push();
    const message = "rpc error: code = InvalidArgument desc = name must be valid as a DNS name component";
    place.swarm.inject({ kind: "answer", status: 400, message, on: /POST .*update/ });
    await world.hear("pushed", { digest: second });
    expect(await world.history("swarm/web")).toEqual([`failed: the engine refused the update: ${message}`]);
    expect(await world.workload("swarm/web")).toMatchObject({ holds: [] });
    expect(await world.explain()).toContain(message);
    await world.hear("again", { digest: second });
    await world.carryOn();
    expect(await place.writes()).toEqual([world.image(second)]);
  });
});

function withImage<S extends { readonly TaskTemplate: object }>(spec: S, image: string): S {
  const { TaskTemplate } = spec;
  const container = "ContainerSpec" in TaskTemplate ? TaskTemplate.ContainerSpec : {};
  return {
    ...spec,
    TaskTemplate: { ...TaskTemplate, ContainerSpec: { ...(container as object), Image: image } },
  };
}
