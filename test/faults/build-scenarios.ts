import { expect } from "vitest";
import type { Message } from "../../shared/bus/bus.ts";
import { historyOf } from "../contracts/history-graphs.ts";
import { modelHistory } from "../doubles/model-history.ts";
import { channelRule, type ImageWorld, imageWorld, line, repository } from "../flows/image-world.ts";
import { digestOf, type World } from "../flows/world.ts";
import type { Stage } from "./lives.ts";
import type { Scenario } from "./scenarios.ts";
import { historyAway, promotionAway, promotionLost, targetAway } from "./troubles.ts";

const never = { min: 0, max: 0 };
const m1 = digestOf("m1");
const idOf: (name: string) => string = modelHistory(line).id;
/** `web` runs the channel prod, `api` the commit. */
const both = { web: `acme/web:prod@${m1}`, api: `acme/web:${idOf("m1")}@${m1}` };

/** The way of a build through the flows, of promotions and of orders about channels. */
export const buildScenarios: readonly Scenario[] = [
  { name: "a first build", ...ends("m2"), stage: () => stage({ first: undefined, builds: ["m2"] }) },
  { name: "a newer build", ...ends("m2"), stage: () => stage({ builds: ["m2"] }) },
  {
    name: "an older build",
    ...ends("m3"),
    restarts: never,
    stage: () => stage({ first: "m3", builds: ["m2"] }),
  },
  {
    name: "two builds at once, the newer one first",
    ...ends("m3"),
    restarts: { min: 1, max: 2 },
    stage: () => stage({ builds: ["m3", "m2"] }),
  },
  {
    name: "one build that is told twice at once",
    ...ends("m2"),
    stage: () => stage({ builds: ["m2", "m2"] }),
  },
  {
    name: "a newer build while the first one is promoted",
    ...ends("m3"),
    restarts: { min: 1, max: 2 },
    stage: () => stage({ builds: ["m2"], once: ["PUT asked", "m3"] }),
  },
  {
    name: "a newer build while workloads are planned for the first one",
    ...ends("m3"),
    restarts: { min: 1, max: 2 },
    stage: () => stage({ builds: ["m2"], once: ["list answered", "m3"] }),
  },
  {
    name: "the same image under a new commit",
    ...ends("m1"),
    restarts: never,
    stage: async () => {
      const here = await stage({ builds: ["m2"] });
      here.here.registry.push(repository, idOf("m2"), m1);
      return here;
    },
  },
  ...(["head", "get", "put"] as const).map(
    (method): Scenario => ({
      name: `a registry that is away at a promotion's ${method}`,
      ...ends("m2"),
      stage: async () => ({ ...(await stage({ builds: ["m2"] })), troubles: promotionAway(method) }),
    }),
  ),
  {
    name: "a promotion whose answer is lost",
    ...ends("m2"),
    stage: async () => ({ ...(await stage({ builds: ["m2"] })), troubles: promotionLost() }),
  },
  {
    name: "a git host that is away for a while",
    ...ends("m2"),
    stage: async () => ({ ...(await stage({ builds: ["m2"] })), troubles: historyAway(3) }),
  },
  {
    name: "a target that is away when a build's workloads are listed",
    ...ends("m2"),
    stage: async () => ({ ...(await stage({ builds: ["m2"] })), troubles: targetAway() }),
  },
  {
    name: "a build and the registry's report of our own promotion",
    ...ends("m2"),
    stage: () => stage({ builds: ["m2"], reports: ["m2"] }),
  },
  {
    name: "a build and a report of our own promotion that names no digest",
    ...ends("m2"),
    stage: () => stage({ builds: ["m2"], reports: [undefined] }),
  },
  ...["foreign", undefined].map(
    (digest): Scenario => ({
      name: `a foreign push to the channel, ${digest === undefined ? "without" : "with"} its digest`,
      wants: { web: "m1", api: "m1" },
      restarts: never,
      stage: async () => {
        const staged = await stage({ reports: [digest] });
        staged.here.registry.push(repository, "prod", digestOf("foreign"));
        return staged;
      },
      check: async (here) => {
        expect(here.registry.digestOf(repository, "prod")).toBe(digestOf("foreign"));
        expect((await prodOf(here))?.conflict).toMatchObject({ found: digestOf("foreign") });
      },
    }),
  ),
  {
    name: "a channel that somebody else moved, found by a build",
    wants: { web: "m1", api: "m2" },
    restarts: { min: 0, max: 1 },
    stage: async () => {
      const staged = await stage({ builds: ["m2"] });
      staged.here.registry.push(repository, "prod", digestOf("foreign"));
      return staged;
    },
    check: async (here) => {
      expect(here.registry.puts.map(({ digest }) => digest)).toEqual([m1]);
      expect((await prodOf(here))?.conflict).toMatchObject({ found: digestOf("foreign") });
    },
  },
  {
    name: "what somebody else put there, adopted",
    wants: { web: "foreign", api: "m1" },
    restarts: { min: 0, max: 1 },
    stage: () => moved("adopt"),
    check: async (here) => {
      expect(here.registry.puts).toHaveLength(1);
      expect(await prodOf(here)).toMatchObject({ promoted: { digest: digestOf("foreign"), by: "ann" } });
    },
  },
  {
    name: "what somebody else moved, put back",
    ...ends("m1"),
    restarts: never,
    stage: () => moved("restore"),
  },
  {
    name: "a channel by hand, and its order",
    ...ends("m2"),
    // What follows the commit has it before the order.
    restarts: { min: 0, max: 1 },
    stage: () => stage({ first: "m2", byHand: true, orders: ["move"] }),
  },
  {
    name: "an order that is refused",
    ...ends("m1"),
    restarts: never,
    stage: () => stage({ orders: ["adopt"] }),
  },
  {
    name: "a channel after another one, with a soak",
    wants: { web: "m2", shop: "m2" },
    stage: chained,
    check: async (here) => {
      expect(here.registry.digestOf(repository, "prod")).toBe(digestOf("m2"));
      expect(await prodOf(here)).toMatchObject({ promoted: { digest: digestOf("m2") } });
    },
  },
];

/** Everything ends at a commit, the tag only ever moved forward, and nothing is left to do. */
function ends(name: string): Pick<Scenario, "wants" | "check"> {
  return {
    wants: { web: name, api: name },
    check: async (here) => {
      expect(here.registry.digestOf(repository, "prod")).toBe(digestOf(name));
      const channel = await prodOf(here);
      expect(channel).toMatchObject({ promoted: { digest: digestOf(name) } });
      expect(channel).not.toHaveProperty("intent");
      expect(channel).not.toHaveProperty("conflict");
      const put = here.registry.puts.map(({ digest }) =>
        line.commits.find((each) => digestOf(each.name) === digest),
      );
      for (const [index, { name: next = "" } = {}] of put.entries()) {
        const before = put[index - 1]?.name;
        if (before !== undefined)
          expect([...historyOf(line, next)], "a PUT that goes back").toContain(before);
      }
    },
  };
}

async function prodOf(here: World) {
  const stored = await here.ledger.get("images", repository);
  expect(stored?.value.dueMs, "something is due").toBeUndefined();
  return stored?.value.channels.prod;
}

interface Setting {
  /** What is built and at rest before, default m1. */
  readonly first?: string | undefined;
  readonly builds?: readonly string[];
  /** Digests in reports of pushes to prod. */
  readonly reports?: readonly (string | undefined)[];
  readonly orders?: readonly ("move" | "adopt" | "restore")[];
  readonly byHand?: boolean;
  /** A commit's build comes when that is reached for the first time. */
  readonly once?: readonly [label: string, name: string];
}

async function stage(setting: Setting): Promise<Stage & { readonly here: ImageWorld }> {
  const { builds = [], reports = [], orders = [], byHand = false, once } = setting;
  const first = "first" in setting ? setting.first : "m1";
  let isSet = false;
  const here: ImageWorld = imageWorld({
    channels: [channelRule("prod", { byHand })],
    workloads: both,
    turn: async (label) => {
      if (!isSet || label !== once?.[0]) return;
      isSet = false;
      here.pushed(once[1]);
      here.undelivered.push(build(once[1]));
    },
  });
  if (first !== undefined) await here.built(first);
  await here.settle();
  for (const name of builds) here.pushed(name);
  isSet = true;
  return { here, heard: [...builds.map(build), ...reports.map(report(here)), ...orders.map(order(here))] };
}

const build = (name: string): Message => ({ kind: "build", image: repository, tag: idOf(name) });

const report =
  (here: World) =>
  (digest: string | undefined, index: number): Message => {
    const message = here.hear(`report-${index}`, digest);
    return message.kind === "push" ? { ...message, push: { ...message.push, tag: "prod" } } : message;
  };

const order =
  (here: World) =>
  (how: "move" | "adopt" | "restore", index: number): Message => {
    const about = { image: repository, channel: "prod", how, by: "ann" } as const;
    return { kind: "promote", event: `order-${index}`, heardMs: here.clock.now(), ...about };
  };

/** Somebody has moved prod, Landfall has noticed, and a person decides. */
async function moved(how: "adopt" | "restore"): Promise<Stage> {
  const { here } = await stage({});
  here.registry.push(repository, "prod", digestOf("foreign"));
  await here.reported("notice", "foreign");
  return { here, heard: [order(here)(how, 0)] };
}

/** int on one target, then prod on another one. */
async function chained(): Promise<Stage> {
  const here = imageWorld({
    channels: [
      channelRule("int", { targets: ["swarm"] }),
      channelRule("prod", { targets: ["live"], after: "int", soakMs: 300_000 }),
    ],
    workloads: { web: `acme/web:int@${m1}` },
    others: { live: { shop: `acme/web:prod@${m1}` } },
  });
  await here.built("m1");
  await here.settle();
  here.pushed("m2");
  return { here, heard: [build("m2")] };
}
