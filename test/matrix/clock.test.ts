import { afterEach, describe, expect, it } from "vitest";
import type { Digest } from "../../shared/domain/reference.ts";
import type { PlaceOptions } from "./place.ts";
import { type Matrix, matrix } from "./world.ts";

let world: Matrix;
let first: Digest;
let second: Digest;
afterEach(() => world.close());

const minutes = 60_000;

async function begin(kind: PlaceOptions["kind"]): Promise<void> {
  world = await matrix({ targets: [{ name: "prod", kind }] });
  first = world.push();
  await world.place("prod").create("web", world.image(first), { tasks: 2 });
  second = world.push();
}

async function expectRolledOutOnce(): Promise<void> {
  expect(await world.place("prod").writes()).toEqual([world.image(second)]);
  expect(await world.place("prod").running()).toEqual([world.image(second), world.image(second)]);
  expect(await world.history("prod/web")).toEqual([expect.stringMatching(/^succeeded: /)]);
  expect(await world.workload("prod/web")).toMatchObject({ deployed: { web: second }, holds: [] });
}

/** When the clock is set, and what is under way then. */
const moments = [
  { name: "as soon as the push is heard", afterMs: 0 },
  { name: "while Docker begins", afterMs: 100 },
  { name: "while the first task is replaced", afterMs: 400 },
  { name: "while the second task is replaced", afterMs: 900 },
  { name: "while it proves itself", afterMs: 8_000 },
  { name: "right before it has proven itself", afterMs: 15_500 },
] as const;

describe.each<PlaceOptions["kind"]>(["swarm", "swarmpit"])(
  "a clock that is set while a %s rolls out",
  (kind) => {
    describe.each([
      { name: "forward 10 minutes", byMs: 10 * minutes },
      { name: "back 10 minutes", byMs: -10 * minutes },
      { name: "back 10 minutes and then forward 10", byMs: -10 * minutes, andMs: 10 * minutes },
    ])("$name", ({ byMs, andMs = 0 }) => {
      it.each(moments)("$name: one update, verified", async ({ afterMs }) => {
        await begin(kind);
        const startedMs = world.clock.monotonic();
        await world.publish("pushed");
        await world.pass(afterMs);
        world.clock.step(byMs);
        await world.pass(2_000);
        world.clock.step(andMs);
        while (((await world.ledger.get("workloads", "prod/web"))?.value.deployed?.web ?? "") !== second) {
          expect(world.clock.monotonic() - startedMs).toBeLessThan(3 * minutes);
          await world.pass(1_000);
          await world.sweep();
        }
        // Between two settings somebody else may have looked: what lies between two invocations is the ledger's clock's.
        if (andMs === 0) expect(world.clock.monotonic() - startedMs).toBeGreaterThanOrEqual(15_000);
        await world.carryOn();
        await expectRolledOutOnce();
      });
    });

    it("forward 10 minutes in the middle of a write that is not answered: nobody else writes meanwhile", async () => {
      await begin(kind);
      const { way } = world.place("prod");
      const posted: number[] = [];
      way.faults.switchOn({
        does: { kind: "hang" },
        times: 1,
        when: ({ method }) => method === "POST" && posted.push(world.clock.monotonic()) > 0,
      });
      await world.publish("pushed");
      await world.pass(1_000);
      expect(posted).toHaveLength(1);
      world.clock.step(10 * minutes);
      await Promise.all([world.sweep(), world.pass(5_000)]);
      expect(way.passed.filter((call) => call.startsWith("POST"))).toEqual([]);
      await world.pass(2 * minutes);
      await world.carryOn();
      await expectRolledOutOnce();
    });
  },
);

describe.each([
  { name: "10 minutes ahead of the target's", byMs: 10 * minutes },
  { name: "10 minutes behind the target's", byMs: -10 * minutes },
])("a clock that is $name", ({ byMs }) => {
  it("blames and holds an image that fails, brings back the one before, and lets the next one succeed", async () => {
    await begin("swarm");
    world.clock.step(byMs);
    const bad = world.push("v1", { command: ["exit", "3", "100"] });
    await world.hear("bad", { digest: bad });
    await world.carryOn();
    expect(await world.history("prod/web")).toEqual([
      expect.stringMatching(/^rolled-back: update paused due to/),
      "succeeded: 2 of 2 tasks ran for 15 s",
    ]);
    expect((await world.workload("prod/web")).holds).toMatchObject([{ digest: bad }]);
    const good = world.push();
    await world.hear("good", { digest: good });
    await world.carryOn();
    expect(await world.workload("prod/web")).toMatchObject({ deployed: { web: good }, holds: [] });
    const images = [bad, first, good].map((digest) => world.image(digest));
    expect(await world.place("prod").writes()).toEqual(images);
  });
});
