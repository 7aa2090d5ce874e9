import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { HistoryDeniedError, HistoryUnavailableError } from "../../shared/errors.ts";
import { type ModelHistory, modelHistory } from "../doubles/model-history.ts";
import { type ImageWorld, imageWorld, line, repository } from "./image-world.ts";

let here: ImageWorld;
beforeEach(() => {
  here = imageWorld();
});
afterEach(async () => {
  await here.close();
});

const alerts = () => here.told.filter((each) => each.startsWith("alert"));

describe("what may only be behind", () => {
  it("a tag that the registry does not have yet is looked for after 10 s, 1, 5 and 5 minutes", async () => {
    const startMs = here.clock.now();
    const at: number[] = [];
    here.befall = (_, phase) => {
      if (phase === "asked") at.push((here.clock.now() - startMs) / 60_000);
    };
    await here.deliver({ kind: "build", image: repository, tag: here.id("m2") }, here.instance());
    await here.minutes(20);
    expect(at.map(Math.floor)).toEqual([0, 0, 1, 6, 11]);
  });

  it("a tag that its registry reports before it is there is looked for after a second", async () => {
    const startMs = here.clock.now();
    const at: number[] = [];
    here.befall = ({ reference }, phase) => {
      if (reference !== here.id("m2")) return;
      if (phase === "asked") at.push(here.clock.now() - startMs);
      else here.pushed("m2");
    };
    expect(await here.reported("early", "m2", here.id("m2"))).toMatchObject({
      state: "done",
      outcome: "head",
    });
    expect(at).toEqual([0, 1_000]);
    expect(here.runs()).toBe("m2, replaced 1 times");
  });

  it("a tag that comes a little later is a build like any other", async () => {
    await here.deliver({ kind: "build", image: repository, tag: here.id("m2") }, here.instance());
    here.pushed("m2");
    await here.minutes(1);
    expect(await here.buildEvent("m2")).toMatchObject({ state: "done", outcome: "head" });
    expect(here.runs()).toBe("m2, replaced 1 times");
    expect(alerts()).toEqual([]);
  });

  it("a tag that never comes ends as missing after eleven minutes, and a person is told", async () => {
    await here.deliver({ kind: "build", image: repository, tag: here.id("m2") }, here.instance());
    await here.minutes(10);
    expect(await here.buildEvent("m2")).toMatchObject({ state: "waiting", outcome: "missing" });
    await here.minutes(3);
    expect(await here.buildEvent("m2")).toMatchObject({ state: "done", outcome: "missing", looks: 4 });
    expect(alerts()).toHaveLength(1);
  });

  it("a commit that the git host does not have yet is waited for, and then deployed", async () => {
    await here.close();
    const late = hiding("m3");
    here = imageWorld({ history: late.history });
    await here.built("m2");
    await here.built("m3");
    await here.minutes(5);
    expect(await here.buildEvent("m3")).toMatchObject({ state: "waiting", outcome: "unknown-commit" });
    expect(here.at("prod")).toBe("m2");
    late.show();
    await here.minutes(6);
    expect(await here.buildEvent("m3")).toMatchObject({ state: "done", outcome: "head" });
    expect(here.at("prod")).toBe("m3");
  });

  it("a commit that it never gets is held back after about ten minutes, and a person is told", async () => {
    await here.close();
    here = imageWorld({ history: hiding("m3").history });
    await here.built("m3");
    await here.minutes(9);
    expect(await here.buildEvent("m3")).toMatchObject({ state: "waiting", outcome: "unknown-commit" });
    await here.minutes(4);
    expect(await here.buildEvent("m3")).toMatchObject({
      state: "done",
      outcome: "held-back",
      detail: expect.stringContaining("unknown-commit"),
    });
    expect(alerts()).toHaveLength(1);
    expect(here.at("prod")).toBeUndefined();
  });

  it("gets its ten minutes also after an hour in which nobody could be asked", async () => {
    await here.close();
    const late = hiding("m3");
    here = imageWorld({ history: late.history });
    late.history.down = true;
    await here.built("m3");
    await here.minutes(60);
    late.history.down = false;
    await here.minutes(10);
    expect(await here.buildEvent("m3")).toMatchObject({ state: "waiting", outcome: "unknown-commit" });
    late.show();
    await here.minutes(10);
    expect(here.at("prod")).toBe("m3");
  });
});

/** A git host that has not heard of a commit until it is shown. */
function hiding(name: string): { readonly history: ModelHistory; readonly show: () => void } {
  const whole = modelHistory(line);
  let isHidden = true;
  const history = modelHistory(line);
  const order = history.order.bind(history);
  history.order = async (at, from, to) => {
    const answer = await order(at, from, to);
    return isHidden && to === whole.id(name) ? "unknown-to" : answer;
  };
  const show = () => {
    isHidden = false;
  };
  return { history, show };
}

describe("a git host that does not answer", () => {
  it("but refuses: the build waits until somebody has mended it, and nothing is set aside", async () => {
    await here.built("m1");
    const { order } = here.history;
    here.history.order = async () => {
      throw new HistoryDeniedError("403");
    };
    await here.built("m2");
    await here.minutes(60);
    expect(await here.buildEvent("m2")).toMatchObject({
      state: "waiting",
      outcome: "history-denied",
      detail: "403",
    });
    expect([here.at("prod"), here.runs(), here.deadLetters]).toEqual(["m1", "m1, replaced 0 times", []]);
    here.history.order = order;
    await here.minutes(16);
    expect(here.runs()).toBe("m2, replaced 1 times");
  });

  it("and says for how long is left alone until then", async () => {
    await here.built("m1");
    let asked = 0;
    const { order } = here.history;
    here.history.order = async () => {
      asked++;
      throw new HistoryUnavailableError("rate limit", { retryAfterMs: 3_000_000 });
    };
    await here.built("m2");
    await here.minutes(49);
    expect(asked).toBe(1);
    here.history.order = order;
    await here.minutes(2);
    expect(here.at("prod")).toBe("m2");
  });

  it("does not keep builds of which a newer one is known from being judged in any order", async () => {
    await here.built("m1");
    here.history.down = true;
    for (const name of ["m4", "m2", "m3"]) await here.built(name);
    here.history.down = false;
    await here.settle();
    expect([here.at("prod"), here.runs()]).toEqual(["m4", "m4, replaced 1 times"]);
    const outcomes = await Promise.all(["m2", "m3", "m4"].map((name) => here.buildEvent(name)));
    for (const event of outcomes) expect(["head", "superseded"]).toContain(event?.outcome);
  });
});
