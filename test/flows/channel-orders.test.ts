import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { RegistryUnavailableError } from "../../shared/errors.ts";
import type { FaultPoint } from "../../shared/flows/recorder.ts";
import { channelRule, type ImageWorld, imageWorld, repository } from "./image-world.ts";
import { digestOf, mortal } from "./world.ts";

let here: ImageWorld;
afterEach(async () => {
  await here.close();
});

const alerts = () => here.told.filter((each) => each.startsWith("alert"));

/** prod was at m2, and somebody has moved it; Landfall has noticed. */
async function moved(to: string | undefined): Promise<void> {
  here = imageWorld();
  await here.built("m1");
  await here.built("m2");
  await here.settle();
  if (to === undefined) here.registry.remove(repository, "prod");
  else here.registry.push(repository, "prod", digestOf(to));
  await here.reported("notice", to);
  await here.minutes(2);
  expect((await here.channel())?.conflict).toBeDefined();
}

/** A process that takes the build of a commit and dies right after a step. */
async function dying(name: string, step: FaultPoint): Promise<void> {
  here.pushed(name);
  const recorder = mortal({ step, side: "after" });
  void here.deliver({ kind: "build", image: repository, tag: here.id(name) }, here.instance(recorder));
  await recorder.died;
}

describe("restore", () => {
  it.each(["m1", "foreign", undefined])("puts back what Landfall had put there: found %s", async (found) => {
    await moved(found);
    const event = await here.ordered("restore");
    expect(event).toMatchObject({
      state: "done",
      outcome: "ordered",
      promote: { how: "restore", by: "ann" },
    });
    expect(here.at("prod")).toBe("m2");
    expect(await here.channel()).not.toHaveProperty("conflict");
    await here.settle();
    expect(here.runs()).toBe("m2, replaced 1 times");
  });

  it("goes on to what was built while the tag was left alone", async () => {
    await moved("foreign");
    await here.built("m3");
    expect(here.at("prod")).toBe(digestOf("foreign"));
    await here.ordered("restore");
    expect(here.at("prod")).toBe("m3");
    expect(here.runs()).toBe("m3, replaced 2 times");
  });

  it("overwrites nothing that came after what the order was given about: that is told anew", async () => {
    await moved("foreign");
    here.registry.push(repository, "prod", digestOf("another"));
    await here.ordered("restore");
    expect(here.at("prod")).toBe(digestOf("another"));
    expect((await here.channel())?.conflict).toMatchObject({ found: digestOf("another") });
    expect(alerts()).toHaveLength(2);
  });

  it("is carried out as soon as the registry is back", async () => {
    await moved("foreign");
    here.befall = ({ method }) => {
      if (method === "put") throw new RegistryUnavailableError("away");
    };
    await here.ordered("restore");
    expect(await here.channel()).toMatchObject({ conflict: {}, trouble: { times: 1 } });
    here.befall = () => {};
    await here.settle();
    expect(here.at("prod")).toBe("m2");
    expect(await here.channel()).not.toHaveProperty("conflict");
  });
});

describe("adopt", () => {
  it("takes what was found for right: workloads get it, and no write is made", async () => {
    await moved("foreign");
    here.calls.length = 0;
    expect(await here.ordered("adopt")).toMatchObject({ outcome: "ordered" });
    expect(here.calls).toEqual([{ method: "head", reference: "prod" }]);
    expect(await here.channel()).toMatchObject({
      promoted: { digest: digestOf("foreign"), tag: "prod", by: "ann" },
    });
    expect(await here.channel()).not.toHaveProperty("conflict");
    await here.settle();
    expect(here.target.imageOf("web")).toBe(`docker.io/acme/web:prod@${digestOf("foreign")}`);
  });

  it("takes workloads back with it, where somebody had moved the tag to an older build", async () => {
    await moved("m1");
    await here.ordered("adopt");
    await here.settle();
    expect(await here.channel()).toMatchObject({ promoted: { commit: here.id("m1"), by: "ann" } });
    expect(here.runs()).toBe("m1, replaced 2 times");
    const [rollout] = await here.ledger.rollouts({}, 1);
    expect(rollout?.value.cause).toMatchObject({ kind: "promote", by: "ann" });
  });

  it.each(["m2", "m3"])(
    "takes workloads back from %s, which was written and never verified",
    async (last) => {
      here = imageWorld();
      await here.built("m1");
      await dying("m2", "target.update");
      if (last === "m3") await dying("m3", "workload.plan");
      here.registry.push(repository, "prod", digestOf("m1"));
      await here.reported("notice", "m1");
      await here.ordered("adopt");
      await here.settle();
      expect(await here.channel()).toMatchObject({ promoted: { commit: here.id("m1") } });
      expect(here.runs()).toBe("m1, replaced 2 times");
    },
  );

  it("lasts until a newer build: neither what it was instead of nor an older build moves the tag", async () => {
    await moved("m1");
    await here.ordered("adopt");
    await here.built("m2");
    await here.minutes(5);
    expect(here.at("prod")).toBe("m1");
    await here.built("m3");
    expect(here.at("prod")).toBe("m3");
    expect(here.runs()).toBe("m3, replaced 3 times");
  });

  it("takes nothing that came after what the order was given about: that is told anew", async () => {
    await moved("foreign");
    here.registry.push(repository, "prod", digestOf("another"));
    await here.ordered("adopt");
    expect((await here.channel())?.conflict).toMatchObject({ found: digestOf("another") });
    expect(await here.channel()).toMatchObject({ promoted: { commit: here.id("m2") } });
    expect(alerts()).toHaveLength(2);
    await here.settle();
    expect(here.runs()).toBe("m2, replaced 1 times");
  });

  it("counts as given last, where two people decide before either is carried out", async () => {
    await moved("foreign");
    here.befall = ({ method }) => {
      if (method === "put") throw new RegistryUnavailableError("away");
    };
    await here.ordered("restore");
    here.befall = () => {};
    await here.ordered("adopt");
    await here.settle();
    expect(here.at("prod")).toBe(digestOf("foreign"));
    expect(await here.channel()).toMatchObject({ promoted: { digest: digestOf("foreign") } });
  });
});

describe("an order that cannot be carried out is refused, and says why", () => {
  it.each<{ how: "move" | "adopt" | "restore"; state: string; channel?: string; detail: string }>([
    { how: "adopt", state: "in order", detail: "nobody else moved it" },
    { how: "restore", state: "in order", detail: "nobody else moved it" },
    { how: "move", state: "moved", detail: "somebody else moved it: first say `--adopt` or `--restore`" },
    {
      how: "adopt",
      state: "deleted",
      detail: "the tag was deleted, so there is nothing to adopt: say `--restore`",
    },
    { how: "move", state: "new", detail: "there is nothing to move it to: no build is accepted yet" },
    {
      how: "move",
      state: "new",
      channel: "int",
      detail: `the configuration has no channel int of ${repository}`,
    },
  ])("$how of a channel that is $state: $detail", async ({ how, state, channel, detail }) => {
    if (state === "moved" || state === "deleted") await moved(state === "moved" ? "foreign" : undefined);
    else here = imageWorld();
    if (state === "in order") await here.built("m1");
    const before = [await here.image(), here.at("prod"), here.runs()];
    const event = await here.ordered(how, channel);
    expect(event).toMatchObject({ state: "done", outcome: "refused", detail });
    expect([await here.image(), here.at("prod"), here.runs()]).toEqual(before);
    expect(here.told.at(-1)).toBe(`warning: ${repository}:${channel ?? "prod"}: ${detail}`);
  });

  it("of a repository that is not followed", async () => {
    here = imageWorld();
    await here.built("m1");
    const about = { image: repository, channel: "prod", how: "move", by: "ann" } as const;
    const message = { kind: "promote", event: "order", heardMs: 0, ...about } as const;
    await here.deliver(message, { ...here.instance(), follows: () => false });
    expect(await here.event("order")).toMatchObject({ outcome: "refused" });
  });

  it("that is given twice is carried out once", async () => {
    await moved("foreign");
    const about = { image: repository, channel: "prod", how: "restore", by: "ann" } as const;
    const message = { kind: "promote", event: "order", heardMs: 0, ...about } as const;
    await here.deliver(message, here.instance());
    await here.deliver(message, here.instance(), true);
    expect(await here.event("order")).toMatchObject({ outcome: "ordered" });
    expect(here.registry.puts.filter(({ digest }) => digest === digestOf("m2"))).toHaveLength(2);
  });
});

describe("a channel that moves by hand", () => {
  beforeEach(async () => {
    here = imageWorld({ channels: [channelRule("prod", { byHand: true })] });
    await here.built("m1");
    await here.built("m2");
    await here.minutes(10);
  });

  it("waits for its order, and has nothing due until then", async () => {
    expect(here.at("prod")).toBeUndefined();
    expect((await here.image())?.dueMs).toBeUndefined();
    expect(here.runs()).toBe("m1, replaced 0 times");
  });

  it("gets the newest build then, and workloads with it, for the person who said so", async () => {
    await here.ordered("move");
    expect(here.at("prod")).toBe("m2");
    expect(here.runs()).toBe("m2, replaced 1 times");
    expect((await here.workload())?.open).toBeUndefined();
    const [rollout] = await here.ledger.rollouts({}, 1);
    expect(rollout?.value.cause).toMatchObject({ kind: "promote", by: "ann", event: "order-1" });
    await here.built("m3");
    await here.minutes(10);
    expect(here.at("prod")).toBe("m2");
  });
});
