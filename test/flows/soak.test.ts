import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { TargetUnavailableError } from "../../shared/errors.ts";
import { type FaultyLedger, faultyLedger } from "../doubles/faulty-ledger.ts";
import type { ModelTarget } from "../doubles/model-target.ts";
import { channelRule, type ImageWorld, imageWorld, repository } from "./image-world.ts";
import { digestOf } from "./world.ts";

const soakMinutes = 30;
const chain = (more: Parameters<typeof channelRule>[1] = {}) => [
  channelRule("int", { targets: ["swarm"] }),
  channelRule("prod", { targets: ["live"], after: "int", soakMs: soakMinutes * 60_000, ...more }),
];
const m1 = digestOf("m1");

let here: ImageWorld;
let ledger: FaultyLedger;
let int: ModelTarget;
beforeEach(async () => {
  await open();
});
afterEach(async () => {
  await here.close();
});

/** int on two workloads of one target, prod on another target; both have m1. */
async function open(more: Parameters<typeof channelRule>[1] = {}): Promise<void> {
  here = imageWorld({
    channels: chain(more),
    workloads: { web: `acme/web:int@${m1}`, api: `acme/web:int@${m1}` },
    others: { live: { shop: `acme/web:prod@${m1}` } },
    ledger: (inner) => {
      ledger = faultyLedger(inner);
      return ledger;
    },
  });
  int = here.target;
  await here.built("m1");
  if (more.byHand === true) await here.ordered("move");
  await here.minutes(soakMinutes + 4);
  expect(here.at("prod")).toBe("m1");
}

const alerts = () => here.told.filter((each) => each.startsWith("alert"));

describe("a channel after another one", () => {
  it("moves once every workload there has verified the digest and has run it well for the soak", async () => {
    await here.built("m2");
    expect([here.at("int"), here.at("prod")]).toEqual(["m2", "m1"]);
    await here.minutes(soakMinutes - 1);
    expect(here.runs("web")).toBe("m2, replaced 1 times");
    expect(here.at("prod")).toBe("m1");
    expect(here.runs("shop")).toBe("m1, replaced 0 times");
    await here.minutes(4);
    expect(here.at("prod")).toBe("m2");
    expect(here.runs("shop")).toBe("m2, replaced 1 times");
    await here.settle();
    expect((await here.image())?.dueMs).toBeUndefined();
    expect(alerts()).toEqual([]);
  });

  it("moves at once after that where there is no soak", async () => {
    await here.close();
    await open({ soakMs: 0 });
    await here.built("m2");
    await here.minutes(2);
    expect(here.runs("shop")).toBe("m2, replaced 1 times");
  });

  it("waits for a rollout there that is not verified yet, and begins the soak after it", async () => {
    here.pushed("m2");
    const message = { kind: "build", image: repository, tag: here.id("m2") } as const;
    const patient = { ...here.instance(), verify: { timeoutMs: 3_600_000, stableForMs: 1_200_000 } };
    const sinceMs = here.clock.now();
    await here.deliver(message, patient);
    for (; (await here.workload("api"))?.open !== undefined; await here.minutes(1, patient)) {
      expect(await here.channel("prod")).not.toHaveProperty("soak.sinceMs");
    }
    expect(here.clock.now() - sinceMs).toBeGreaterThan(1_200_000);
    await here.minutes(2, patient);
    expect(await here.channel("prod")).toMatchObject({ soak: { digest: digestOf("m2") } });
    await here.minutes(soakMinutes - 4, patient);
    expect(here.at("prod")).toBe("m1");
    await here.minutes(6, patient);
    expect(here.at("prod")).toBe("m2");
  });

  it("takes nothing but the queue's due query while it soaks: no document, no target, no registry", async () => {
    await here.built("m2");
    await here.minutes(3);
    expect(await here.channel("prod")).toHaveProperty("soak.sinceMs");
    ledger.reset();
    here.calls.length = 0;
    int.trouble = new Error("nobody asks");
    await here.minutes(soakMinutes - 5);
    expect(ledger.counts).toMatchObject({ documentReads: 0, documentWrites: 0, queries: soakMinutes - 5 });
    expect(here.calls).toEqual([]);
  });

  it("costs nothing but that query when it is at rest", async () => {
    await here.settle();
    ledger.reset();
    here.calls.length = 0;
    await here.minutes(60);
    expect(ledger.counts).toMatchObject({ documentReads: 0, documentWrites: 0, queries: 60 });
    expect(here.calls).toEqual([]);
  });
});

describe("a soak that is not over begins anew", () => {
  it("with a newer build: the first one never gets on", async () => {
    await here.built("m2");
    await here.minutes(soakMinutes - 5);
    await here.built("m3");
    await here.minutes(soakMinutes - 5);
    expect(here.at("prod")).toBe("m1");
    await here.minutes(10);
    expect(here.at("prod")).toBe("m3");
    expect(here.registry.puts.filter(({ tag }) => tag === "prod").map(({ digest }) => digest)).toEqual([
      m1,
      digestOf("m3"),
    ]);
  });
});

describe("a failure on the channel before stops it: an alert, and nothing moves by itself", () => {
  it("an image that fails there", async () => {
    await here.built("m2", "X");
    await here.minutes(soakMinutes * 2);
    expect(here.at("prod")).toBe("m1");
    expect(here.runs("shop")).toBe("m1, replaced 0 times");
    expect(await here.channel("prod")).toMatchObject({ soak: { digest: digestOf("X") } });
    expect((await here.channel("prod"))?.soak?.stopped).toContain("swarm/web");
    expect(alerts().filter((each) => each.includes("prod stays"))).toHaveLength(1);
    expect((await here.image())?.dueMs).toBeUndefined();
  });

  it.each<{ what: string; crash: () => void; says: string }>([
    { what: "stays down", crash: () => int.crash("api", "down"), says: "swarm/api: 1 of 2 tasks run" },
    { what: "is started again", crash: () => int.crash("api"), says: "1 tasks with" },
  ])("a task that ends during the soak and $what, seen at its end", async ({ crash, says }) => {
    await here.built("m2");
    await here.minutes(10);
    crash();
    await here.minutes(soakMinutes);
    expect(here.at("prod")).toBe("m1");
    expect(alerts()).toEqual([expect.stringContaining(says)]);
  });

  it("somebody who deploys another image there", async () => {
    await here.built("m2");
    await here.minutes(10);
    int.create("api", `acme/web:int@${digestOf("foreign")}`, { tasks: 2 });
    await here.minutes(soakMinutes);
    expect(here.at("prod")).toBe("m1");
    expect(alerts()).toHaveLength(1);
  });

  it("and the next digest starts with a clean sheet", async () => {
    await here.built("m2", "X");
    await here.minutes(5);
    await here.built("m3");
    await here.minutes(soakMinutes + 4);
    expect(here.at("prod")).toBe("m3");
    expect(here.runs("shop")).toBe("m3, replaced 1 times");
  });

  it("and a person's order overrules it", async () => {
    await here.built("m2");
    await here.minutes(10);
    int.crash("api");
    await here.minutes(soakMinutes);
    await here.ordered("move");
    expect(here.at("prod")).toBe("m2");
    await here.built("m3");
    await here.minutes(soakMinutes + 4);
    expect(here.at("prod")).toBe("m3");
  });

  it("but not tasks that had ended before the soak", async () => {
    await here.built("m2");
    int.crash("api");
    await here.minutes(soakMinutes + 4);
    expect(here.at("prod")).toBe("m2");
  });
});

describe("what cannot be asked keeps it open", () => {
  it("a target that is away at the end: the soak is not in vain, and ends when it is back", async () => {
    await here.built("m2");
    await here.minutes(10);
    int.trouble = new TargetUnavailableError("away");
    await here.minutes(60);
    expect(here.at("prod")).toBe("m1");
    expect(await here.channel("prod")).toMatchObject({
      trouble: { reason: "target-unavailable", detail: "away" },
    });
    int.trouble = undefined;
    await here.minutes(16);
    expect(here.at("prod")).toBe("m2");
    expect(await here.channel("prod")).not.toHaveProperty("trouble");
    expect(alerts()).toEqual([]);
  });

  it("a target that says for how long: it is left alone until then", async () => {
    await here.built("m2");
    await here.minutes(10);
    int.trouble = new TargetUnavailableError("busy", { retryAfterMs: 3_600_000 });
    await here.minutes(soakMinutes);
    int.trouble = undefined;
    await here.minutes(30);
    expect(here.at("prod")).toBe("m1");
    await here.minutes(30);
    expect(here.at("prod")).toBe("m2");
  });

  it("a target of prod that is away has no say in what int proves", async () => {
    const [, live] = here.targets;
    if (live === undefined) throw new Error("there are two targets");
    live.trouble = new TargetUnavailableError("away");
    await here.built("m2");
    await here.minutes(soakMinutes + 4);
    expect(here.at("prod")).toBe("m2");
    live.trouble = undefined;
    await here.settle();
    expect(here.runs("shop")).toBe("m2, replaced 1 times");
  });

  it("a git host that is away when prod is to move: nobody guesses that it moves forward", async () => {
    await here.built("m2");
    await here.minutes(5);
    here.history.down = true;
    await here.minutes(60);
    expect(here.at("prod")).toBe("m1");
    expect(await here.channel("prod")).toMatchObject({ trouble: { reason: "history-unavailable" } });
    here.history.down = false;
    await here.minutes(16);
    expect(here.at("prod")).toBe("m2");
  });
});

describe("a channel that only moves forward", () => {
  it("does not go back with int, where a person took that to an older build", async () => {
    await here.built("m2");
    await here.minutes(soakMinutes + 4);
    await here.built("m3");
    here.registry.push(repository, "int", m1);
    await here.reported("by hand", "m1", "int");
    expect(await here.ordered("adopt", "int")).toMatchObject({ outcome: "ordered" });
    await here.minutes(soakMinutes * 2);
    expect([here.at("int"), here.at("prod")]).toEqual(["m1", "m2"]);
    expect(alerts().at(-1)).toContain("is older");
  });

  it("keeps what a person adopted there until int has something newer", async () => {
    here.registry.push(repository, "prod", digestOf("foreign"));
    await here.reported("by hand", "foreign", "prod");
    await here.ordered("adopt", "prod");
    await here.minutes(soakMinutes * 2);
    expect(here.at("prod")).toBe(digestOf("foreign"));
    await here.built("m2");
    await here.minutes(soakMinutes + 4);
    expect(here.at("prod")).toBe("m2");
  });
});

describe("a channel after another one, by hand", () => {
  it("waits for its order and then gets what the one before it has, not the head", async () => {
    await here.close();
    await open({ byHand: true });
    await here.built("m2");
    await here.minutes(soakMinutes * 2);
    expect(here.at("prod")).toBe("m1");
    expect((await here.image())?.dueMs).toBeUndefined();
    await here.ordered("move");
    expect(here.at("prod")).toBe("m2");
    expect(here.runs("shop")).toBe("m2, replaced 1 times");
  });

  it("is refused where the one before it has nothing", async () => {
    await here.close();
    here = imageWorld({ channels: chain({ byHand: true }) });
    expect(await here.ordered("move")).toMatchObject({
      outcome: "refused",
      detail: "there is nothing to move it to: int has nothing yet",
    });
  });
});
