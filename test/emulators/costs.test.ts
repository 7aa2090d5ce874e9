import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { newBudget } from "../../shared/flows/deps.ts";
import type { Recorder } from "../../shared/flows/recorder.ts";
import { sweep } from "../../shared/flows/sweep.ts";
import type { Ledger } from "../../shared/ledger/ledger.ts";
import { type World, world } from "../flows/world.ts";
import {
  type FirestoreProject,
  firestoreProject,
  percentiles,
  type Watched,
  watched,
} from "./firestore-emulator.ts";

/** The budgets of a rollout, as Firestore bills it: https://cloud.google.com/firestore/pricing */
const maxReads = 5;
const maxWrites = 9;

describe("in Firestore", () => {
  let project: FirestoreProject;
  let watch: Watched;
  let here: World;
  let ledger: Ledger;
  beforeEach(() => {
    watch = watched();
    project = firestoreProject();
    ledger = project.ledger(watch);
    // The world's time stands still between its steps; the server's does not.
    here = world({ ledger: (inner) => ({ ...ledger, clock: () => inner.clock() }) });
  });
  afterEach(() => here.close());

  async function push(letter: string, event: string): Promise<void> {
    here.push(letter);
    await here.deliver(here.hear(event, letter), here.instance());
  }

  it("a push, from heard to rolled out and verified, keeps within its budget", async () => {
    await push("b", "first");
    const first = watch.spent();
    await push("c", "second");
    const second = watch.spent();
    const { value } = (await ledger.get("workloads", "swarm/web")) ?? {};
    expect(value).toMatchObject({ seq: 2 });
    expect(value?.open).toBeUndefined();
    for (const { reads, writes, deletes, refused } of [first, second]) {
      expect({ deletes, refused }).toEqual({ deletes: 0, refused: 0 });
      expect(reads).toBeLessThanOrEqual(maxReads);
      expect(writes).toBeLessThanOrEqual(maxWrites);
    }
    report(`first push: ${JSON.stringify(first)}; next one: ${JSON.stringify(second)}`);
  });

  it("a sweep costs one query when nothing is due", async () => {
    await push("b", "first");
    const deps = here.instance();
    watch.spent();
    expect((await sweep(deps, newBudget(here.clock))).work).toEqual([]);
    expect(watch.spent()).toEqual({ calls: 1, reads: 1, writes: 0, deletes: 0, refused: 0 });
  });

  it("a sweep that finds a rollout still verifying costs one read, and no more for another instance's", async () => {
    const dead = Promise.withResolvers<void>();
    const dies: Recorder = {
      step: async (point, act) => {
        const answer = await act();
        if (point !== "workload.accepted") return answer;
        dead.resolve();
        return new Promise(() => {});
      },
    };
    here.push("b");
    void here.deliver(here.hear("e", "b"), here.instance(dies));
    await dead.promise;
    here.clock.set(here.clock.now() + 120_000);
    const seen = watched();
    const other = project.ledger(seen);
    const deps = { ...here.instance(), ledger: { ...other, clock: () => here.ledger.clock() } };
    const look = () => sweep(deps, newBudget(here.clock));
    expect((await look()).work).toMatchObject([{ kind: "rollout", outcome: "carried-on" }]);
    seen.spent();
    expect((await look()).work).toHaveLength(1);
    expect(seen.spent()).toEqual({ calls: 1, reads: 1, writes: 0, deletes: 0, refused: 0 });
    here.clock.set(here.clock.now() + 5_000);
    await look();
    report(`the end of a rollout that another instance began: ${JSON.stringify(seen.spent())}`);
    expect((await other.get("rollouts", "swarm/web/1"))?.value.state).toBe("succeeded");
    await other.close();
  });

  it("every call has its time", async () => {
    for (let n = 0; n < 50; n++) {
      await push(String.fromCharCode(100 + n), `e-${n}`);
      await ledger.due(here.clock.now(), 100);
      await ledger.get("workloads", "swarm/web");
    }
    const calls = Object.entries(watch.tookMs).map(([kind, tookMs]) => `${kind}: ${percentiles(tookMs)}`);
    report(calls.join("; "));
    expect(watch.tookMs.commit.length).toBeGreaterThan(100);
  });
});

function report(line: string): void {
  process.stdout.write(`      ${line}\n`);
}
