import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { RegistryUnavailableError } from "../../shared/errors.ts";
import { channelRule, type ImageWorld, imageWorld, repository } from "./image-world.ts";
import { digestOf } from "./world.ts";

let here: ImageWorld;
beforeEach(async () => {
  here = imageWorld({ channels: [], workloads: {} });
  await here.built("m1");
});
afterEach(async () => {
  await here.close();
});

/** Somebody has deployed a commit by hand, under the tag that CI gave it. */
const byHand = (name: string, commit: string, tag = here.id(commit)) => {
  here.target.remove(name);
  here.target.create(name, `acme/web:${tag}@${digestOf(commit)}`);
};

const verdictsOf = async (name: string) =>
  (await here.buildEvent(name))?.verdicts.map(({ workload, kind, reason }) => [workload, kind, reason]);

describe("a workload whose commit is known, and that Landfall did not put there", () => {
  it("is left, as `older`, where it runs a newer commit than the one that is planned; others go on", async () => {
    byHand("web", "m3");
    byHand("api", "m1");
    await here.built("m2");
    await here.settle();
    expect([here.runs("web"), here.runs("api")]).toEqual(["m3, replaced 0 times", "m2, replaced 1 times"]);
    expect(await verdictsOf("m2")).toEqual([
      ["swarm/web", "skipped", "older"],
      ["swarm/api", "planned", undefined],
    ]);
    expect((await here.image())?.dueMs).toBeUndefined();
  });

  it("follows again as soon as something newer than that is built", async () => {
    byHand("web", "m3");
    await here.built("m2");
    await here.built("m4");
    expect(here.runs("web")).toBe("m4, replaced 1 times");
  });

  it("is left, as `held-back`, where the two have diverged", async () => {
    byHand("web", "s");
    await here.built("m3");
    expect(here.runs("web")).toBe("s, replaced 0 times");
    expect(await verdictsOf("m3")).toEqual([["swarm/web", "skipped", "held-back"]]);
  });

  it("is left, as `held-back`, where git does not have its commit", async () => {
    here.target.create("web", `acme/web:${"2".repeat(40)}@${digestOf("another repository's")}`);
    await here.built("m3");
    expect(here.target.writes).toEqual([]);
    expect(await verdictsOf("m3")).toEqual([["swarm/web", "skipped", "held-back"]]);
  });

  it("waits where git cannot be asked about it, and nobody guesses", async () => {
    byHand("web", "m3");
    byHand("api", "m1");
    const { order } = here.history;
    here.history.order = async (at, from, to) => {
      here.history.down = from !== here.id("m1");
      return order(at, from, to);
    };
    await here.built("m2");
    await here.minutes(20);
    expect([here.runs("web"), here.runs("api")]).toEqual(["m3, replaced 0 times", "m2, replaced 1 times"]);
    expect(await verdictsOf("m2")).toContainEqual(["swarm/web", "waiting", "history-unavailable"]);
    here.history.order = order;
    here.history.down = false;
    await here.minutes(16);
    expect(await verdictsOf("m2")).toContainEqual(["swarm/web", "skipped", "older"]);
    await here.settle();
  });

  it("is left on a channel too, where its digest is known to be a newer commit's", async () => {
    await here.close();
    here = imageWorld({
      channels: [channelRule("int", { targets: [] }), channelRule("prod", { after: "int", byHand: true })],
    });
    await here.built("m1");
    await here.built("m2");
    here.befall = ({ method }, phase) => {
      if (method === "put" && phase === "asked") throw new RegistryUnavailableError("away");
    };
    await here.built("m3");
    here.befall = () => {};
    byHand("web", "m3", "prod");
    await here.ordered("move");
    expect([here.at("int"), here.at("prod")]).toEqual(["m2", "m2"]);
    expect(here.runs("web")).toBe("m3, replaced 0 times");
  });
});

it("asks git nothing about a workload whose commit nobody knows, and replaces it", async () => {
  here.target.create("web", `acme/web:nightly@${digestOf("by hand")}`);
  const { asked } = here.history;
  await here.built("m2");
  expect(here.runs("web")).toBe("m2, replaced 1 times");
  expect(here.history.asked).toBe(asked + 1);
});

it("asks git once for a build, however many workloads run what Landfall put there", async () => {
  for (const name of ["web", "api", "worker"]) byHand(name, "m1");
  await here.built("m2");
  const { asked } = here.history;
  await here.built("m3");
  await here.settle();
  for (const name of ["web", "api", "worker"]) expect(here.runs(name)).toBe("m3, replaced 2 times");
  expect(here.history.asked).toBe(asked + 1);
});

it("replaces the same commit's earlier image without asking", async () => {
  byHand("web", "m1");
  const { asked } = here.history;
  await here.built("m1", "m1 again");
  expect(here.target.imageOf("web")).toBe(`${repository}:${here.id("m1")}@${digestOf("m1 again")}`);
  expect(here.history.asked).toBe(asked + 1);
});
