import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { channelRule, type ImageWorld, imageWorld, repository } from "./image-world.ts";
import { digestOf } from "./world.ts";

let here: ImageWorld;
beforeEach(async () => {
  here = imageWorld();
  await here.built("m1");
  await here.settle();
});
afterEach(async () => {
  await here.close();
});

const alerts = () => here.told.filter((each) => each.startsWith("alert"));

describe("our own promotion, reported by the registry", () => {
  it("is told by its digest, and asks nobody anything", async () => {
    await here.built("m2");
    here.calls.length = 0;
    expect(await here.reported("own", "m2")).toMatchObject({ state: "done", outcome: "own-promotion" });
    expect(here.calls).toEqual([]);
    expect(here.runs()).toBe("m2, replaced 1 times");
  });

  it("is told without a digest by the look at the tag that each promotion has anyway", async () => {
    here.calls.length = 0;
    await here.built("m2");
    expect(await here.reported("own")).toMatchObject({ state: "waiting" });
    await here.minutes(4);
    expect(await here.event("own")).toMatchObject({ state: "done", outcome: "own-promotion" });
    expect(here.calls.filter(({ reference }) => reference !== here.id("m2"))).toHaveLength(4);
    expect(alerts()).toEqual([]);
  });

  it.each(["m2", undefined])("is known before its result is on record: digest %s", async (digest) => {
    const answered = Promise.withResolvers<void>();
    const gate = Promise.withResolvers<void>();
    here.befall = async ({ method }, phase) => {
      if (method !== "put" || phase !== "answered") return;
      answered.resolve();
      await gate.promise;
    };
    const promoting = here.built("m2");
    await answered.promise;
    await here.reported("own", digest);
    gate.resolve();
    await promoting;
    await here.minutes(4);
    expect(await here.event("own")).toMatchObject({ state: "done", outcome: "own-promotion" });
    expect(here.calls.filter(({ method }) => method === "put")).toHaveLength(2);
    expect(here.runs()).toBe("m2, replaced 1 times");
    expect(alerts()).toEqual([]);
    await here.settle();
  });

  it("is known when it is reported late, after the next one", async () => {
    await here.built("m2");
    await here.built("m3");
    await here.reported("late", "m2");
    await here.minutes(5);
    expect(await here.event("late")).toMatchObject({ state: "done", outcome: "own-promotion" });
    expect(here.runs()).toBe("m3, replaced 2 times");
    expect(alerts()).toEqual([]);
  });

  it("rolls out nothing a second time, however often it is reported", async () => {
    await here.built("m2");
    for (let time = 0; time < 20; time++) await here.reported(`own-${time}`, "m2");
    await here.settle();
    expect(here.runs()).toBe("m2, replaced 1 times");
    expect(await here.ledger.rollouts({}, 100)).toHaveLength(1);
  });
});

describe("a foreign push to a channel", () => {
  it("is a conflict at once where the report names the digest: left alone, nothing rolled out", async () => {
    here.registry.push(repository, "prod", digestOf("foreign"));
    expect(await here.reported("foreign", "foreign")).toMatchObject({
      state: "done",
      outcome: "conflict",
      detail: `somebody else moved it to ${digestOf("foreign")}`,
    });
    expect(alerts()).toHaveLength(1);
    expect(here.target.writes).toEqual([]);
    expect(here.at("prod")).toBe(digestOf("foreign"));
  });

  it("is a conflict once the tag was looked at where the report names none", async () => {
    here.registry.push(repository, "prod", digestOf("foreign"));
    await here.reported("foreign");
    await here.minutes(1);
    expect((await here.channel())?.conflict).toMatchObject({ found: digestOf("foreign") });
    expect(alerts()).toHaveLength(1);
    await here.minutes(1);
    expect(await here.event("foreign")).toMatchObject({ state: "done", outcome: "conflict" });
    expect(here.target.writes).toEqual([]);
  });

  it("is waited for where the registry is behind its own report", async () => {
    expect(await here.reported("foreign", "foreign")).toMatchObject({
      state: "waiting",
      outcome: "unchanged",
    });
    here.registry.push(repository, "prod", digestOf("foreign"));
    await here.minutes(2);
    expect(await here.event("foreign")).toMatchObject({ state: "done", outcome: "conflict" });
  });

  it("is told of a second time without another look, as long as nobody has decided", async () => {
    here.registry.push(repository, "prod", digestOf("foreign"));
    await here.reported("first", "foreign");
    here.calls.length = 0;
    expect(await here.reported("second", "another")).toMatchObject({ outcome: "conflict" });
    expect(here.calls).toEqual([]);
    expect(alerts()).toHaveLength(1);
  });

  it("changes nothing before Landfall has promoted anything there", async () => {
    await here.close();
    here = imageWorld({ channels: [channelRule("prod", { byHand: true })] });
    here.registry.push(repository, "prod", digestOf("foreign"));
    expect(await here.reported("early", "foreign")).toMatchObject({ state: "done", outcome: "not-promoted" });
    expect(here.target.writes).toEqual([]);
  });

  it("of a repository that is not followed is none of our business", async () => {
    const message = here.hear("foreign", "foreign");
    if (message.kind !== "push") throw new Error("a report is a push");
    const report = { ...message, push: { ...message.push, tag: "prod" } };
    await here.deliver(report, { ...here.instance(), follows: () => false });
    expect(await here.event("foreign")).toMatchObject({ state: "done", outcome: "not-followed" });
  });
});

it("takes a registry's report of a commit's tag for the build that it is", async () => {
  here.pushed("m2");
  const message = here.hear("webhook", "m2");
  if (message.kind !== "push") throw new Error("a report is a push");
  await here.deliver({ ...message, push: { ...message.push, tag: here.id("m2") } }, here.instance());
  expect(await here.event("webhook")).toMatchObject({ state: "done", outcome: "head" });
  expect(here.runs()).toBe("m2, replaced 1 times");
});
