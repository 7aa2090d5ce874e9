import { describe, expect, it } from "vitest";
import type { Order } from "../../shared/domain/order.ts";
import { newBudget } from "../../shared/flows/deps.ts";
import { fullRun } from "../../shared/flows/full-run.ts";
import { channelRule, type ImageWorld, imageWorld } from "./image-world.ts";
import { digestOf, type World, world } from "./world.ts";

const web = "swarm/web";
const back = { do: "rollback", workload: web, until: "next" } as const satisfies Order;

let orders = 0;

async function give(here: World, order: Order): Promise<void> {
  const event = `order-${++orders}`;
  const message = { kind: "order", event, heardMs: here.clock.now(), by: "ann", order } as const;
  await here.deliver(message, here.instance());
}

async function pushed(here: World, letter: string): Promise<void> {
  here.push(letter);
  await here.deliver(here.hear(`push-${letter}`), here.instance());
  await here.settle();
}

async function ran(here: World): Promise<void> {
  const deps = here.instance();
  await fullRun(deps, { dryRun: false, adopt: false, by: "timer" }, newBudget(deps.clock));
  await here.settle();
}

const digest = (here: World) => here.target.imageOf("web")?.split("@")[1];

describe("a pin until the next one", () => {
  it("is not lifted by what was observed before it and could not be deployed, only by what comes later", async () => {
    let frozenMs = 0;
    const here = world({ frozenUntil: (_target, nowMs) => (nowMs < frozenMs ? frozenMs : undefined) });
    await pushed(here, "b");
    frozenMs = here.clock.now() + 3_600_000;
    here.push("c");
    await here.deliver(here.hear("push-c"), here.instance());
    await give(here, back);
    here.clock.set(frozenMs);
    await here.settle();
    await ran(here);
    expect(digest(here)).toBe(digestOf("a"));
    await pushed(here, "d");
    expect(digest(here)).toBe(digestOf("d"));
  });

  it("is not lifted by a full run that finds a commit that was heard of before it", async () => {
    const here: ImageWorld = imageWorld({ channels: [channelRule("prod")] });
    await here.built("m1");
    await here.built("m2");
    await here.settle();
    here.history.down = true;
    await here.built("m3");
    await give(here, back);
    here.history.down = false;
    await here.minutes(3);
    await ran(here);
    expect([here.runs(), here.at("prod")]).toEqual(["m1, replaced 2 times", "m3"]);
    await here.built("m4");
    await here.settle();
    expect(here.runs()).toBe("m4, replaced 3 times");
  });
});

describe("a workload that is brought to another tag", () => {
  it("follows that one from then on, whatever had been observed of the one before", async () => {
    const here = world();
    for (const letter of ["b", "c", "d"]) await pushed(here, letter);
    const next = (letter: string) => here.registry.push("docker.io/acme/web", "next", digestOf(letter));
    next("e");
    await give(here, {
      do: "deploy",
      workload: web,
      image: "docker.io/acme/web",
      tag: "next",
      until: "next",
    });
    await here.settle();
    expect(digest(here)).toBe(digestOf("e"));
    for (const letter of ["f", "g", "h", "i", "j", "k"]) {
      next(letter);
      const message = here.hear(`next-${letter}`);
      if (message.kind !== "push") throw new Error("a report is a push");
      await here.deliver({ ...message, push: { ...message.push, tag: "next" } }, here.instance());
      await here.settle();
      expect(digest(here)).toBe(digestOf(letter));
    }
  });

  it("follows the one before again after it was brought back", async () => {
    const here = world();
    await pushed(here, "b");
    for (const letter of ["e", "f", "g", "h"]) {
      here.registry.push("docker.io/acme/web", "next", digestOf(letter));
      await here.deliver(
        { kind: "push", event: letter, heardMs: here.clock.now(), push: next },
        here.instance(),
      );
    }
    const image = "docker.io/acme/web";
    await give(here, { do: "deploy", workload: web, image, tag: "next", until: "next" });
    await here.settle();
    await give(here, back);
    await here.settle();
    expect(here.target.imageOf("web")).toContain(`:v1@${digestOf("b")}`);
    await pushed(here, "c");
    expect(digest(here)).toBe(digestOf("c"));
  });
});

const next = { source: "distribution", registry: "docker.io", repository: "acme/web", tag: "next" };
