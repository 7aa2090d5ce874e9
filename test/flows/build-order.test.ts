import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Graph } from "../contracts/history-graphs.ts";
import { modelHistory } from "../doubles/model-history.ts";
import { channelRule, type ImageWorld, imageWorld, line, repository } from "./image-world.ts";
import { digestOf } from "./world.ts";

let here: ImageWorld;
beforeEach(() => {
  here = imageWorld();
});
afterEach(async () => {
  await here.close();
});

const alerts = () => here.told.filter((each) => each.startsWith("alert"));

/** What became of a build, and that it changed nothing but the record. */
async function leftAlone(name: string, outcome: object): Promise<void> {
  const before = [here.at("prod"), here.runs()];
  const head = (await here.image())?.head;
  await here.built(name);
  expect(await here.buildEvent(name)).toMatchObject(outcome);
  expect([here.at("prod"), here.runs()]).toEqual(before);
  expect((await here.image())?.head).toEqual(head);
}

describe("a build", () => {
  it("that is the first one on the branch is the head", async () => {
    await here.built("m3");
    expect(await here.buildEvent("m3")).toMatchObject({
      state: "done",
      outcome: "head",
      digest: digestOf("m3"),
    });
    expect([here.at("prod"), here.runs()]).toEqual(["m3", "m3, replaced 1 times"]);
  });

  it("of an ancestor is superseded, and known from then on", async () => {
    await here.built("m3");
    await leftAlone("m2", { state: "done", outcome: "superseded" });
    expect((await here.image())?.builds.map(({ commit }) => commit)).toEqual([here.id("m2"), here.id("m3")]);
    expect(alerts()).toEqual([]);
  });

  it("of the same commit and digest is current, however often it is told", async () => {
    await here.built("m3");
    for (let time = 0; time < 3; time++) await leftAlone("m3", { state: "done", outcome: "current" });
    expect((await here.image())?.builds).toHaveLength(1);
  });

  it.each<{ name: string; before: string; detail: RegExp }>([
    { name: "s", before: "m3", detail: /^diverged|^off-branch/ },
    { name: "s", before: "m1", detail: /^off-branch/ },
  ])(
    "of a commit beside the branch is held back, and a person is told: $name after $before",
    async ({ name, before, detail }) => {
      await here.built(before);
      await leftAlone(name, { state: "done", outcome: "held-back", detail: expect.stringMatching(detail) });
      expect(alerts()).toHaveLength(1);
    },
  );

  it.each<{ what: string; outcome: string; tag?: string; more?: object; alert?: true }>([
    { what: "of uncommitted changes", outcome: "dirty", more: { dirty: true } },
    { what: "of uncommitted changes, as its tag says", outcome: "dirty", tag: "dirty" },
    { what: "whose tag is ignored", outcome: "ignored-tag", tag: "482077_3" },
    { what: "that names no commit", outcome: "no-commit", tag: "nightly", alert: true },
  ])("$what is $outcome: nobody is asked", async ({ outcome, tag = "m2", more = {}, alert }) => {
    const whole = tag === "dirty" ? `${here.id("m2")}-dirty` : tag === "m2" ? here.id("m2") : tag;
    const message = { kind: "build", image: repository, tag: whole, ...more } as const;
    here.calls.length = 0;
    await here.deliver(message, here.instance());
    const [event] = await here.ledger.events({ repository, tag: whole, nowMs: here.clock.now() }, 1);
    expect(event?.value).toMatchObject({ state: "done", outcome });
    expect([here.calls, here.history.asked, alerts().length]).toEqual([[], 0, alert === true ? 1 : 0]);
  });

  it("of a repository that is not followed is none of our business", async () => {
    here.pushed("m2");
    const message = { kind: "build", image: repository, tag: here.id("m2") } as const;
    await here.deliver(message, { ...here.instance(), follows: () => false });
    expect(await here.buildEvent("m2")).toMatchObject({ state: "done", outcome: "not-followed" });
    expect(here.calls).toEqual([]);
  });
});

describe("the head's commit, built again", () => {
  it("is rolled out and promoted as the tag resolves now", async () => {
    await here.built("m2");
    await here.built("m2", "m2 again");
    expect(await here.buildEvent("m2")).toMatchObject({ outcome: "rebuild", digest: digestOf("m2 again") });
    expect([here.at("prod"), here.runs()]).toEqual(["m2 again", "m2 again, replaced 2 times"]);
  });

  it("is held back where rebuilds are not allowed", async () => {
    await here.close();
    here = imageWorld({ git: { rebuilds: false } });
    await here.built("m2");
    await here.built("m2", "m2 again");
    expect(await here.buildEvent("m2")).toMatchObject({ outcome: "held-back" });
    expect(here.at("prod")).toBe("m2");
    expect(alerts()).toHaveLength(1);
  });

  it("changes nothing where it is an older one's", async () => {
    await here.built("m3");
    await here.built("m2");
    await here.built("m2", "m2 again");
    expect(await here.buildEvent("m2")).toMatchObject({ outcome: "superseded" });
    expect(here.at("prod")).toBe("m3");
  });

  it("is waited for where the registry still shows the digest from before, for 70 s", async () => {
    await here.built("m2");
    await here.built("m2", "m2", { digest: digestOf("m2 again") });
    expect(await here.buildEvent("m2")).toMatchObject({ state: "waiting", outcome: "unchanged" });
    here.pushed("m2", "m2 again");
    await here.minutes(2);
    expect(await here.buildEvent("m2")).toMatchObject({ state: "done", outcome: "rebuild" });
    await here.built("m2", "m2 again", { digest: digestOf("never seen") });
    await here.minutes(3);
    expect(await here.buildEvent("m2")).toMatchObject({ state: "done", outcome: "current" });
  });
});

describe("history that was rewritten", () => {
  /** m4 and m5 were force-pushed away; n4 is there instead. */
  const rewritten: Graph = {
    ...line,
    commits: [...line.commits, { name: "n4", parents: ["m3"], atS: 1_700_000_100 }],
    branches: { main: "n4" },
  };

  it.each<{ what: string; gone: boolean; detail: string }>([
    { what: "still has", gone: false, detail: "diverged" },
    { what: "has thrown away", gone: true, detail: "does not have" },
  ])(
    "away from the head, which the server $what: held back, a person is told, nothing moves",
    async ({ gone, detail }) => {
      await here.built("m5");
      const after = modelHistory(
        gone
          ? { ...rewritten, commits: rewritten.commits.filter(({ name }) => !/^m[456]$/.test(name)) }
          : rewritten,
      );
      here.history.order = after.order;
      await leftAlone("n4", { state: "done", outcome: "held-back", detail: expect.stringContaining(detail) });
      expect(alerts()).toHaveLength(1);
    },
  );
});

it("loses none of sixty builds that are taken at once", async () => {
  await here.close();
  const names = Array.from({ length: 60 }, (_, index) => `m${index + 1}`);
  const long: Graph = {
    name: "long",
    commits: names.map((name, index) => ({ name, parents: index === 0 ? [] : [`m${index}`], atS: index })),
    branches: { main: "m60" },
  };
  here = imageWorld({
    history: modelHistory(long),
    channels: [channelRule("prod")],
    turn: () => new Promise((resolve) => setImmediate(resolve)),
  });
  for (const name of names) here.pushed(name);
  const messages = names.map((name) => ({ kind: "build", image: repository, tag: here.id(name) }) as const);
  const deps = here.instance();
  await Promise.all(
    messages.map((message) =>
      here.deliver(message, deps).catch(() => {
        here.undelivered.push(message);
      }),
    ),
  );
  await here.settle();
  expect([here.at("prod"), here.runs().split(",")[0]]).toEqual(["m60", "m60"]);
  for (const name of names) expect(await here.buildEvent(name), name).toMatchObject({ state: "done" });
});
