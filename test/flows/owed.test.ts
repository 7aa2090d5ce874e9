import { afterEach, describe, expect, it } from "vitest";
import { TargetDeniedError, TargetUnavailableError } from "../../shared/errors.ts";
import type { ModelTarget } from "../doubles/model-target.ts";
import { type ImageWorld, imageWorld, repository } from "./image-world.ts";
import { digestOf, mortal } from "./world.ts";

let here: ImageWorld;
afterEach(async () => {
  await here.close();
});

/** `web` on one target, `shop` on another one, both on prod at m1, and the other one is away. */
async function open(error: Error): Promise<ModelTarget> {
  here = imageWorld({ others: { live: { shop: `acme/web:prod@${digestOf("m1")}` } } });
  await here.built("m1");
  await here.settle();
  const [, live] = here.targets;
  if (live === undefined) throw new Error("there are two targets");
  live.trouble = error;
  return live;
}

describe("workloads of a target that cannot be asked", () => {
  it("wait, on record with the reason, while those of other targets go on", async () => {
    await open(new TargetUnavailableError("away"));
    await here.built("m2");
    expect(here.runs("web")).toBe("m2, replaced 1 times");
    expect(await here.buildEvent("m2")).toMatchObject({
      state: "done",
      outcome: "head",
      verdicts: expect.arrayContaining([
        expect.objectContaining({ workload: "live/*", kind: "waiting", reason: "target-unavailable" }),
      ]),
    });
  });

  it("get what is wanted by then once it is back, and their event says so", async () => {
    const live = await open(new TargetDeniedError("no"));
    await here.built("m2");
    await here.minutes(30);
    await here.built("m3");
    await here.minutes(2);
    live.trouble = undefined;
    await here.minutes(20);
    expect(here.runs("shop")).toBe("m3, replaced 1 times");
    expect((await here.image())?.dueMs).toBeUndefined();
    expect((await here.image())?.delay).toBeUndefined();
  });

  it("are asked for less and less often", async () => {
    const live = await open(new TargetUnavailableError("away"));
    await here.built("m2");
    await here.minutes(30);
    const before = live.calls();
    await here.minutes(60);
    expect(live.calls() - before).toBeGreaterThanOrEqual(3);
    expect(live.calls() - before).toBeLessThanOrEqual(4);
  });

  it("are not asked for before the target said that it wants to be", async () => {
    const live = await open(new TargetUnavailableError("busy", { retryAfterMs: 3_600_000 }));
    await here.built("m2");
    const before = live.calls();
    await here.minutes(59);
    expect(live.calls()).toBe(before);
    await here.minutes(2);
    expect(live.calls()).toBe(before + 1);
  });

  it("do not make a newer build wait for them", async () => {
    await open(new TargetUnavailableError("away"));
    await here.built("m2");
    await here.minutes(40);
    await here.built("m3");
    expect(here.runs("web")).toBe("m3, replaced 2 times");
  });
});

it("plans for workloads what was promoted though a build of the same image came before they had their plan", async () => {
  const live = await open(new TargetUnavailableError("away"));
  await here.built("m2");
  await here.built("m3", "m2");
  live.trouble = undefined;
  await here.settle();
  expect(here.runs("shop")).toBe("m2, replaced 1 times");
});

it("plans for workloads though a build of the same image is accepted while they are listed", async () => {
  let isFirst = true;
  here = imageWorld({
    turn: async (label) => {
      if (label !== "list answered" || here.at("prod") !== "m2" || !isFirst) return;
      isFirst = false;
      here.pushed("m3", "m2");
      const dying = mortal({ step: "image.record", side: "after" });
      const message = { kind: "build", image: repository, tag: here.id("m3") } as const;
      void here.deliver(message, here.instance(dying));
      await dying.died;
    },
  });
  await here.built("m1");
  await here.built("m2");
  await here.settle();
  expect(isFirst).toBe(false);
  expect(await here.channel()).toMatchObject({
    promoted: { commit: here.id("m3") },
    generation: 2,
    planned: 2,
  });
  expect(here.runs("web")).toBe("m2, replaced 1 times");
});
