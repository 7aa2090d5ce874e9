import fc from "fast-check";
import { expect, it } from "vitest";
import { parseReference } from "../../shared/domain/reference.ts";
import { faultPoints } from "../../shared/flows/recorder.ts";
import { digestOf } from "../flows/world.ts";
import { buildScenarios } from "./build-scenarios.ts";
import { driftScenarios } from "./drift-scenarios.ts";
import { type Death, type Life, live, type Stage } from "./lives.ts";
import { orderScenarios } from "./order-scenarios.ts";
import { previousScenarios } from "./previous-scenarios.ts";
import { rollbackScenarios } from "./rollback-scenarios.ts";
import { scenarios as pushScenarios, type Scenario } from "./scenarios.ts";

const sides = ["before", "after"] as const;
const scenarios = [
  ...pushScenarios,
  ...buildScenarios,
  ...orderScenarios,
  ...driftScenarios,
  ...rollbackScenarios,
  ...previousScenarios,
];
/** A dead process's leases are still running when the next one starts, or all are over. */
const pauses = [0, 120_000] as const;

it.each(scenarios)("acts through the recorder only: $name", async (scenario) => {
  const { lives, stage } = await play(scenario);
  const [{ points, calls } = { points: [], calls: undefined }] = lives;
  const of = (...kinds: readonly string[]) =>
    points.filter((point) => kinds.includes(point.split(".")[0] ?? "")).length;
  const sent = points.filter((point) => point === "letter.send").length;
  expect(points.length).toBeGreaterThan(0);
  expect({
    ledger: of("ref", "image", "event", "order", "drift", "workload", "notice", "letter") - sent,
    registry: of("registry"),
    history: of("history"),
    target: of("target"),
    bus: of("bus") - stage.here.deadLetters.length,
    notifiers: sent,
  }).toEqual(calls);
  await stage.here.close();
});

it("knows a scenario for every fault point", async () => {
  const reached = new Set<string>();
  for (const scenario of scenarios) {
    const { lives, stage } = await play(scenario);
    for (const { points } of lives) for (const point of points) reached.add(point);
    await stage.here.close();
  }
  expect(faultPoints.filter((point) => !reached.has(point))).toEqual([]);
});

it.each(scenarios)("survives a death at each point: $name", { timeout: 60_000 }, async (scenario) => {
  const [undisturbed] = await playAndClose(scenario);
  const steps = undisturbed?.points.length ?? 0;
  expect(steps).toBeGreaterThan(0);
  for (let step = 0; step < steps; step++) {
    for (const side of sides)
      for (const pauseMs of pauses) await playAndClose(scenario, [{ step, side, pauseMs }]);
  }
});

it("looks again when a sweep dies over the tag of one who had died over it", async () => {
  const [scenario] = pushScenarios;
  await playAndClose(scenario, [
    { step: "ref.claim", side: "after", pauseMs: 0 },
    { step: "target.list", side: "before", pauseMs: 0 },
  ]);
});

it("survives deaths of several processes in a row, a sweeping one among them", async () => {
  const death = fc.record({
    step: fc.nat(40),
    side: fc.constantFrom(...sides),
    pauseMs: fc.constantFrom(...pauses),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...scenarios),
      fc.array(death, { minLength: 2, maxLength: 3 }),
      async (scenario, deaths) => {
        await playAndClose(scenario, deaths);
      },
    ),
    { numRuns: 1000 },
  );
}, 120_000);

async function playAndClose(scenario: Scenario, deaths: readonly Death[] = []): Promise<readonly Life[]> {
  const { lives, stage } = await play(scenario, deaths);
  await stage.here.close();
  return lives;
}

async function play(
  scenario: Scenario,
  deaths: readonly Death[] = [],
): Promise<{ readonly lives: readonly Life[]; readonly stage: Stage }> {
  const stage = await scenario.stage();
  const earlier = stage.here.targets.map((target) => target.writes.length);
  const lives: Life[] = [];
  try {
    lives.push(...(await live(stage, deaths)));
    await check(stage, scenario, earlier);
  } catch (error) {
    const story = deaths.map(({ step, side, pauseMs }, index) => {
      const point = typeof step === "number" ? `${step}: ${lives[index]?.points[step]}` : step;
      return `${side} ${point}, next process ${pauseMs} ms later`;
    });
    throw new Error(`${scenario.name}; died ${story.join("; then ") || "never"}`, { cause: error });
  }
  return { lives, stage };
}

/** Nothing lost, nothing twice, nothing backwards. */
async function check({ here, told }: Stage, scenario: Scenario, earlier: readonly number[]): Promise<void> {
  const { restarts = { min: 1, max: 1 }, fails, tells, wants = {}, states } = scenario;
  const wanted = digestOf(here.tagged());
  const holds = scenario.holds ?? (fails ? [here.tagged()] : []);
  const workloads = await Promise.all(here.targets.map((target) => target.list()));
  for (const { id, name, containers } of workloads.flat()) {
    const parsed = parseReference(containers[0]?.image ?? "");
    const own = wants[name] ?? (fails ? "a" : undefined);
    expect(parsed, id).toMatchObject({ reference: { digest: own === undefined ? wanted : digestOf(own) } });
    const all = here.targets.flatMap((target, index) => target.writes.slice(earlier[index]));
    const writes = all.filter((write) => write.workload === id);
    const replaced = writes.filter((write) => write.restarted).length;
    expect(replaced, `restarts of ${id}`).toBeGreaterThanOrEqual(restarts.min);
    expect(replaced, `restarts of ${id}`).toBeLessThanOrEqual(restarts.max);
    const seqs = writes.map(({ seq }) => seq);
    expect(seqs, `rollouts written to ${id}`).toEqual(seqs.toSorted((one, other) => one - other));
  }
  for (const { id, value } of await here.ledger.workloads()) {
    expect(value.open, `open rollout of ${id}`).toBeUndefined();
    expect(value.holds.map(({ digest }) => digest)).toEqual(holds.map(digestOf));
  }
  for (const { id, value } of await here.ledger.rollouts({}, 1000)) {
    const undoes = value.cause.kind === "rollback";
    const own = states ?? [fails && !undoes ? "rolled-back" : "succeeded"];
    expect([...own, "superseded"], id).toContain(value.state);
    expect(value.reason, id).toBeTruthy();
  }
  for (const { id, value } of await here.ledger.events({ nowMs: here.clock.now() }, 1000)) {
    expect(value, id).toMatchObject({ state: "done" });
  }
  expect(here.undelivered).toEqual([]);
  await scenario.check?.(here);
  if (told === undefined) return;
  // What was sent twice had one name: each is in one message.
  const messages = new Map(told.taken.map(({ message, notices }) => [message, notices]));
  const ids = workloads.flat().map(({ id }): string => id);
  const subjects = [...messages.values()].flat().map(({ subject }) => subject);
  expect(subjects.toSorted(), "told").toEqual((tells ?? ids).toSorted());
}
