import { wire } from "../../functions/wiring.ts";
import { type Clock, systemClock } from "../../shared/clock.ts";
import { loadConfig } from "../../shared/config/load.ts";
import type { OpenState } from "../../shared/domain/rollout.ts";
import { newBudget } from "../../shared/flows/deps.ts";
import type { FaultPoint } from "../../shared/flows/recorder.ts";
import { sweep } from "../../shared/flows/sweep.ts";
import { take } from "../../shared/flows/take.ts";
import type { Ledger } from "../../shared/ledger/ledger.ts";
import { silentLog } from "../../shared/log.ts";
import { type FaultyLedger, faultyLedger } from "../doubles/faulty-ledger.ts";
import type { Report, Row } from "./report.ts";
import { startSandbox } from "./systems.ts";

/** What a piece of work asked of the ledger and of the systems outside. */
interface Cost {
  readonly reads: number;
  readonly queries: number;
  readonly writes: number;
  readonly writesAt: ReadonlyMap<FaultPoint, number>;
  readonly registryCalls: readonly string[];
  readonly targetCalls: number;
}

const image = { repository: "acme/web", tag: "v1" };
/** Long enough for a verification that waits for nothing, too short for one of ten minutes. */
const shortBudgetMs = 1_500;
/** A verifying rollout is due by then. */
const dueAfterMs = 60_000;

/** Documents read and written, queries, and calls outside: of one rollout, of sweeps, and of an idle minute. */
export async function measureRollout(): Promise<Report> {
  const world = await startWorld();
  try {
    const first = await world.costOf(() => world.push(0));
    const second = await world.costOf(() => world.push(0));
    await world.expect(undefined);
    await world.costOf(() => world.push(10 * dueAfterMs, shortBudgetMs));
    world.pass(dueAfterMs);
    const verifying = await world.costOf(world.sweep);
    await world.expect("verifying");
    world.pass(11 * dueAfterMs);
    await world.costOf(world.sweep);
    await world.expect(undefined);
    world.pass(dueAfterMs);
    const idle = await world.costOf(world.sweep);
    const outside = idle.registryCalls.length + idle.targetCalls;
    return {
      rows: [
        ...rolloutRows("first rollout of a workload", first),
        ...rolloutRows("rollout", second),
        count(
          "sweep that finds it still verifying: reads, the query included",
          verifying.reads + verifying.queries,
          1,
        ),
        count("sweep that finds it still verifying: document writes", verifying.writes, 0),
        count("idle sweep: reads, the query included", idle.reads + idle.queries, 1),
        count("idle sweep: document writes", idle.writes, 0),
        count("idle sweep: calls of registries and targets", outside, 0),
        { what: "registry calls of a push", ours: second.registryCalls.length, unit: "" },
        { what: "target calls of a push, up to succeeded", ours: second.targetCalls, unit: "" },
      ],
      notes: [
        `documents written by a rollout: ${[...second.writesAt].map(([point, writes]) => `${point} ${writes}`).join(" · ")}`,
        `registry calls of a push: ${second.registryCalls.join(", ")}`,
      ],
    };
  } finally {
    await world.stop();
  }
}

function rolloutRows(what: string, cost: Cost): Row[] {
  return [
    count(
      `${what}: document reads and queries (${cost.reads} + ${cost.queries})`,
      cost.reads + cost.queries,
      5,
    ),
    count(`${what}: document writes`, cost.writes, 9),
  ];
}

function count(what: string, ours: number, most: number): Row {
  return { what, ours, unit: "", budget: { at: "most", value: most } };
}

async function startWorld() {
  let aheadMs = 0;
  const clock: Clock = {
    ...systemClock,
    now: () => systemClock.now() + aheadMs,
    monotonic: () => systemClock.monotonic() + aheadMs,
  };
  const { registry, swarm, engine, stop } = await startSandbox(clock);
  const spec = {
    Name: "web",
    TaskTemplate: {
      ContainerSpec: { Image: `${registry.host}/acme/web:v1@${registry.push("acme/web", "v1")}` },
    },
    Mode: { Replicated: { Replicas: 1 } },
    UpdateConfig: { Parallelism: 1, Monitor: 1_000_000, FailureAction: "pause" },
  };
  const created = await swarm.handle("POST", "/services/create", JSON.stringify(spec));
  if (created.status !== 201) throw new Error(created.body);

  let counted: FaultyLedger | undefined;
  const ledgerOf = (inner: Ledger) => {
    counted = faultyLedger(inner);
    return counted;
  };
  let writesAt = new Map<FaultPoint, number>();
  const config = `
follow: ["${registry.host}/*"]
registries: [{ host: "${registry.host}", plainHttp: true }]
targets: [{ name: swarm, kind: swarm, host: "${engine}" }]
`;
  const loaded = loadConfig({ path: "bench", read: () => config });
  const wiring = wire({
    settings: { ledger: { kind: "memory" } },
    config: () => loaded,
    log: silentLog,
    clock,
    ledger: ledgerOf,
    recorder: {
      step: async (point, act) => {
        const before = counted?.counts.documentWrites ?? 0;
        const answer = await act();
        const written = (counted?.counts.documentWrites ?? 0) - before;
        if (written > 0) writesAt.set(point, (writesAt.get(point) ?? 0) + written);
        return answer;
      },
    },
  });
  const deps = await wiring.flows();
  const ledger = counted;
  if (ledger === undefined) throw new Error("the ledger was not wrapped");
  let pushed = 0;

  return {
    pass: (ms: number) => {
      aheadMs += ms;
    },
    /** @param stableForMs how long the tasks have to run until the rollout has succeeded */
    push: async (stableForMs: number, budgetMs?: number) => {
      registry.push(image.repository, image.tag);
      const message = {
        kind: "push",
        event: `event-${++pushed}`,
        heardMs: clock.now(),
        push: { source: "native", registry: registry.host, repository: image.repository, tag: image.tag },
      };
      const data = Buffer.from(JSON.stringify(message)).toString("base64");
      const verify = { timeoutMs: 4 * dueAfterMs + stableForMs, stableForMs };
      const budget = budgetMs === undefined ? newBudget(clock) : { endsMs: clock.monotonic() + budgetMs };
      await take(
        { ...deps, verify },
        { messageId: String(pushed), data, attributes: {}, redelivered: false },
        budget,
      );
    },
    sweep: async () => {
      await sweep(
        { ...deps, verify: { timeoutMs: 20 * dueAfterMs, stableForMs: 10 * dueAfterMs } },
        newBudget(clock),
      );
    },
    /** @throws Error when the workload's rollout is in another state; `undefined`: there is none */
    expect: async (state: OpenState | undefined) => {
      const [workload] = await deps.ledger.workloads();
      if (workload?.value.open?.state !== state) throw new Error(`the rollout is not ${state ?? "over"}`);
    },
    costOf: async (act: () => Promise<void>): Promise<Cost> => {
      ledger.reset();
      writesAt = new Map();
      registry.forgetRequests();
      const targetCalls = swarm.calls.length;
      await act();
      const { documentReads: reads, queries, documentWrites: writes } = ledger.counts;
      const registryCalls = registry.requests
        .filter(({ userAgent }) => userAgent.startsWith("landfall"))
        .map(({ method, path }) => `${method} ${path}`);
      return {
        reads,
        queries,
        writes,
        writesAt,
        registryCalls,
        targetCalls: swarm.calls.length - targetCalls,
      };
    },
    stop: async () => {
      await wiring.close();
      await stop();
    },
  };
}
