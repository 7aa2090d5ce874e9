import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../shared/clock.ts";
import { record } from "../../shared/flows/record.ts";
import { plainRecorder } from "../../shared/flows/recorder.ts";
import { markerOf, pathOf } from "../../shared/ledger/firestore/paths.ts";
import type { Collection, Ledger, Write } from "../../shared/ledger/ledger.ts";
import { eventDocument, openRollout, refDocument, workloadDocument } from "../contracts/documents.ts";
import { increment } from "../contracts/increment.ts";
import { ledgerContract } from "../contracts/ledger.ts";
import {
  type FirestoreProject,
  firestoreProject,
  percentiles,
  type Watched,
  watched,
} from "./firestore-emulator.ts";

ledgerContract("the ledger in Firestore", async () => firestoreProject().ledger());

const committed = { kind: "committed" };

describe("the ledger in Firestore", () => {
  let project: FirestoreProject;
  let mine: Ledger;
  let other: Ledger;
  let watch: Watched;
  const opened: Ledger[] = [];
  beforeEach(() => {
    project = firestoreProject();
    watch = watched();
    mine = project.ledger(watch);
    other = project.ledger();
    opened.push(mine, other);
  });
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((each) => each.close()));
  });

  describe("shared by two processes", () => {
    it("replaces a document that this process has read without reading it again", async () => {
      await other.commit("o", [ref("r", 0)]);
      await mine.get("refs", "r");
      watch.spent();
      expect(await mine.commit("m", [ref("r", 1)])).toEqual(committed);
      expect(await mine.commit("m", [ref("r", 2)])).toEqual(committed);
      expect(watch.spent()).toMatchObject({ reads: 0, writes: 2, refused: 0 });
    });

    it("replaces one that only the other has read or written, after reading it once", async () => {
      await other.commit("o", [ref("r", 0)]);
      expect(await mine.commit("m", [ref("r", 1), ref("new", 0)])).toEqual(committed);
      expect(watch.spent()).toMatchObject({ reads: 1, writes: 2, refused: 0 });
      expect(await other.get("refs", "r")).toMatchObject({ rev: 2, writer: "m" });
    });

    it("refuses a write at a rev that the other has left behind, known or not", async () => {
      await other.commit("o", [ref("known", 0), ref("unknown", 0)]);
      await mine.get("refs", "known");
      await other.commit("o", [ref("known", 1), ref("unknown", 1)]);
      expect(await mine.commit("m", [ref("known", 1)])).toEqual(conflict("refs", "known"));
      expect(await mine.commit("m", [ref("unknown", 1)])).toEqual(conflict("refs", "unknown"));
      expect(watch.bill).toMatchObject({ writes: 0, refused: 1 });
      expect(await mine.get("refs", "known")).toMatchObject({ rev: 2, writer: "o" });
    });

    it("names the first document that is not as expected, whichever the refusal was about", async () => {
      await other.commit("o", [ref("a", 0), ref("b", 0), ref("c", 0)]);
      await Promise.all(["a", "b", "c"].map((id) => mine.get("refs", id)));
      await other.commit("o", [ref("b", 1), ref("c", 1)]);
      const writes = [ref("new", 0), ref("a", 1), ref("b", 1), ref("c", 1)];
      expect(await mine.commit("m", writes)).toEqual(conflict("refs", "b"));
      expect(await mine.commit("m", [ref("unknown", 7), ...writes])).toEqual(conflict("refs", "unknown"));
      expect(await mine.get("refs", "new")).toBeUndefined();
    });

    it("refuses to replace what a person has deleted", async () => {
      await mine.commit("m", [ref("r", 0)]);
      await project.rest("DELETE", `/${pathOf("refs", "r")}`);
      expect(await mine.commit("m", [ref("r", 1)])).toEqual(conflict("refs", "r"));
      expect(await mine.commit("m", [ref("r", 0)])).toEqual(committed);
    });

    it("refuses once to replace what a person has edited, and goes on from there", async () => {
      await mine.commit("m", [ref("r", 0)]);
      await project.rest("PATCH", `/${pathOf("refs", "r")}?updateMask.fieldPaths=writer`, {
        body: { fields: { writer: { stringValue: "a person" } } },
      });
      expect(await mine.commit("m", [ref("r", 1)])).toEqual(conflict("refs", "r"));
      expect(await mine.get("refs", "r")).toMatchObject({ rev: 1, writer: "a person" });
      expect(await mine.commit("m", [ref("r", 1)])).toEqual(committed);
    });

    it.each([1, 20])(
      "loses no update of twenty writers on one document from %i instances",
      async (instances) => {
        const watches = numbers(instances).map(() => watched());
        const ledgers = watches.map((each) => project.ledger(each));
        opened.push(...ledgers);
        await mine.commit("m", [ref("r", 0)]);
        await Promise.all(ledgers.map((each) => each.get("refs", "r")));
        const startMs = performance.now();
        await Promise.all(numbers(20).map((n) => increment(ledgers[n % instances] ?? mine, "r", `w-${n}`)));
        const tookMs = performance.now() - startMs;
        expect(await mine.get("refs", "r")).toMatchObject({ rev: 21, value: { generation: 20 } });
        const refused = watches.reduce((total, { bill }) => total + bill.refused, 0);
        const reads = watches.reduce((total, { bill }) => total + bill.reads, 0);
        const commits = watches.flatMap((each) => each.tookMs.commit);
        report(
          `20 writers on one document, ${instances} instances: ${tookMs.toFixed(0)} ms, ${refused} refused, ${reads} reads; commits: ${percentiles(commits)}`,
        );
      },
    );
  });

  describe("whose answer is lost", () => {
    it("has written, and says so to the same writer", async () => {
      watch.loseAnswer();
      await expect(mine.commit("m", [ref("r", 0)])).rejects.toMatchObject({ code: "LEDGER_UNAVAILABLE" });
      expect(await mine.commit("m", [ref("r", 0)])).toEqual(conflict("refs", "r"));
      expect(await mine.get("refs", "r")).toMatchObject({ rev: 1, writer: "m" });
    });

    it.each([0, 1])("is written once by a flow, from rev %i on", async (expected) => {
      if (expected > 0) await mine.commit("before", [ref("r", 0)]);
      watch.loseAnswer();
      const clock = { ...systemClock, sleep: async () => {} };
      const deps = { ledger: mine, clock, newId: () => "m", recorder: plainRecorder };
      const outcome = await record(deps, "ref.claim", [ref("r", expected), event("e", 0)]);
      expect(outcome).toBe("written");
      expect(await mine.get("refs", "r")).toMatchObject({ rev: expected + 1, writer: "m" });
      expect(await mine.get("events", "e")).toMatchObject({ rev: 1, writer: "m" });
    });
  });

  describe("with work that is due", () => {
    it("costs one query while there is none, however much is at rest", async () => {
      await mine.commit("m", [ref("r", 0), event("e", 0), workload("t/web", 0), workload("t/api", 0)]);
      watch.spent();
      expect(await mine.due(Date.now(), 100)).toEqual([]);
      expect(watch.spent()).toEqual({ calls: 1, reads: 1, writes: 0, deletes: 0, refused: 0 });
    });

    it("costs one read for a rollout, and two for a ref or an event", async () => {
      await mine.commit("m", [
        workload("t/web", 0, { open: openRollout("verifying", 1, 10) }),
        event("e", 0, { dueMs: 20 }),
        ref("r", 0, { dueMs: 30 }),
      ]);
      watch.spent();
      expect((await mine.due(10, 100)).map(({ document }) => document.id)).toEqual(["t/web"]);
      expect(watch.spent()).toMatchObject({ calls: 1, reads: 1 });
      expect((await mine.due(30, 100)).map(({ document }) => document.id)).toEqual(["t/web", "e", "r"]);
      expect(watch.spent()).toMatchObject({ calls: 2, reads: 5 });
    });

    it("needs no reading to write what was found", async () => {
      await other.commit("o", [
        event("e", 0, { dueMs: 20 }),
        workload("t/web", 0, { open: openRollout("planned", 1, 10) }),
      ]);
      await mine.due(30, 100);
      watch.spent();
      expect(await mine.commit("m", [event("e", 1), workload("t/web", 1)])).toEqual(committed);
      expect(watch.spent()).toMatchObject({ reads: 0, writes: 2, deletes: 1 });
    });

    it("has a marker only while a ref or an event is due, moved and removed with what it marks", async () => {
      const marker = markerOf(`/${pathOf("events", "e")}`);
      const status = async () => (await project.rest("GET", marker)).status;
      await mine.commit("m", [event("e", 0)]);
      expect(await status()).toBe(404);
      await mine.commit("m", [event("e", 1, { dueMs: 10 })]);
      expect(await status()).toBe(200);
      await mine.commit("m", [event("e", 2, { dueMs: 20 })]);
      watch.spent();
      await mine.commit("m", [event("e", 3, { dueMs: 20, looks: 1 })]);
      expect(watch.spent()).toMatchObject({ writes: 1, deletes: 0 });
      expect(await mine.due(19, 10)).toEqual([]);
      await other.commit("o", [event("e", 4)]);
      expect(await status()).toBe(404);
    });

    it("keeps markers out of what is said of workloads", async () => {
      await mine.commit("m", [ref("r", 0, { dueMs: 1 }), event("e", 0, { dueMs: 1 }), workload("t/web", 0)]);
      expect((await mine.workloads()).map(({ id }) => id)).toEqual(["t/web"]);
      expect(await mine.planned("t", 10)).toEqual([]);
    });

    it("takes away the marker of an event that is gone, and goes on", async () => {
      await mine.commit("m", [event("gone", 0, { dueMs: 1 }), event("there", 0, { dueMs: 2 })]);
      await project.rest("DELETE", `/${pathOf("events", "gone")}`);
      expect((await other.due(10, 10)).map(({ document }) => document.id)).toEqual(["there"]);
      expect((await project.rest("GET", markerOf(`/${pathOf("events", "gone")}`))).status).toBe(404);
    });
  });

  it("lets Firestore know when an event expires", async () => {
    await mine.commit("m", [event("e", 0, { expireMs: Date.UTC(2030, 0, 2, 3, 4, 5, 678) })]);
    const answer = await project.rest("GET", `/${pathOf("events", "e")}`);
    expect(await answer.json()).toMatchObject({
      fields: { expireAt: { timestampValue: "2030-01-02T03:04:05.678Z" } },
    });
  });

  it("looks past events that have expired for as many as are asked for", async () => {
    await mine.commit("m", [
      ...numbers(9).map((n) => event(`expired-${n}`, 0, { heardMs: 100 + n, expireMs: 5 })),
      ...numbers(3).map((n) => event(`live-${n}`, 0, { heardMs: n })),
    ]);
    const found = await mine.events({ nowMs: 10 }, 2);
    expect(found.map(({ id }) => id)).toEqual(["live-2", "live-1"]);
  });

  it.each([-3_600_000, 3_600_000])(
    "has the server's clock, also where this machine's is off by %i ms",
    async (off) => {
      const askew = project.ledger(undefined, { ...systemClock, now: () => Date.now() + off });
      opened.push(askew);
      await askew.commit("m", [ref("r", 0)]);
      expect(Math.abs((await askew.clock()) - Date.now())).toBeLessThan(60_000);
    },
  );
});

function ref(id: string, expected: number, change: Parameters<typeof refDocument>[0] = {}): Write {
  return { collection: "refs", id, value: refDocument(change), expect: expected };
}

function event(id: string, expected: number, change: Parameters<typeof eventDocument>[0] = {}): Write {
  return { collection: "events", id, value: eventDocument(change), expect: expected };
}

function workload(id: string, expected: number, change: Parameters<typeof workloadDocument>[0] = {}): Write {
  return { collection: "workloads", id, value: workloadDocument(change), expect: expected };
}

function conflict(collection: Collection, id: string) {
  return { kind: "conflict", collection, id };
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, n) => n);
}

function report(line: string): void {
  process.stdout.write(`      ${line}\n`);
}
