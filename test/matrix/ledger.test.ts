import { afterEach, describe, expect, it } from "vitest";
import type { Digest } from "../../shared/domain/reference.ts";
import type { FaultyLedgerOptions } from "../doubles/faulty-ledger.ts";
import type { PlaceOptions } from "./place.ts";
import { type Matrix, matrix } from "./world.ts";

type Call = Parameters<NonNullable<FaultyLedgerOptions["fault"]>>[0];

let world: Matrix;
let second: Digest;
afterEach(() => world.close());

const kinds: readonly PlaceOptions["kind"][] = ["swarm", "swarmpit"];

/** Calls since the push was published. */
let calls: number;
let fault: (call: Call, index: number) => "none" | "refuse" | "lose-answer" | "hang";

async function begin(kind: PlaceOptions["kind"]): Promise<void> {
  calls = 0;
  fault = () => "none";
  let befalls: ReturnType<typeof fault> = "none";
  world = await matrix({
    targets: [{ name: "prod", kind }],
    ledger: {
      fault: () => (befalls === "hang" ? "none" : befalls),
      schedule: async (call, phase) => {
        if (phase === "request") befalls = fault(call, calls++);
        if (befalls === "hang") await new Promise(() => {});
      },
    },
  });
  const first = world.push();
  await world.place("prod").create("web", world.image(first), { tasks: 2 });
  second = world.push();
  calls = 0;
}

async function expectRolledOutOnce(): Promise<void> {
  expect(await world.place("prod").writes()).toEqual([world.image(second)]);
  expect(await world.place("prod").running()).toEqual([world.image(second), world.image(second)]);
  expect(await world.history("prod/web")).toEqual(["succeeded: 2 of 2 tasks ran for 15 s"]);
  expect(await world.workload("prod/web")).toMatchObject({ deployed: { web: second }, holds: [] });
  expect(await world.event("pushed")).toMatchObject({
    state: "done",
    outcome: "observed",
    verdicts: [{ workload: "prod/web", seq: 1 }],
  });
  expect(await world.explain()).toMatch(/prod\/web +1 +succeeded/);
}

/** Which calls of a push that nothing befalls are commits, counted from its first call. */
async function commitsOfAPush(kind: PlaceOptions["kind"]): Promise<readonly number[]> {
  await begin(kind);
  const commits: number[] = [];
  fault = ({ method }, index) => {
    if (method === "commit") commits.push(index);
    return "none";
  };
  await world.hear("pushed");
  await world.close();
  expect(commits.length).toBeGreaterThan(5);
  return commits;
}

/** The same story again for each of these calls. */
async function forEachOf(indexes: readonly number[], story: (index: number) => Promise<void>): Promise<void> {
  for (const index of indexes) {
    await story(index);
    await expectRolledOutOnce();
    if (index !== indexes.at(-1)) await world.close();
  }
}

describe.each(kinds)("a ledger in trouble while a push goes to a %s", (kind) => {
  it("that refuses from the start has the message delivered again until it is back", async () => {
    await begin(kind);
    fault = () => "refuse";
    await world.publish("pushed");
    await world.pass(30_000);
    expect(world.deliveries.length).toBeGreaterThan(3);
    expect(world.deliveries).not.toContain("ack");
    expect(world.toRegistry.passed).toEqual([]);
    expect(world.told).toContainEqual({ severity: "error", message: expect.stringContaining("was refused") });
    fault = () => "none";
    await world.pass(60_000);
    expect(world.deliveries).toContain("ack");
    await world.carryOn();
    await expectRolledOutOnce();
  });

  it("that refuses for 20 s, before or after any write, leads to one update", async () => {
    const commits = await commitsOfAPush(kind);
    await forEachOf([...new Set(commits.flatMap((index) => [index, index + 1]))], async (from) => {
      await begin(kind);
      let untilMs: number | undefined;
      fault = (_, index) => {
        if (index < from) return "none";
        untilMs ??= world.clock.monotonic() + 20_000;
        return world.clock.monotonic() < untilMs ? "refuse" : "none";
      };
      await world.publish("pushed");
      await world.pass(60_000);
      await world.carryOn();
    });
  });

  it("whose answer to a write is lost, whichever that is, writes nothing twice", async () => {
    await forEachOf(await commitsOfAPush(kind), async (at) => {
      await begin(kind);
      fault = (_, index) => (index === at ? "lose-answer" : "none");
      await world.hear("pushed");
      await world.carryOn();
    });
  });

  it("that never answers a write, whichever that is, leads to one update", async () => {
    await forEachOf(await commitsOfAPush(kind), async (at) => {
      await begin(kind);
      fault = (_, index) => (index === at ? "hang" : "none");
      await world.publish("pushed");
      await world.pass(240_000);
      await world.carryOn();
    });
  });
});
