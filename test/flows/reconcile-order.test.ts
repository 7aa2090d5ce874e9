import { describe, expect, it } from "vitest";
import type { ReconcileMessage } from "../../shared/bus/bus.ts";
import type { FlowDeps } from "../../shared/flows/deps.ts";
import { fullRunLease } from "../../shared/flows/drift-turn.ts";
import { plainRecorder } from "../../shared/flows/recorder.ts";
import type { EventDocument } from "../../shared/ledger/ledger.ts";
import { digestOf, type World, world } from "./world.ts";

const minute = 60_000;

function asked(here: World, run: Partial<ReconcileMessage["run"]> = {}): ReconcileMessage {
  return {
    kind: "reconcile",
    event: "reconcile-1",
    heardMs: here.clock.now(),
    by: "ada@acme.io",
    run: { dryRun: false, adopt: false, ...run },
  };
}

/** A world whose workloads were deployed by an event, and then missed one. */
async function behind(): Promise<World> {
  const here = world({ workloads: ["web", "api"] });
  here.push("b");
  here.undelivered.push(here.hear("e1"));
  await here.settle();
  here.push("c");
  return here;
}

async function eventOf(here: World): Promise<EventDocument | undefined> {
  return (await here.ledger.get("events", "reconcile-1"))?.value;
}

async function otherRun(here: World, forMs: number): Promise<void> {
  const stored = await here.ledger.get("leases", fullRunLease);
  const value = {
    ...stored?.value,
    holder: { id: "drift-0", by: "timer", untilMs: here.clock.now() + forMs },
  };
  const write = { collection: "leases", id: fullRunLease, expect: stored?.rev ?? 0, value } as const;
  expect(await here.ledger.commit("other", [write])).toEqual({ kind: "committed" });
}

/** How many lists of workloads were asked for: one a full run. */
function counting(deps: FlowDeps): { readonly deps: FlowDeps; readonly lists: () => number } {
  let lists = 0;
  const recorder: FlowDeps["recorder"] = {
    step: (point, act) => {
      if (point === "target.list") lists++;
      return plainRecorder.step(point, act);
    },
  };
  return { deps: { ...deps, recorder }, lists: () => lists };
}

describe("a full run that somebody asks for by message", () => {
  it("is carried out, and its event names the report and the rollouts that it began", async () => {
    const here = await behind();
    await here.deliver(asked(here), here.instance());
    const event = await eventOf(here);
    expect(event).toMatchObject({ state: "done", outcome: "compared", by: "ada@acme.io" });
    const begun = event?.verdicts.map(({ workload, kind, seq }) => `${workload} ${kind} ${seq}`);
    expect(begun?.toSorted()).toEqual(["swarm/api planned 2", "swarm/web planned 2"]);
    const report = await here.ledger.get("reports", event?.report ?? "");
    expect(report?.value).toMatchObject({ by: "ada@acme.io", counts: { missed: 2 } });
    await here.settle();
    expect(here.target.imageOf("web")).toContain(digestOf("c"));
  });

  it("names 200 of the rollouts that a large run began, and counts the others", async () => {
    const names = Array.from({ length: 1_050 }, (_, n) => `w${n}`);
    const here = world({ workloads: names });
    here.push("b");
    await here.deliver(asked(here, { adopt: true }), here.instance());
    const event = await eventOf(here);
    expect(event?.verdicts).toHaveLength(200);
    expect(event?.more).toBe(850);
  });

  it("does not run again when its message is delivered again", async () => {
    const here = await behind();
    const message = asked(here);
    const { deps, lists } = counting(here.instance());
    await here.deliver(message, deps);
    const before = await eventOf(here);
    await here.deliver(message, deps, true);
    expect(lists()).toBe(1);
    expect(await eventOf(here)).toEqual(before);
  });

  it("runs once though its message is delivered twice at the same time, and does not wait for itself", async () => {
    const here = await behind();
    const message = asked(here);
    const outcomes: unknown[] = [];
    let lists = 0;
    let waiting: (() => void)[] | undefined = [];
    const recorder: FlowDeps["recorder"] = {
      step: async (point, act) => {
        if (point === "target.list") lists++;
        if (point !== "order.record") return plainRecorder.step(point, act);
        // Both have read that nobody is at it before either of them writes.
        if (waiting?.length === 1) {
          const [go] = waiting;
          waiting = undefined;
          go?.();
        } else if (waiting !== undefined) {
          await new Promise<void>((go) => waiting?.push(go));
        }
        const result = await plainRecorder.step(point, act);
        outcomes.push((await eventOf(here))?.outcome);
        return result;
      },
    };
    const deps = here.instance(recorder);
    await Promise.all([here.deliver(message, deps), here.deliver(message, deps, true)]);
    expect(lists).toBe(1);
    expect(outcomes).toEqual(["comparing", "comparing", "compared"]);
  });

  it("waits for another full run, says whose that is, and runs when it is over", async () => {
    const here = await behind();
    await otherRun(here, 3 * minute);
    await here.deliver(asked(here), here.instance());
    const until = new Date(here.clock.now() + 3 * minute).toISOString();
    expect(await eventOf(here)).toMatchObject({
      state: "waiting",
      outcome: "busy",
      detail: `asked by timer, until ${until} at the latest`,
      dueMs: here.clock.now() + minute,
    });
    expect(here.target.imageOf("web")).toContain(digestOf("b"));
    await here.settle();
    expect(await eventOf(here)).toMatchObject({ state: "done", outcome: "compared" });
    expect(here.target.imageOf("web")).toContain(digestOf("c"));
  });

  it("says in its event how far it is", async () => {
    const here = world({ others: { other: ["web"] } });
    const seen: unknown[] = [];
    const recorder: FlowDeps["recorder"] = {
      step: async (point, act) => {
        const isSlow = point === "registry.head" || point === "drift.baseline";
        if (isSlow) here.clock.set(here.clock.now() + 3_000);
        const result = await plainRecorder.step(point, act);
        if (point === "order.record") seen.push((await eventOf(here))?.detail);
        return result;
      },
    };
    await here.deliver(asked(here), here.instance(recorder));
    expect(seen.some((detail) => /^1 of 2 targets compared/.test(String(detail)))).toBe(true);
    expect(await eventOf(here)).toMatchObject({ state: "done", outcome: "compared" });
  });

  it("begins anew after whoever was at it has died", async () => {
    const here = await behind();
    const message = asked(here);
    const dying: FlowDeps["recorder"] = {
      step: (point, act) =>
        point === "registry.head" ? new Promise(() => {}) : plainRecorder.step(point, act),
    };
    void here.deliver(message, here.instance(dying));
    await until(async () => (await eventOf(here))?.outcome === "comparing");
    await here.deliver(message, here.instance(), true);
    expect(await eventOf(here)).toMatchObject({ state: "waiting", outcome: "comparing" });
    await here.settle();
    expect(await eventOf(here)).toMatchObject({ state: "done", outcome: "compared" });
    expect(here.target.imageOf("web")).toContain(digestOf("c"));
  });

  it("is refused when it names a target that the configuration does not have", async () => {
    const here = await behind();
    await here.deliver(asked(here, { targets: ["swarm", "swram"] }), here.instance());
    expect(await eventOf(here)).toMatchObject({
      state: "done",
      outcome: "refused",
      detail: "the configuration has no target swram",
    });
  });

  it("goes by the configuration as it is at that moment", async () => {
    const here = await behind();
    const old = here.instance();
    const changed: FlowDeps = { ...old, targets: old.targets.map((each) => ({ ...each, mode: "observe" })) };
    await here.deliver(asked(here), { ...old, fresh: async () => changed });
    expect(await eventOf(here)).toMatchObject({ state: "done", verdicts: [] });
    expect(here.target.imageOf("web")).toContain(digestOf("b"));
  });
});

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 1_000; tries++) {
    if (await holds()) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error("it never came");
}
