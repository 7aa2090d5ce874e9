import { expect } from "vitest";
import type { ReconcileMessage } from "../../shared/bus/bus.ts";
import { type FlowDeps, newBudget } from "../../shared/flows/deps.ts";
import { type FullRunOrder, fullRun } from "../../shared/flows/full-run.ts";
import { listener } from "../doubles/listener.ts";
import { digestOf, tag, type World } from "../flows/world.ts";
import type { Stage } from "./lives.ts";
import { known, pushed, type Scenario, type Setting } from "./scenarios.ts";

const never = { min: 0, max: 0 };
const image = "docker.io/acme/web";
const four = ["t1", "t2", "t3", "t4"] as const;

/** Full runs, and freezes that end: what is looked at again without a message. */
export const driftScenarios: readonly Scenario[] = [
  {
    name: "a full run that repairs what lost events left behind",
    stage: async () => {
      const { here } = await deployed();
      here.push("c");
      return asked(here);
    },
  },
  {
    name: "a full run that is asked for by message, twice at once",
    stage: async () => {
      const { here } = await deployed();
      here.push("c");
      const run = { dryRun: false, adopt: false };
      const heardMs = here.clock.now();
      const message: ReconcileMessage = { kind: "reconcile", event: "asked", heardMs, by: "ann", run };
      return { here, heard: [message, { ...message }] };
    },
    check: async (here) =>
      expect((await here.ledger.get("events", "asked"))?.value).toMatchObject({ outcome: "compared" }),
  },
  {
    name: "a full run, and the push that it repairs comes after all",
    stage: async () => {
      const { here } = await deployed();
      here.push("c");
      return { ...asked(here), heard: [here.hear("late")] };
    },
  },
  {
    name: "a full run that knows nothing of what it finds",
    wants: { web: "a", api: "a" },
    restarts: never,
    stage: () => {
      const { here } = pushed();
      return asked(here);
    },
    check: async (here) => {
      const records = await here.ledger.workloads();
      expect(records.map(({ value }) => value.baselineWanted)).toEqual([
        { api: digestOf("b") },
        { web: digestOf("b") },
      ]);
    },
  },
  {
    name: "a full run that finds what somebody else changed, and tells of it",
    wants: { web: "z" },
    restarts: never,
    tells: ["swarm/web"],
    stage: async () => {
      const told = listener();
      const { here } = await deployed({ notifiers: [told] });
      here.target.change("web", { image: `acme/web:${tag}@${digestOf("z")}` });
      return { ...asked(here), told };
    },
  },
  {
    name: "a full run that brings back what somebody else changed",
    restarts: { min: 0, max: 1 },
    stage: async () => {
      const { here } = await deployed();
      here.target.change("web", { image: `acme/web:${tag}@${digestOf("z")}` });
      return asked(here, { adopt: true });
    },
  },
  {
    name: "a full run to whom everything is new at once, and which tells of it",
    wants: Object.fromEntries(four.map((name) => [name, "a"])),
    restarts: never,
    tells: ["swarm"],
    stage: async () => {
      const told = listener();
      const here = await moved({ notifiers: [told] });
      return { ...asked(here), told };
    },
  },
  {
    name: "a full run that carries out what another one was kept from",
    wants: Object.fromEntries(four.map((name) => [name, "b"])),
    stage: async () => {
      const here = await moved();
      const [guard] = (await run(here.instance(), {})).report.guarded;
      return asked(here, { approve: guard?.fingerprint ?? "" });
    },
  },
  {
    name: "a full run that finds a higher version",
    wants: { web: "c" },
    stage: async () => {
      const { here } = pushed({ workloads: [], letter: "a" });
      const labels = { "landfall.policy": "semver:^1" };
      here.target.create("web", `acme/web:1.0.0@${digestOf("b")}`, { labels });
      here.registry.push(image, "1.0.0", digestOf("a"));
      await deliverTag(here, "1.0.0");
      here.registry.push(image, "1.1.0", digestOf("c"));
      return asked(here);
    },
  },
  {
    name: "a freeze that ends",
    stage: () => {
      let endMs = 0;
      const frozenUntil = (_target: string, nowMs: number) => (nowMs < endMs ? endMs : undefined);
      const stage = pushed({ frozenUntil });
      endMs = stage.here.clock.now() + 600_000;
      return stage;
    },
  },
  {
    name: "a freeze that begins before an image has failed",
    fails: true,
    restarts: { min: 2, max: 2 },
    stage: () => {
      let endMs = 0;
      const frozenUntil = (_target: string, nowMs: number) => (nowMs < endMs ? endMs : undefined);
      const stage = pushed({
        workloads: ["web"],
        letter: "X",
        frozenUntil,
        once: [
          "look asked",
          (here) => {
            endMs = here.clock.now() + 600_000;
          },
        ],
      });
      return stage;
    },
  },
];

/** Both workloads were brought to b by an event. */
async function deployed(setting: Setting = {}): Promise<Stage> {
  const stage = pushed(setting);
  await known(stage.here);
  return stage;
}

/** Four tags that were deployed by events, and that all point to something else now. */
async function moved(setting: Setting = {}): Promise<World> {
  const { here } = pushed({ ...setting, workloads: [], letter: "a" });
  for (const name of four) {
    here.target.create(name, `acme/web:${name}@${digestOf("z")}`);
    here.registry.push(image, name, digestOf("a"));
    await deliverTag(here, name);
  }
  for (const name of four) here.registry.push(image, name, digestOf("b"));
  return here;
}

async function deliverTag(here: World, other: string): Promise<void> {
  const message = here.hear(`of ${other}`);
  if (message.kind !== "push") throw new Error("no push");
  await here.deliver({ ...message, push: { ...message.push, tag: other } }, here.instance());
  await here.settle();
}

function asked(here: World, order: Partial<FullRunOrder> = {}): Stage {
  return { here, heard: [], ask: (deps) => run(deps, order) };
}

/** Asks until it is its turn, as whoever schedules full runs does. */
async function run(deps: FlowDeps, order: Partial<FullRunOrder>) {
  for (;;) {
    const whole = { dryRun: false, adopt: false, by: "scheduler", ...order };
    const done = await fullRun(deps, whole, newBudget(deps.clock));
    if (done.kind === "report") return done;
    await deps.clock.sleep(60_000);
  }
}
