import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { FaultPoint } from "../../shared/flows/recorder.ts";
import { type ImageWorld, imageWorld, repository } from "./image-world.ts";
import { digestOf, mortal } from "./world.ts";

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
const puts = () => here.calls.filter(({ method }) => method === "put").length;
/** Longer than a promotion's lease, and than whoever takes it over waits after it. */
const leaseOverMs = 76_000;

describe("a promotion", () => {
  it("writes the exact bytes of the image's manifest under the channel's tag, and rolls it out", async () => {
    here.calls.length = 0;
    await here.built("m2");
    expect(here.at("prod")).toBe("m2");
    const manifest = await here.registry.get(repository, digestOf("m2"));
    expect(here.registry.puts.at(-1)).toEqual({
      tag: "prod",
      digest: digestOf("m2"),
      bytes: manifest?.bytes,
    });
    expect(here.runs()).toBe("m2, replaced 1 times");
    expect(await here.channel()).toMatchObject({
      promoted: { commit: here.id("m2"), digest: digestOf("m2") },
    });
    expect(alerts()).toEqual([]);
  });

  it("asks the registry four times, the look a lease later among them, and for the build once", async () => {
    here.calls.length = 0;
    await here.built("m2");
    await here.settle();
    await here.minutes(10);
    expect(here.calls).toEqual([
      { method: "head", reference: here.id("m2") },
      { method: "head", reference: "prod" },
      { method: "get", reference: digestOf("m2") },
      { method: "put", reference: "prod" },
      { method: "head", reference: "prod" },
    ]);
  });

  it("takes over a tag that was there before the first promotion", async () => {
    await here.close();
    here = imageWorld();
    here.registry.push(repository, "prod", digestOf("before Landfall"));
    await here.built("m1");
    expect(here.at("prod")).toBe("m1");
    expect(alerts()).toEqual([]);
  });

  it("writes nothing and restarts nothing for the same image under a new commit", async () => {
    const before = await here.channel();
    here.calls.length = 0;
    await here.built("m2", "m1");
    await here.settle();
    expect(here.calls.filter(({ method }) => method !== "head")).toEqual([]);
    expect(await here.channel()).toMatchObject({
      promoted: { commit: here.id("m2") },
      generation: before?.generation,
    });
    expect(here.runs()).toBe("m1, replaced 0 times");
    expect((await here.image())?.head).toMatchObject({ commit: here.id("m2") });
  });
});

/** A process that takes the build of a commit and dies at a step of the promotion. */
async function dying(name: string, step: FaultPoint, side: "before" | "after"): Promise<void> {
  here.pushed(name);
  const recorder = mortal({ step, side });
  const message = { kind: "build", image: repository, tag: here.id(name) } as const;
  void here.deliver(message, here.instance(recorder));
  await recorder.died;
}

describe("a promotion whose process died", () => {
  it("before the write: the tag is found where it was, and written", async () => {
    await dying("m2", "registry.put", "before");
    here.calls.length = 0;
    await here.settle();
    expect(puts()).toBe(1);
    expect(here.runs()).toBe("m2, replaced 1 times");
  });

  it("between the write and its record: the tag is found where it was to be, and finished without another write", async () => {
    await dying("m2", "registry.put", "after");
    here.calls.length = 0;
    await here.settle();
    expect(puts()).toBe(0);
    expect(await here.channel()).toMatchObject({ promoted: { commit: here.id("m2") }, generation: 2 });
    expect((await here.channel())?.conflict).toBeUndefined();
    expect(here.runs()).toBe("m2, replaced 1 times");
    expect(alerts()).toEqual([]);
  });

  it("between the write and its record, and a newer build came: the tag is found at the dead one's, and written once", async () => {
    await dying("m2", "registry.put", "after");
    await here.built("m3");
    here.calls.length = 0;
    await here.settle();
    expect(puts()).toBe(1);
    expect(here.runs()).toBe("m3, replaced 1 times");
    expect(alerts()).toEqual([]);
  });

  it("is left alone as long as its lease and the time of a late write last", async () => {
    await dying("m2", "registry.put", "before");
    here.calls.length = 0;
    here.clock.set(here.clock.now() + 74_000);
    await here.built("m3");
    expect(puts()).toBe(0);
    here.clock.set(here.clock.now() + 2_000);
    await here.minutes(1);
    expect(here.at("prod")).toBe("m3");
  });
});

describe("a tag that is found at another digest", () => {
  beforeEach(async () => {
    here.registry.push(repository, "prod", digestOf("foreign"));
    await here.built("m2");
  });

  it("is left as it is, an alert says so, nothing is rolled out, and the build is known all the same", async () => {
    expect(here.at("prod")).toBe(digestOf("foreign"));
    expect((await here.channel())?.conflict).toMatchObject({ found: digestOf("foreign") });
    expect(alerts()).toHaveLength(1);
    expect(alerts()[0]).toContain("--adopt");
    expect(here.target.writes).toEqual([]);
    expect(await here.workload()).toBeUndefined();
    expect((await here.image())?.head).toMatchObject({ commit: here.id("m2") });
  });

  it("is neither asked about nor written again by time or by newer builds, and nobody hears of it twice", async () => {
    await here.minutes(3);
    here.calls.length = 0;
    await here.built("m3");
    await here.minutes(60);
    expect(here.calls).toEqual([{ method: "head", reference: here.id("m3") }]);
    expect(here.target.writes).toEqual([]);
    expect(alerts()).toHaveLength(1);
    expect((await here.image())?.dueMs).toBeUndefined();
  });
});

it("leaves a tag that somebody has deleted as it is, and says so", async () => {
  here.registry.remove(repository, "prod");
  await here.built("m2");
  expect(here.at("prod")).toBeUndefined();
  expect((await here.channel())?.conflict).not.toHaveProperty("found");
  expect(alerts()).toEqual([expect.stringContaining("was deleted by somebody else")]);
  expect(here.target.writes).toEqual([]);
});

/** The first PUT waits on its way to the registry until it is let go; all others go through. */
function latePut(): { readonly reached: Promise<void>; readonly arrive: () => void } {
  const reached = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  let isFirst = true;
  here.befall = async ({ method }, phase) => {
    if (method !== "put" || phase !== "asked" || !isFirst) return;
    isFirst = false;
    reached.resolve();
    await gate.promise;
  };
  return { reached: reached.promise, arrive: gate.resolve };
}

/** A holder's write of m2 is under way for longer than its lease; others go on, then it arrives, and the holder dies. */
async function overtaken(others: () => Promise<void>): Promise<void> {
  const late = latePut();
  const dying = mortal({ step: "registry.put", side: "after" });
  here.pushed("m2");
  void here.deliver({ kind: "build", image: repository, tag: here.id("m2") }, here.instance(dying));
  await late.reached;
  here.clock.set(here.clock.now() + leaseOverMs);
  await others();
  late.arrive();
  await dying.died;
}

describe("a write that arrives later than its lease lasted", () => {
  it("steps the tag back, and the look a lease later puts it right: workloads never notice", async () => {
    await overtaken(() => here.built("m3"));
    expect(here.at("prod")).toBe("m2");
    await here.minutes(2);
    expect(here.at("prod")).toBe("m3");
    expect(here.runs()).toBe("m3, replaced 1 times");
    expect(alerts()).toEqual([]);
    await here.settle();
  });

  it("is put right too when others had finished its own promotion before they made the next one", async () => {
    await overtaken(async () => {
      await here.minutes(1);
      expect(here.at("prod")).toBe("m2");
      await here.built("m3");
    });
    expect(here.at("prod")).toBe("m2");
    await here.minutes(2);
    expect(here.at("prod")).toBe("m3");
    expect(alerts()).toEqual([]);
    await here.settle();
  });

  it("is put right at once when a registry reports it", async () => {
    await overtaken(() => here.built("m3"));
    await here.reported("late", "m2");
    expect(here.at("prod")).toBe("m3");
    await here.settle();
  });

  it("is put right once: that the tag is there a second time is somebody else's doing", async () => {
    await overtaken(() => here.built("m3"));
    await here.minutes(2);
    here.registry.push(repository, "prod", digestOf("m2"));
    await here.minutes(3);
    expect(here.at("prod")).toBe("m2");
    expect(alerts()).toHaveLength(1);
    expect((await here.channel())?.conflict).toMatchObject({ found: digestOf("m2") });
  });

  it("does no harm when it arrives where the tag is already", async () => {
    await overtaken(() => here.minutes(1));
    await here.settle();
    expect(here.at("prod")).toBe("m2");
    expect(here.runs()).toBe("m2, replaced 1 times");
  });

  it("is put right by its own holder, should it live, when nobody else looks any more", async () => {
    const late = latePut();
    const slow = here.built("m2");
    await late.reached;
    here.clock.set(here.clock.now() + leaseOverMs);
    await here.built("m3");
    await here.minutes(5);
    expect((await here.image())?.dueMs).toBeUndefined();
    late.arrive();
    await slow;
    expect(here.at("prod")).toBe("m3");
    expect(here.runs()).toBe("m3, replaced 1 times");
    expect(alerts()).toEqual([]);
    await here.settle();
    expect(puts()).toBe(4);
  });

  it("is never sent by a holder that has too little of its lease left", async () => {
    const reached = Promise.withResolvers<void>();
    const gate = Promise.withResolvers<void>();
    here.befall = async ({ method }, phase) => {
      if (method !== "get" || phase !== "answered") return;
      reached.resolve();
      await gate.promise;
    };
    const slow = here.built("m2");
    await reached.promise;
    here.clock.set(here.clock.now() + 46_000);
    here.calls.length = 0;
    gate.resolve();
    await slow;
    expect(puts()).toBe(0);
    await here.settle();
    expect(here.at("prod")).toBe("m2");
  });
});
