import { describe, expect, it } from "vitest";
import { type FlowDeps, newBudget } from "../../shared/flows/deps.ts";
import { fullRunLease } from "../../shared/flows/drift-turn.ts";
import { fullRun } from "../../shared/flows/full-run.ts";
import { reportRows } from "../../shared/flows/report-rows.ts";
import { digestOf, type World, world } from "./world.ts";

const order = { dryRun: false, adopt: false, by: "test" };

async function run(here: World, deps: FlowDeps = here.instance()) {
  const done = await fullRun(deps, order, newBudget(deps.clock));
  if (done.kind === "busy") throw new Error("another run is under way");
  await here.settle();
  return done;
}

async function behind(): Promise<World> {
  const here = world({ workloads: ["web", "api"] });
  here.push("b");
  here.undelivered.push(here.hear("e1"));
  await here.settle();
  here.push("c");
  return here;
}

describe("a full run", () => {
  it("only says what it would do at a target that is observed", async () => {
    const here = await behind();
    const deps = here.instance();
    const targets = deps.targets.map((each) => ({ ...each, mode: "observe" }) as const);
    expect((await run(here, { ...deps, targets })).report.counts).toEqual({ "would-roll-out": 2 });
    expect(here.target.imageOf("web")).toContain(digestOf("b"));
  });

  it("leaves a fight to people, after it has repaired three times", async () => {
    const here = await behind();
    const stored = await here.ledger.get("workloads", "swarm/web");
    if (stored === undefined) throw new Error("it is not on record");
    const repairs = [1, 2, 3].map((hours) => ({
      digest: digestOf("c"),
      atMs: here.clock.now() - hours * 3_600_000,
    }));
    const value = { ...stored.value, repairs };
    await here.ledger.commit("t", [{ collection: "workloads", id: stored.id, expect: stored.rev, value }]);
    const { rows } = await run(here);
    const fought = rows?.find(({ workload }) => workload === "swarm/web");
    expect(fought).toMatchObject({ verdict: "skipped", reason: expect.stringMatching(/^fighting: /) });
    expect(here.target.imageOf("web")).toContain(digestOf("b"));
    expect(here.target.imageOf("api")).toContain(digestOf("c"));
  });

  it("counts what nobody follows, and asks nothing about it", async () => {
    const here = world({ workloads: { web: `acme/web:v1@${digestOf("a")}`, other: "acme/other:v1" } });
    const follows = (repository: string) => repository === "docker.io/acme/web";
    const { report, rows } = await run(here, { ...here.instance(), follows });
    expect(rows?.map(({ workload }) => workload)).toEqual(["swarm/web"]);
    expect(report.targets).toEqual([{ target: "swarm", workloads: 1, unmanaged: 1, references: 1 }]);
  });

  it("asks once for 1,100 workloads, and answers rows of none: they are in the ledger", async () => {
    let heads = 0;
    const here = world({
      workloads: Array.from({ length: 1_100 }, (_, n) => `s${n}`),
      between: (inner) => ({
        ...inner,
        head: (...asked) => {
          heads++;
          return inner.head(...asked);
        },
      }),
    });
    for (let times = 1; times <= 2; times++) {
      const { id, report, rows } = await run(here);
      expect(rows).toBeUndefined();
      expect(report).toMatchObject({ counts: { "in-sync": 1_100 }, chunks: 3 });
      expect(new Set((await reportRows(here.ledger, id, report)).map((row) => row.workload)).size).toBe(
        1_100,
      );
      expect(heads).toBe(times);
    }
  });

  it("ends when another one has begun, and deploys nothing any more", async () => {
    const here = await behind();
    const deps = here.instance();
    const other = { id: "drift-other", by: "ada", untilMs: here.clock.now() + 3_600_000 };
    const recorder: FlowDeps["recorder"] = {
      step: async (point, act) => {
        const answer = await act();
        if (point === "target.list") {
          const stored = await here.ledger.get("leases", fullRunLease);
          const expected = stored?.rev ?? 0;
          const value = { ...stored?.value, holder: other };
          await here.ledger.commit("other", [
            { collection: "leases", id: fullRunLease, expect: expected, value },
          ]);
          here.clock.set(here.clock.now() + 120_000);
        }
        return answer;
      },
    };
    const done = await fullRun({ ...deps, recorder }, order, newBudget(deps.clock));
    expect(done).toEqual({ kind: "busy", ...other });
    expect(here.target.imageOf("web")).toContain(digestOf("b"));
    expect((await here.ledger.get("leases", fullRunLease))?.value.holder).toEqual(other);
  });

  it("makes its turn last while it goes on", async () => {
    const here = await behind();
    const deps = here.instance();
    const until: number[] = [];
    const recorder: FlowDeps["recorder"] = {
      step: async (point, act) => {
        const answer = await act();
        if (point === "drift.lease") {
          until.push((await here.ledger.get("leases", fullRunLease))?.value.holder?.untilMs ?? 0);
        }
        if (point === "registry.head") here.clock.set(here.clock.now() + 120_000);
        return answer;
      },
    };
    await fullRun({ ...deps, recorder }, order, newBudget(deps.clock));
    expect(until).toHaveLength(3);
    expect(until[1]).toBeGreaterThan(until[0] ?? 0);
    expect(until[2]).toBe(0);
  });
});
