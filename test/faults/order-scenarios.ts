import { expect } from "vitest";
import type { Message, OrderMessage } from "../../shared/bus/bus.ts";
import type { Order } from "../../shared/domain/order.ts";
import { imageWorld } from "../flows/image-world.ts";
import { digestOf, type World } from "../flows/world.ts";
import type { Stage } from "./lives.ts";
import { awayAt, known, pushed, type Scenario, type Setting } from "./scenarios.ts";

const never = { min: 0, max: 0 };
const image = "docker.io/acme/web";
const workload = "swarm/web";
const b = digestOf("b");

/** Orders, and what each of them leaves to be done. */
export const orderScenarios: readonly Scenario[] = [
  {
    name: "an order to deploy a tag",
    wants: { web: "c" },
    stage: async () => {
      const { here } = await at("b");
      here.registry.push(image, "v2", digestOf("c"));
      return ordered(here, { do: "deploy", workload, image, tag: "v2", until: "next" });
    },
    check: async (here) => expect((await recordOf(here)).pin).toMatchObject({ until: "next", by: "ann" }),
  },
  {
    name: "an order to go back, while a push is heard",
    wants: { web: "a" },
    // The push may come first: then it is what is gone back from.
    restarts: { min: 1, max: 3 },
    stage: async () => {
      const { here } = await at("b");
      const stage = ordered(here, { do: "rollback", workload, until: "release" });
      return { here, heard: [...stage.heard, here.hear("again")] };
    },
    check: async (here) => expect((await recordOf(here)).pin).toMatchObject({ until: "release" }),
  },
  {
    name: "an order to go back that comes twice at once",
    wants: { web: "a" },
    stage: async () => {
      const { here } = await at("b");
      const { heard } = ordered(here, { do: "rollback", workload, until: "next" });
      return { here, heard: heard.flatMap((message) => [message, { ...message }]) };
    },
  },
  {
    name: "an order to go back, together with its channel",
    wants: { web: "m1" },
    stage: async () => {
      const here = imageWorld();
      await here.built("m1");
      await here.settle();
      here.pushed("m2");
      await here.built("m2");
      await here.settle();
      return ordered(here, { do: "rollback", workload, until: "next", channel: true });
    },
    check: async (here) => expect(here.registry.digestOf(image, "prod")).toBe(digestOf("m1")),
  },
  {
    name: "an order that cannot be carried out",
    restarts: never,
    stage: () => ordered(started().here, { do: "rollback", workload, until: "next" }),
    check: async (here) => expect((await here.ledger.get("events", "order"))?.value.outcome).toBe("refused"),
  },
  {
    name: "an order to hold a digest, and then its push",
    wants: { web: "a" },
    restarts: never,
    holds: ["b"],
    stage: () => ordered(started().here, { do: "hold", image, digest: b, workload }),
    check: refusesB("held"),
  },
  {
    name: "an order to hold a digest everywhere, and then its push",
    wants: { web: "a" },
    restarts: never,
    stage: () => ordered(started().here, { do: "hold", image, digest: b }),
    check: refusesB("held"),
  },
  {
    name: "an order to leave a workload alone, and then a push",
    wants: { web: "a" },
    restarts: never,
    stage: () => ordered(started().here, { do: "pause", workload }),
    check: refusesB("paused"),
  },
  {
    name: "an order to release what was held",
    stage: () => kept([{ do: "hold", image, digest: b, workload }], { do: "release", workload, digest: b }),
  },
  {
    name: "an order to release what was held, of a workload whose target is away",
    stage: async () => ({
      ...(await kept([{ do: "hold", image, digest: b, workload }], { do: "release", workload })),
      troubles: awayAt("get"),
    }),
  },
  {
    name: "an order to release what was held everywhere",
    stage: () =>
      kept(
        [{ do: "hold", image, digest: b }],
        { do: "release", image, digest: b },
        { workloads: ["web", "api"] },
      ),
  },
  {
    name: "an order to release what was held everywhere, while a target is away",
    stage: async () => ({
      ...(await kept([{ do: "hold", image, digest: b }], { do: "release", image, digest: b })),
      troubles: awayAt("list"),
    }),
  },
  {
    name: "an order to release a workload that follows the highest version",
    wants: { web: "c" },
    stage: async () => {
      const here = started().here;
      here.target.create("web", `acme/web:1.0.0@${digestOf("a")}`, {
        labels: { "landfall.policy": "semver:^1" },
      });
      here.registry.push(image, "1.0.0", digestOf("a"));
      await carriedOut(here, { do: "pause", workload });
      here.registry.push(image, "1.1.0", digestOf("c"));
      await delivered(here, ofTag(here.hear("pushed"), "1.1.0"));
      return ordered(here, { do: "resume", workload });
    },
  },
  {
    name: "an order that a paused workload goes on",
    stage: () => kept([{ do: "pause", workload }], { do: "resume", workload }),
  },
  {
    name: "an order that a paused workload goes on, whose target is away",
    stage: async () => ({
      ...(await kept([{ do: "pause", workload }], { do: "resume", workload })),
      troubles: awayAt("get"),
    }),
  },
  {
    name: "a pause that ends",
    stage: async () => {
      const { here } = started();
      const untilMs = here.clock.now() + 600_000;
      await here.deliver(orderOf(here, "earlier", { do: "pause", workload, untilMs }), here.instance());
      here.push("b");
      await here.deliver(here.hear("pushed"), here.instance());
      return { here, heard: [] };
    },
    check: async (here) => expect(await recordOf(here)).not.toHaveProperty("pause"),
  },
  {
    name: "an order to take a push again",
    stage: async () => {
      const { here } = started();
      await known(here);
      here.push("b");
      return ordered(here, { do: "replay", of: "known" });
    },
  },
  {
    name: "an order to take a build again",
    wants: { web: "m1" },
    restarts: never,
    stage: async () => {
      const here = imageWorld();
      await here.built("m1");
      await here.settle();
      const [built] = await here.ledger.events({ nowMs: here.clock.now() }, 10);
      return ordered(here, { do: "replay", of: built?.id ?? "" });
    },
  },
  {
    name: "an order to accept a build that git cannot place",
    wants: { web: "s" },
    stage: async () => {
      const here = imageWorld();
      await here.built("m3");
      await here.settle();
      here.pushed("s");
      await here.built("s");
      await here.settle();
      return ordered(here, { do: "accept", image, tag: here.id("s") });
    },
    check: async (here) => expect(here.registry.digestOf(image, "prod")).toBe(digestOf("s")),
  },
  {
    name: "an order to take again what nobody has heard of",
    restarts: never,
    stage: () => ordered(started().here, { do: "replay", of: "nothing" }),
  },
  {
    name: "an order to release a workload on a channel",
    wants: { web: "m2" },
    stage: async () => {
      const here = imageWorld();
      await here.built("m1");
      await here.settle();
      await carriedOut(here, { do: "pause", workload });
      here.pushed("m2");
      await here.built("m2");
      await here.settle();
      return ordered(here, { do: "resume", workload });
    },
  },
  {
    name: "an order that a build which was held back is the head",
    wants: { web: "s" },
    stage: async () => {
      const here = imageWorld();
      for (const name of ["m1", "m3", "s"]) {
        await here.built(name);
        await here.settle();
      }
      return ordered(here, { do: "accept", image, tag: here.id("s") });
    },
    check: async (here) => {
      const events = await here.ledger.events({ nowMs: here.clock.now() }, 20);
      expect(events.map(({ value }) => value.outcome)).not.toContain("held-back");
    },
  },
  {
    name: "an order to release everywhere what a channel has",
    wants: { web: "m2" },
    stage: async () => {
      const here = imageWorld();
      await here.built("m1");
      await here.settle();
      await carriedOut(here, { do: "hold", image, digest: digestOf("m2") });
      here.pushed("m2");
      await here.built("m2");
      await here.settle();
      return ordered(here, { do: "release", image, digest: digestOf("m2") });
    },
  },
];

/** A world in which nothing has happened yet. */
function started(setting: Setting = {}): Stage {
  return pushed({ workloads: ["web"], letter: "a", ...setting });
}

/** The workload was brought to what the tag points to. */
async function at(letter: string): Promise<Stage> {
  const stage = pushed({ workloads: ["web"], letter });
  await known(stage.here);
  return stage;
}

function ordered(here: World, order: Order): Stage {
  return { here, heard: [orderOf(here, "order", order)] };
}

function orderOf(here: World, event: string, order: Order): OrderMessage {
  return { kind: "order", event, heardMs: here.clock.now(), by: "ann", order };
}

async function carriedOut(here: World, order: Order): Promise<void> {
  await delivered(here, orderOf(here, `earlier ${order.do}`, order));
}

async function delivered(here: World, message: Message): Promise<void> {
  await here.deliver(message, here.instance());
  await here.settle();
}

/** Orders keep what was pushed from a workload, and then another one lets it go on. */
async function kept(orders: readonly Order[], order: Order, setting: Setting = {}): Promise<Stage> {
  const { here } = started(setting);
  for (const each of orders) await carriedOut(here, each);
  here.push("b");
  await delivered(here, here.hear("pushed"));
  expect(here.target.writes).toEqual([]);
  return ordered(here, order);
}

/** A push of b that is heard after the order does nothing, for that reason. */
function refusesB(reason: string): NonNullable<Scenario["check"]> {
  return async (here) => {
    here.push("b");
    await delivered(here, here.hear("late"));
    expect(here.target.writes).toEqual([]);
    expect((await here.ledger.get("events", "late"))?.value.verdicts).toMatchObject([{ reason }]);
  };
}

async function recordOf(here: World) {
  const stored = await here.ledger.get("workloads", workload);
  if (stored === undefined) throw new Error(`${workload} is not on record`);
  return stored.value;
}

function ofTag(message: Message, other: string): Message {
  return message.kind === "push" ? { ...message, push: { ...message.push, tag: other } } : message;
}
