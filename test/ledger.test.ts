import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../shared/clock.ts";
import { openEmbedded } from "../shared/embedded-store.ts";
import { embeddedLedger } from "../shared/ledger/embedded.ts";
import type { Write } from "../shared/ledger/ledger.ts";
import { eventDocument, refDocument } from "./contracts/documents.ts";
import { ledgerContract } from "./contracts/ledger.ts";
import { faultyLedger } from "./doubles/faulty-ledger.ts";
import { manualClock } from "./doubles/manual-clock.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "landfall-ledger-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

ledgerContract("the embedded ledger in memory", async () => embeddedLedger(":memory:", systemClock));
ledgerContract("the embedded ledger in a file", async () => embeddedLedger(fileName(), systemClock));
ledgerContract("a ledger that is watched", async () => faultyLedger(embeddedLedger(":memory:", systemClock)));

describe("the embedded ledger", () => {
  it("creates the folder of its file", async () => {
    const path = join(folder, "not", "there", "yet", "landfall.db");
    await embeddedLedger(path, systemClock).close();
    expect(existsSync(path)).toBe(true);
  });

  it("finds everything again when the file is opened anew", async () => {
    const first = embeddedLedger(fileName(), systemClock);
    await first.commit("w", [ref("r", 3)]);
    await first.close();
    const second = embeddedLedger(fileName(), systemClock);
    expect(await second.get("refs", "r")).toEqual({ id: "r", rev: 1, writer: "w", value: ref("r", 3).value });
    await second.close();
  });

  it("deletes expired events as new ones are written, and nothing else", async () => {
    const clock = manualClock();
    const store = openEmbedded(":memory:");
    const expired = { collection: "events", id: "expired", expect: 0 } as const;
    const ledger = embeddedLedger(store, clock);
    await ledger.commit("w", [
      ref("r", 1),
      { ...expired, value: eventDocument({ expireMs: clock.now() + 10 }) },
    ]);
    await clock.advance(10);
    const next = embeddedLedger(store, clock); // a process sweeps with its first event
    await next.commit("w", [{ collection: "events", id: "new", value: eventDocument(), expect: 0 }]);
    expect(await next.get("events", "expired")).toBeUndefined();
    expect(await next.get("events", "new")).toBeDefined();
    expect(await next.get("refs", "r")).toBeDefined();
  });

  it("says that it is unavailable while another process writes for too long, and works afterwards", async () => {
    const store = openEmbedded(fileName());
    store.database.exec("PRAGMA busy_timeout = 0");
    const ledger = embeddedLedger(store, systemClock);
    const other = new DatabaseSync(fileName());
    other.exec("BEGIN IMMEDIATE");
    await expect(ledger.commit("w", [ref("r", 1)])).rejects.toMatchObject(unavailable);
    expect(await ledger.get("refs", "r")).toBeUndefined();
    other.exec("ROLLBACK");
    other.close();
    expect(await ledger.commit("w", [ref("r", 1)])).toEqual({ kind: "committed" });
    store.close();
  });

  it("says that it is unavailable when the disk is full, keeps nothing, and goes on when there is room", async () => {
    const store = openEmbedded(fileName());
    const ledger = embeddedLedger(store, systemClock);
    store.database.exec("PRAGMA max_page_count = 40");
    const large: Write = {
      collection: "events",
      id: "large",
      value: eventDocument({ detail: "x".repeat(500_000) }),
      expect: 0,
    };
    await expect(ledger.commit("w", [ref("r", 1), large])).rejects.toMatchObject(unavailable);
    expect(await ledger.get("refs", "r")).toBeUndefined();
    store.database.exec("PRAGMA max_page_count = 1000000");
    expect(await ledger.commit("w", [ref("r", 1), large])).toEqual({ kind: "committed" });
    store.close();
  });

  it("says that it is unavailable once it is closed", async () => {
    const ledger = embeddedLedger(":memory:", systemClock);
    await ledger.close();
    await ledger.close();
    await expect(ledger.get("refs", "r")).rejects.toMatchObject(unavailable);
    await expect(ledger.commit("w", [ref("r", 1)])).rejects.toMatchObject(unavailable);
  });
});

describe("the file of the embedded ledger", () => {
  it("is refused when a newer version wrote it, and left as it is", () => {
    openEmbedded(fileName()).close();
    const newer = new DatabaseSync(fileName());
    newer.exec("PRAGMA user_version = 99");
    newer.close();
    expect(() => openEmbedded(fileName())).toThrow(
      expect.objectContaining({
        code: "EMBEDDED_STORE",
        retryable: false,
        message: expect.stringContaining("newer Landfall (version 99"),
      }),
    );
    const after = new DatabaseSync(fileName());
    expect(after.prepare("PRAGMA user_version").get()).toEqual({ user_version: 99 });
    after.close();
  });

  it.each([
    {
      name: "a database of something else",
      create: () => {
        const other = new DatabaseSync(fileName());
        other.exec("CREATE TABLE cookies (name TEXT)");
        other.close();
      },
    },
    { name: "no database", create: () => writeFileSync(fileName(), "not a database, ".repeat(100)) },
  ])("is refused when it is $name", ({ create }) => {
    create();
    expect(() => openEmbedded(fileName())).toThrow(expect.objectContaining({ code: "EMBEDDED_STORE" }));
  });

  it.each([
    { name: "without a name", path: () => "" },
    { name: "that is a folder", path: () => folder },
    { name: "below what is no folder", path: () => join(import.meta.filename, "landfall.db") },
  ])("is refused $name", ({ path }) => {
    expect(() => openEmbedded(path())).toThrow(expect.objectContaining({ code: "EMBEDDED_STORE" }));
  });

  it("may be created by several processes at once, and loses no write of theirs", async () => {
    const writers = [1, 2, 3, 4].map(() => writer(250));
    expect(await Promise.all(writers.map(exitCode))).toEqual([0, 0, 0, 0]);
    const ledger = embeddedLedger(fileName(), systemClock);
    expect(await ledger.get("refs", "counter")).toMatchObject({ rev: 1_000, value: { generation: 1_000 } });
    await ledger.close();
  }, 60_000);

  it("is whole after a writer was killed, with all that the writer was told is written", async () => {
    const killed = writer(1_000_000);
    let reported = 0;
    killed.stdout?.setEncoding("utf8").on("data", (text: string) => {
      reported += text.split("\n").length - 1;
      if (reported >= 100) killed.kill("SIGKILL");
    });
    await once(killed, "close");
    const store = openEmbedded(fileName());
    expect(store.database.prepare("PRAGMA integrity_check").get()).toEqual({ integrity_check: "ok" });
    const ledger = embeddedLedger(store, systemClock);
    const found = await ledger.get("refs", "counter");
    expect(found?.value.generation).toBeGreaterThanOrEqual(reported);
    expect(found?.value.generation).toBe(found?.rev);
    expect(await ledger.commit("w", [ref("r", 1)])).toEqual({ kind: "committed" });
    store.close();
  }, 60_000);
});

describe("a faulty ledger", () => {
  it("counts what reached the ledger, by kind", async () => {
    const ledger = faultyLedger(embeddedLedger(":memory:", systemClock));
    await ledger.get("refs", "r");
    await ledger.commit("w", [ref("r", 1), ref("s", 1)]);
    await ledger.commit("w", [ref("r", 1)]);
    await ledger.due(0, 1);
    expect(ledger.counts).toEqual({
      documentReads: 1,
      queries: 1,
      documentWrites: 2,
      commits: 1,
      conflicts: 1,
      clockReads: 0,
    });
    ledger.reset();
    expect(ledger.counts.documentReads).toBe(0);
  });

  it.each([
    { fault: "refuse", written: false },
    { fault: "lose-answer", written: true },
  ] as const)(
    "can $fault: the caller gets an error and $written is whether it was written",
    async ({ fault, written }) => {
      const ledger = faultyLedger(embeddedLedger(":memory:", systemClock), {
        fault: ({ index }) => (index === 0 ? fault : "none"),
      });
      await expect(ledger.commit("w", [ref("r", 1)])).rejects.toMatchObject(unavailable);
      expect((await ledger.get("refs", "r")) !== undefined).toBe(written);
    },
  );

  it("can hold back a request until the test lets it through", async () => {
    const held = Promise.withResolvers<void>();
    const ledger = faultyLedger(embeddedLedger(":memory:", systemClock), {
      schedule: (call, phase) =>
        call.writer === "slow" && phase === "request" ? held.promise : Promise.resolve(),
    });
    const slow = ledger.commit("slow", [ref("r", 1)]);
    expect(await ledger.commit("fast", [ref("r", 2)])).toEqual({ kind: "committed" });
    held.resolve();
    expect(await slow).toMatchObject({ kind: "conflict" });
  });
});

const unavailable = { code: "LEDGER_UNAVAILABLE", retryable: true };

function fileName(): string {
  return join(folder, "landfall.db");
}

function ref(id: string, generation: number): Write {
  return { collection: "refs", id, value: refDocument({ generation }), expect: 0 };
}

function writer(times: number): ChildProcess {
  const script = new URL("./processes/increment.ts", import.meta.url).pathname;
  return spawn(process.execPath, [script, fileName(), String(times)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
}

async function exitCode(child: ChildProcess): Promise<unknown> {
  child.stdout?.resume();
  const [code] = await once(child, "exit");
  return code;
}
