import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Message } from "../shared/bus/bus.ts";
import { type InlineBusOptions, inlineBus } from "../shared/bus/inline.ts";
import { systemClock } from "../shared/clock.ts";
import { type EmbeddedStore, openEmbedded } from "../shared/embedded-store.ts";
import { embeddedLedger } from "../shared/ledger/embedded.ts";
import { type BusUnderTest, busContract, busOrderingKey, busTiming } from "./contracts/bus.ts";
import { refDocument } from "./contracts/documents.ts";
import { manualClock } from "./doubles/manual-clock.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "landfall-bus-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

busContract("the inline bus in memory", async () => {
  const store = openEmbedded(":memory:");
  return busUnderTest(() => store);
});
busContract("the inline bus in a file", async () => busUnderTest(() => openEmbedded(fileName())));

describe("the inline bus", () => {
  it("doubles the wait with each nack, up to the longest", async () => {
    const clock = manualClock();
    const bus = inlineBus({ store: ":memory:", clock, timer: clock.timer });
    const atMs: number[] = [];
    bus.deliver(
      async () => {
        atMs.push(clock.now());
        return "nack";
      },
      { ...busTiming, maxAttempts: 7 },
    );
    await bus.publish([message(1)]);
    await clock.advance(60_000);
    expect(atMs.slice(1).map((at, n) => at - (atMs[n] ?? 0))).toEqual([
      1_000, 2_000, 4_000, 8_000, 8_000, 8_000,
    ]);
    await bus.close();
  });

  it("delivers a message of its own process without waiting for the timer", async () => {
    const bus = inlineBus({ store: ":memory:", clock: systemClock, timer: () => () => {} });
    const heard = Promise.withResolvers<void>();
    bus.deliver(async () => {
      heard.resolve();
      return "ack";
    });
    await bus.publish([message(1)]);
    await heard.promise;
    await bus.close();
  });

  it("takes a late answer as long as nobody else has the message", async () => {
    const clock = manualClock();
    const store = openEmbedded(":memory:");
    const bus = inlineBus({ store, clock, timer: clock.timer });
    const late = Promise.withResolvers<"ack">();
    const delivering = bus.deliver(() => late.promise, busTiming);
    await bus.publish([message(1)]);
    await clock.advance(0);
    const stopped = delivering.stop();
    await clock.advance(busTiming.ackDeadlineMs + 1);
    await stopped;
    late.resolve("ack");
    await clock.advance(0);
    expect(store.database.prepare("SELECT count(*) AS left FROM messages").get()).toEqual({ left: 0 });
    await bus.close();
  });

  it("ignores a late answer when the message is with somebody else", async () => {
    const clock = manualClock();
    const store = openEmbedded(":memory:");
    const bus = inlineBus({ store, clock, timer: clock.timer });
    const late = Promise.withResolvers<"ack">();
    bus.deliver(
      ({ deliveryAttempt }) => (deliveryAttempt === 1 ? late.promise : new Promise(() => {})),
      busTiming,
    );
    await bus.publish([message(1)]);
    await clock.advance(busTiming.ackDeadlineMs + 1);
    late.resolve("ack");
    await clock.advance(0);
    expect(store.database.prepare("SELECT attempts FROM messages").get()).toEqual({ attempts: 2 });
  });

  it("publishes all of a batch or nothing, and says so when there is no room on the disk", async () => {
    const store = openEmbedded(fileName());
    const bus = inlineBus({ store, clock: systemClock });
    store.database.exec("PRAGMA max_page_count = 40");
    const large: Message = { kind: "continue", seq: 2, workload: `swarm/${"x".repeat(500_000)}` };
    await expect(bus.publish([message(1), large])).rejects.toMatchObject(unavailable);
    await expect(bus.publish([large])).rejects.toMatchObject(unavailable);
    await expect(bus.deadLetter("x".repeat(500_000), {}, "too large")).rejects.toMatchObject(unavailable);
    expect(store.database.prepare("SELECT count(*) AS left FROM messages").get()).toEqual({ left: 0 });
    await bus.publish([message(1)]);
    store.close();
  });

  it("goes on delivering after the file was locked for longer than the timeout", async () => {
    const clock = manualClock();
    const store = openEmbedded(fileName());
    store.database.exec("PRAGMA busy_timeout = 0");
    const bus = inlineBus({ store, clock, timer: clock.timer });
    await bus.publish([message(1)]);
    const other = new DatabaseSync(fileName());
    other.exec("BEGIN IMMEDIATE");
    await expect(bus.publish([message(2)])).rejects.toMatchObject(unavailable);
    let deliveries = 0;
    bus.deliver(async () => {
      deliveries++;
      return "ack";
    });
    await clock.advance(5_000);
    expect(deliveries).toBe(0);
    other.exec("ROLLBACK");
    other.close();
    await clock.advance(5_000);
    expect(deliveries).toBe(1);
    await bus.close();
    store.close();
  });

  it.each([4, 101, Number.NaN])("refuses %d delivery attempts, as Pub/Sub does", (maxAttempts) => {
    const bus = inlineBus({ store: ":memory:", clock: systemClock });
    expect(() => bus.deliver(async () => "ack", { maxAttempts })).toThrow(RangeError);
  });

  it("shares a database with the ledger, in memory too, and leaves its documents alone", async () => {
    const store = openEmbedded(":memory:");
    const ledger = embeddedLedger(store, systemClock);
    const bus = inlineBus({ store, clock: systemClock });
    await ledger.commit("w", [{ collection: "refs", id: "r", value: refDocument(), expect: 0 }]);
    const delivering = bus.deliver(async ({ message: { data } }) => {
      const { seq: generation } = JSON.parse(Buffer.from(data, "base64").toString());
      await ledger.commit("h", [
        { collection: "refs", id: "r", value: refDocument({ generation }), expect: 1 },
      ]);
      return "ack";
    });
    await bus.publish([message(5)]);
    await delivering.idle();
    await bus.close();
    await ledger.close();
    expect(await ledger.get("refs", "r")).toMatchObject({ rev: 2, value: { generation: 5 } });
    store.close();
  });

  it("is shared by processes: each message reaches one of them", async () => {
    const bus = inlineBus({ store: fileName(), clock: systemClock });
    const children = [subscriber("ack"), subscriber("ack")];
    const heard: number[] = [];
    const all = Promise.withResolvers<void>();
    for (const child of children) {
      onDelivery(child, (seq) => {
        if (heard.push(seq) === 200) all.resolve();
      });
    }
    for (let n = 0; n < 200; n++) await bus.publish([message(n)]);
    await all.promise;
    for (const child of children) child.stdin?.end();
    await Promise.all(children.map((child) => once(child, "exit")));
    expect(heard.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 200 }, (_, n) => n));
    await bus.close();
  }, 60_000);

  it("gives what a killed process had in flight to another after the deadline", async () => {
    const clock = manualClock(Date.now() + 600_000); // the deadline of whatever the child takes has passed
    const bus = inlineBus({ store: fileName(), clock: systemClock });
    await bus.publish([message(1)]);
    const child = subscriber("hang");
    await new Promise<void>((resolve) => onDelivery(child, () => resolve()));
    child.kill("SIGKILL");
    await once(child, "exit");
    const later = inlineBus({ store: fileName(), clock, timer: clock.timer });
    const attempts: (number | undefined)[] = [];
    const delivering = later.deliver(async ({ deliveryAttempt }) => {
      attempts.push(deliveryAttempt);
      return "ack";
    });
    await delivering.idle();
    expect(attempts).toEqual([2]);
    await later.close();
    await bus.close();
  }, 60_000);
});

const unavailable = { code: "BUS_UNAVAILABLE", retryable: true };

/** Processes are buses of their own on one clock; a dead one no longer hears its timer. */
function busUnderTest(open: () => EmbeddedStore): BusUnderTest {
  const clock = manualClock();
  const stores = new Set<EmbeddedStore>();
  return {
    join: () => {
      let alive = true;
      const store = open();
      stores.add(store);
      const timer: InlineBusOptions["timer"] = (afterMs, ring) => clock.timer(afterMs, () => alive && ring());
      const bus = inlineBus({ store, clock, timer, orderingKey: busOrderingKey });
      return {
        bus,
        deliver: (handler, options) => bus.deliver(handler, { ...busTiming, ...options }),
        deadLetters: () => bus.deadLetters(),
        crash: () => {
          alive = false;
        },
      };
    },
    elapse: (ms) => clock.advance(ms),
    close: async () => {
      for (const store of stores) store.close();
    },
  };
}

function message(seq: number): Message {
  return { kind: "continue", workload: "swarm/web", seq };
}

function fileName(): string {
  return join(folder, "landfall.db");
}

function subscriber(answer: "ack" | "hang"): ChildProcess {
  const script = new URL("./processes/subscribe.ts", import.meta.url).pathname;
  return spawn(process.execPath, [script, fileName(), answer], { stdio: ["pipe", "pipe", "inherit"] });
}

function onDelivery(child: ChildProcess, act: (seq: number) => void): void {
  if (child.stdout === null) throw new Error("the child's output is needed");
  createInterface(child.stdout).on("line", (line) => act(Number(JSON.parse(line).seq)));
}
