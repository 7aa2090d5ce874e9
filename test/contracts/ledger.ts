import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Collection, Ledger, Write } from "../../shared/ledger/ledger.ts";
import { maxDocumentBytes, rolloutId } from "../../shared/ledger/ledger.ts";
import {
  digestOf,
  eventDocument,
  farAwayMs,
  imageDocument,
  openRollout,
  pushEvent,
  refDocument,
  rollout,
  workloadDocument,
} from "./documents.ts";
import { increment } from "./increment.ts";

const committed = { kind: "committed" };

/** What every ledger promises. `make` resolves with an empty one; the contract closes it. */
export function ledgerContract(name: string, make: () => Promise<Ledger>): void {
  describe(`${name} keeps the ledger's contract`, () => {
    let ledger: Ledger;
    beforeEach(async () => {
      ledger = await make();
    });
    afterEach(() => ledger.close());

    describe("one document", () => {
      it("is not there before it was written", async () => {
        expect(await ledger.get("refs", "docker.io/acme/web:v1")).toBeUndefined();
      });

      it("is read as it was written, with rev 1 and its writer", async () => {
        const value = refDocument({ digest: digestOf("a"), generation: 3, earlier: [digestOf("b")] });
        expect(await ledger.commit("w-1", [{ collection: "refs", id: "r", value, expect: 0 }])).toEqual(
          committed,
        );
        expect(await ledger.get("refs", "r")).toEqual({ id: "r", rev: 1, writer: "w-1", value });
      });

      it("is created once only", async () => {
        await ledger.commit("first", [ref("r", 0, { generation: 1 })]);
        expect(await ledger.commit("second", [ref("r", 0, { generation: 2 })])).toEqual(
          conflict("refs", "r"),
        );
        expect(await ledger.get("refs", "r")).toMatchObject({
          rev: 1,
          writer: "first",
          value: { generation: 1 },
        });
      });

      it("is created by one of twenty that try at once", async () => {
        const outcomes = await Promise.all(
          numbers(20).map((n) => ledger.commit(`w-${n}`, [ref("r", 0, { generation: n })])),
        );
        const winner = outcomes.findIndex(({ kind }) => kind === "committed");
        expect(outcomes.filter(({ kind }) => kind === "committed")).toHaveLength(1);
        expect(await ledger.get("refs", "r")).toMatchObject({ rev: 1, writer: `w-${winner}` });
      });

      it("is replaced only at the rev that was expected, and each write counts one", async () => {
        await ledger.commit("w-1", [ref("r", 0, { generation: 1 })]);
        expect(await ledger.commit("w-2", [ref("r", 1, { generation: 2 })])).toEqual(committed);
        expect(await ledger.commit("w-3", [ref("r", 1, { generation: 3 })])).toEqual(conflict("refs", "r"));
        expect(await ledger.get("refs", "r")).toMatchObject({
          rev: 2,
          writer: "w-2",
          value: { generation: 2 },
        });
      });

      it("is not created by a write that expects one", async () => {
        expect(await ledger.commit("w", [ref("r", 1)])).toEqual(conflict("refs", "r"));
        expect(await ledger.get("refs", "r")).toBeUndefined();
      });

      it("loses no update of twenty writers that try again on a conflict", async () => {
        await ledger.commit("w", [ref("r", 0, { generation: 0 })]);
        await Promise.all(numbers(20).map((n) => increment(ledger, "r", `w-${n}`)));
        expect(await ledger.get("refs", "r")).toMatchObject({ rev: 21, value: { generation: 20 } });
      });

      it("tells a writer whose answer was lost that the write is its own", async () => {
        const write = ref("r", 0, { generation: 1 });
        await ledger.commit("mine", [write]); // suppose that the answer never came
        expect(await ledger.commit("mine", [write])).toEqual(conflict("refs", "r"));
        expect(await ledger.get("refs", "r")).toMatchObject({ rev: 1, writer: "mine" });
      });

      it("forgets what a later version leaves out", async () => {
        await ledger.commit("w", [ref("r", 0, { digest: digestOf("a"), dueMs: 5 })]);
        await ledger.commit("w", [ref("r", 1)]);
        expect((await ledger.get("refs", "r"))?.value).toStrictEqual(refDocument());
      });

      it("does not change with the object that was written or read", async () => {
        const from: Record<string, string> = { web: "acme/web:v1" };
        await ledger.commit("w", [{ collection: "rollouts", id: "r", value: rollout({ from }), expect: 0 }]);
        from.web = "changed";
        Object.assign((await ledger.get("rollouts", "r"))?.value.from ?? {}, { web: "changed" });
        expect((await ledger.get("rollouts", "r"))?.value.from).toEqual({ web: "acme/web:v1" });
      });
    });

    describe("several documents", () => {
      it("are written together", async () => {
        expect(
          await ledger.commit("w", [
            ref("a", 0),
            { collection: "workloads", id: "a", value: workloadDocument(), expect: 0 },
            { collection: "rollouts", id: "a", value: rollout(), expect: 0 },
            { collection: "events", id: "a", value: eventDocument(), expect: 0 },
          ]),
        ).toEqual(committed);
        for (const collection of ["refs", "workloads", "rollouts", "events"] as const) {
          expect(await ledger.get(collection, "a")).toMatchObject({ rev: 1, writer: "w" });
        }
      });

      it.each([0, 1, 2])("are none of them written when number %i conflicts", async (at) => {
        await ledger.commit("before", [ref("taken", 0, { generation: 7 })]);
        const writes = [ref("a", 0), ref("b", 0)].toSpliced(at, 0, ref("taken", 0));
        expect(await ledger.commit("w", writes)).toEqual(conflict("refs", "taken"));
        expect(await ledger.get("refs", "a")).toBeUndefined();
        expect(await ledger.get("refs", "b")).toBeUndefined();
        expect(await ledger.get("refs", "taken")).toMatchObject({ rev: 1, writer: "before" });
      });

      it("name the first that conflicts", async () => {
        await ledger.commit("before", [ref("one", 0), event("two", 0)]);
        expect(await ledger.commit("w", [ref("free", 0), event("two", 0), ref("one", 0)])).toEqual(
          conflict("events", "two"),
        );
      });

      it("are written where what they depend on is at its rev, which stays as it is", async () => {
        await ledger.commit("before", [{ collection: "images", id: "i", value: imageDocument(), expect: 0 }]);
        const checks = [
          { collection: "images", id: "i", expect: 1 },
          { collection: "refs", id: "none", expect: 0 },
        ] as const;
        expect(await ledger.commit("w", [ref("a", 0)], checks)).toEqual(committed);
        expect(await ledger.commit("w", [ref("b", 0)], checks)).toEqual(committed);
        expect(await ledger.get("images", "i")).toMatchObject({ rev: 1, writer: "before" });
        expect(await ledger.get("refs", "none")).toBeUndefined();
        // What was only checked is written as if nothing had been.
        const value = imageDocument({ planned: 1 });
        expect(await ledger.commit("w", [{ collection: "images", id: "i", value, expect: 1 }])).toEqual(
          committed,
        );
      });

      it.each([
        { name: "was written since", expect: 1 },
        { name: "was not written that often", expect: 3 },
        { name: "should not be there", expect: 0 },
      ])("are none of them written when what they depend on $name", async ({ expect: rev }) => {
        await ledger.commit("before", [{ collection: "images", id: "i", value: imageDocument(), expect: 0 }]);
        await ledger.commit("before", [{ collection: "images", id: "i", value: imageDocument(), expect: 1 }]);
        const checks = [{ collection: "images", id: "i", expect: rev }] as const;
        expect(await ledger.commit("w", [ref("a", 0)], checks)).toEqual(conflict("images", "i"));
        expect(await ledger.get("refs", "a")).toBeUndefined();
        expect(await ledger.get("images", "i")).toMatchObject({ rev: 2 });
      });

      it("may be none", async () => {
        expect(await ledger.commit("w", [])).toEqual(committed);
      });

      it("are planned by one of ten that compete for the same workload", async () => {
        await ledger.commit("w", [
          { collection: "workloads", id: "t/web", value: workloadDocument(), expect: 0 },
        ]);
        const outcomes = await Promise.all(
          numbers(10).map((n) =>
            ledger.commit(`w-${n}`, [
              { collection: "workloads", id: "t/web", value: workloadDocument({ seq: 1 }), expect: 1 },
              { collection: "rollouts", id: rolloutId("t/web", 1), value: rollout(), expect: 0 },
            ]),
          ),
        );
        const winner = outcomes.findIndex(({ kind }) => kind === "committed");
        expect(outcomes.filter(({ kind }) => kind === "committed")).toHaveLength(1);
        expect(await ledger.get("rollouts", "t/web/1")).toMatchObject({ writer: `w-${winner}` });
      });
    });

    describe("ids", () => {
      it.each([
        "docker.io/acme/web:v1",
        "a/b/c",
        "a%2Fb",
        "a%252Fb",
        "/",
        "..",
        ".",
        "__x__",
        "__proto__",
        "web with space ",
        "ünï-ço∂é/日本/🚢",
        "e\u0301", // not the same as \u00e9
        "'; DROP TABLE documents; --",
        `reg.example:5000/${"a/".repeat(120)}b:${"t".repeat(128)}`,
      ])("may be any text: %j", async (id) => {
        await ledger.commit("w", [ref(id, 0, { generation: 9 })]);
        expect(await ledger.get("refs", id)).toMatchObject({ id, value: { generation: 9 } });
      });

      it("that look alike are different documents", async () => {
        const ids = ["a/b", "a%2Fb", "a%2fb", "A/b", "a/b ", "\u00e9", "e\u0301"];
        await ledger.commit(
          "w",
          ids.map((id, generation) => ref(id, 0, { generation })),
        );
        const found = await Promise.all(ids.map((id) => ledger.get("refs", id)));
        expect(found.map((document) => document?.value.generation)).toEqual([0, 1, 2, 3, 4, 5, 6]);
      });

      it("come back from queries as they were written", async () => {
        const ids = ["swarm/a/b", "swarm/a%2Fb", "swarm/__x__", "swarm/日本"];
        await ledger.commit(
          "w",
          ids.map((id) => ({ collection: "workloads" as const, id, value: workloadDocument(), expect: 0 })),
        );
        expect((await ledger.workloads()).map(({ id }) => id)).toEqual(ids.toSorted());
      });

      it("are any text that does not end in the middle of a character", async () => {
        await fc.assert(
          fc.asyncProperty(fc.string({ unit: "binary", minLength: 1, maxLength: 100 }), async (id) => {
            const before = await ledger.get("events", id);
            await ledger.commit("w", [event(id, before?.rev ?? 0)]);
            expect(await ledger.get("events", id)).toMatchObject({ id, rev: (before?.rev ?? 0) + 1 });
          }),
          { numRuns: 50 },
        );
      });
    });

    describe("values", () => {
      it("come back as they were, whatever JSON they hold", async () => {
        let n = 0;
        await fc.assert(
          fc.asyncProperty(json, async (held) => {
            const id = `json-${n++}`;
            // A field that today's documents lack stands for what a later version adds to them.
            const value = { ...eventDocument(), held };
            await ledger.commit("w", [{ collection: "events", id, value, expect: 0 }]);
            const found = (await ledger.get("events", id))?.value;
            // vitest's own comparisons go through `constructor` and `__proto__`
            expect(isDeepStrictEqual(found, value), JSON.stringify(found)).toBe(true);
          }),
          {
            numRuns: 100,
            examples: [
              [JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":null}}')],
              [{ "": "", ".": [], "a.b": [[], [[]]], "`": {}, __name__: "x" }],
              [
                [
                  Number.MAX_SAFE_INTEGER,
                  Number.MIN_SAFE_INTEGER,
                  Number.MAX_VALUE,
                  Number.MIN_VALUE,
                  1e21,
                  0.1,
                ],
              ],
              ["\u0000 \u2028 \ud83d\udea2"],
            ],
          },
        );
        expect({}).not.toHaveProperty("polluted");
      });

      it("leave out what is undefined", async () => {
        const value = {
          ...refDocument(),
          later: undefined,
          holder: { id: "h", untilMs: 1, note: undefined },
        };
        await ledger.commit("w", [{ collection: "refs", id: "r", value, expect: 0 }]);
        expect((await ledger.get("refs", "r"))?.value).toStrictEqual(
          refDocument({ holder: { id: "h", untilMs: 1 } }),
        );
      });

      it("may have exactly the largest size, and not a byte more", async () => {
        const id = `reg.example:5000/${"a/".repeat(500)}b`;
        const room = maxDocumentBytes - JSON.stringify(eventDocument({ detail: "" })).length;
        const value = eventDocument({ detail: "x".repeat(room) });
        const large = eventDocument({ detail: "x".repeat(room + 1) });
        expect(await ledger.commit("w", [{ collection: "events", id, value, expect: 0 }])).toEqual(committed);
        expect((await ledger.get("events", id))?.value).toEqual(value);
        await expect(
          ledger.commit("w", [{ collection: "events", id: "large", value: large, expect: 0 }]),
        ).rejects.toMatchObject({ code: "DOCUMENT_TOO_LARGE" });
      });

      it.each([
        { name: "letters", detail: "x".repeat(maxDocumentBytes) },
        { name: "letters of two bytes", detail: "é".repeat(maxDocumentBytes / 2) },
      ])("with too many $name are refused, and what came with them", async ({ detail }) => {
        const large: Write = {
          collection: "events",
          id: "large",
          value: eventDocument({ detail }),
          expect: 0,
        };
        await expect(ledger.commit("w", [ref("small", 0), large])).rejects.toMatchObject({
          code: "DOCUMENT_TOO_LARGE",
          retryable: false,
        });
        expect(await ledger.get("events", "large")).toBeUndefined();
        expect(await ledger.get("refs", "small")).toBeUndefined();
      });
    });

    describe("due", () => {
      it("gives refs, workloads and events whose time has come, soonest first", async () => {
        await ledger.commit("w", [
          ref("later", 0, { dueMs: 101 }),
          ref("third", 0, { dueMs: 100 }),
          workload("t/first", { open: openRollout("verifying", 1, 10) }),
          event("second", 0, { state: "waiting", dueMs: 50 }),
          workload("t/none", {}),
          event("never", 0, { state: "done" }),
          { collection: "rollouts", id: "t/first/1", value: rollout(), expect: 0 },
        ]);
        const due = await ledger.due(100, 10);
        expect(due.map(({ collection, document }) => [collection, document.id])).toEqual([
          ["workloads", "t/first"],
          ["events", "second"],
          ["refs", "third"],
        ]);
        expect(due[2]).toEqual({
          collection: "refs",
          document: { id: "third", rev: 1, writer: "w", value: refDocument({ dueMs: 100 }) },
        });
      });

      it("gives notices and letters, until they are told", async () => {
        const notice = { kind: "failed", subject: "t/web", sentence: "it exits", atMs: 1 } as const;
        const left = { notice, group: "e", dueMs: 1, expireMs: farAwayMs };
        const letter = { kind: "failed", group: "e", message: "m", notices: [notice], more: 0 } as const;
        const gathering = {
          ...letter,
          state: "gathering",
          sinceMs: 1,
          open: [],
          expireMs: farAwayMs,
        } as const;
        await ledger.commit("w", [
          { collection: "notices", id: "failed/1", value: left, expect: 0 },
          { collection: "letters", id: "failed/e/0", value: { ...gathering, dueMs: 2 }, expect: 0 },
        ]);
        expect((await ledger.due(2, 10)).map(({ collection, document }) => [collection, document])).toEqual([
          ["notices", { id: "failed/1", rev: 1, writer: "w", value: left }],
          ["letters", { id: "failed/e/0", rev: 1, writer: "w", value: { ...gathering, dueMs: 2 } }],
        ]);
        const { dueMs: _, ...gathered } = left;
        await ledger.commit("w", [
          { collection: "notices", id: "failed/1", value: gathered, expect: 1 },
          { collection: "letters", id: "failed/e/0", value: { ...gathering, state: "done" }, expect: 1 },
        ]);
        expect(await ledger.due(farAwayMs, 10)).toEqual([]);
      });

      it("gives at most as many as asked for, the soonest", async () => {
        await ledger.commit(
          "w",
          [5, 3, 9, 1].map((dueMs) => ref(`r-${dueMs}`, 0, { dueMs })),
        );
        expect((await ledger.due(100, 2)).map(({ document }) => document.id)).toEqual(["r-1", "r-3"]);
      });

      it("follows what is written: finished work is gone, postponed work comes later", async () => {
        await ledger.commit("w", [
          ref("finished", 0, { dueMs: 1 }),
          event("postponed", 0, { dueMs: 1 }),
          workload("t/closed", { open: openRollout("applying", 1) }),
        ]);
        await ledger.commit("w", [
          ref("finished", 1),
          event("postponed", 1, { dueMs: 200 }),
          workload("t/closed", { seq: 1 }, 1),
        ]);
        expect(await ledger.due(100, 10)).toEqual([]);
        expect((await ledger.due(200, 10)).map(({ document }) => document.id)).toEqual(["postponed"]);
      });
    });

    describe("workloads", () => {
      it("are counted as under way while their rollout is applying or verifying, by target", async () => {
        await ledger.commit("w", [
          workload("swarm/a", { target: "swarm", open: openRollout("applying", 1) }),
          workload("swarm/b", { target: "swarm", open: openRollout("verifying", 1) }),
          workload("swarm/c", { target: "swarm", open: openRollout("planned", 1) }),
          workload("swarm/d", { target: "swarm" }),
          workload("swarm-2/a", { target: "swarm-2", open: openRollout("applying", 1) }),
        ]);
        expect(await ledger.underWay("swarm")).toBe(2);
        await ledger.commit("w", [workload("swarm/a", { target: "swarm", seq: 1 }, 1)]);
        expect(await ledger.underWay("swarm")).toBe(1);
        expect(await ledger.underWay("nowhere")).toBe(0);
      });

      it("that are planned come in the order of their plans, by target", async () => {
        await ledger.commit("w", [
          workload("swarm/c", { target: "swarm", open: openRollout("planned", 30) }),
          workload("swarm/a", { target: "swarm", open: openRollout("planned", 20) }),
          workload("swarm/b", { target: "swarm", open: openRollout("planned", 10, 99) }),
          workload("swarm/d", { target: "swarm", open: openRollout("applying", 5) }),
          workload("other/a", { target: "other", open: openRollout("planned", 1) }),
        ]);
        const ids = (limit: number) =>
          ledger.planned("swarm", limit).then((found) => found.map(({ id }) => id));
        expect(await ids(10)).toEqual(["swarm/b", "swarm/a", "swarm/c"]);
        expect(await ids(2)).toEqual(["swarm/b", "swarm/a"]);
      });

      it("of one target come in pages, each of them once", async () => {
        const names = Array.from({ length: 7 }, (_, n) => `t/${n}`);
        const more = ["t/a/b", "t/~", "t/日本", "t/0"].filter((id) => !names.includes(id));
        const others = ["s/a", "t2/a", "t-/a", "t0/a", "t%2Fa/a", "tt/a"];
        await ledger.commit(
          "w",
          [...names, ...more, ...others].map((id) => workload(id)),
        );
        const seen: string[] = [];
        for (let after: string | undefined; ; ) {
          const page = await ledger.workloadsOf("t", { limit: 3, ...(after === undefined ? {} : { after }) });
          expect(page.length).toBeLessThanOrEqual(3);
          seen.push(...page.map(({ id }) => id));
          after = page.at(-1)?.id;
          if (page.length < 3) break;
        }
        expect(seen).toHaveLength(names.length + more.length);
        expect(seen.toSorted()).toEqual([...names, ...more].toSorted());
        expect(await ledger.workloadsOf("none", { limit: 3 })).toEqual([]);
      });

      it("are listed by id", async () => {
        await ledger.commit("w", [workload("t/b"), workload("t/a"), workload("s/z")]);
        expect((await ledger.workloads()).map(({ id }) => id)).toEqual(["s/z", "t/a", "t/b"]);
        expect((await ledger.workloads())[0]).toEqual({
          id: "s/z",
          rev: 1,
          writer: "w",
          value: workloadDocument(),
        });
      });
    });

    describe("rollouts", () => {
      beforeEach(async () => {
        await ledger.commit(
          "w",
          [
            { workload: "t/web" as const, seq: 1, planned: 10 },
            { workload: "t/web" as const, seq: 2, planned: 30 },
            { workload: "t/web" as const, seq: 3, planned: 30 },
            { workload: "t/web/x" as const, seq: 1, planned: 20 },
          ].map(({ workload, seq, planned }) => ({
            collection: "rollouts" as const,
            id: rolloutId(workload, seq),
            value: rollout({ workload, seq, times: { planned } }),
            expect: 0,
          })),
        );
      });

      it("of one workload come newest first, and the higher number first of the same moment", async () => {
        const found = await ledger.rollouts({ workload: "t/web" }, 10);
        expect(found.map(({ id }) => id)).toEqual(["t/web/3", "t/web/2", "t/web/1"]);
      });

      it("of all workloads come newest first, up to a limit", async () => {
        const found = await ledger.rollouts({}, 3);
        expect(found.map(({ id }) => id)).toEqual(["t/web/3", "t/web/2", "t/web/x/1"]);
      });
    });

    describe("events", () => {
      const ids = async (filter: Parameters<Ledger["events"]>[0], limit = 10) =>
        (await ledger.events(filter, limit)).map(({ id }) => id);

      it("come heard last first, up to a limit", async () => {
        await ledger.commit("w", [
          event("old", 0, { heardMs: 10 }),
          event("new", 0, { heardMs: 30 }),
          event("middle", 0, { heardMs: 20 }),
        ]);
        expect(await ids({ nowMs: 50 })).toEqual(["new", "middle", "old"]);
        expect(await ids({ nowMs: 50 }, 2)).toEqual(["new", "middle"]);
      });

      it("are found by repository and tag, exactly", async () => {
        const pushes = [
          ["e-1", "acme/web", "v1"],
          ["e-2", "acme/web", "v2"],
          ["e-3", "acme/web-2", "v1"],
          ["e-4", "acme/web", "V1"],
          ["e-5", "acme/web", "v1"],
        ] as const;
        await ledger.commit("w", [
          ...pushes.map(([id, repository, tag], n) => ({
            collection: "events" as const,
            id,
            value: pushEvent(repository, tag, { heardMs: n }),
            expect: 0,
          })),
          event("undecodable", 0, { heardMs: 99 }),
        ]);
        const repository = "docker.io/acme/web";
        expect(await ids({ repository, tag: "v1", nowMs: 0 })).toEqual(["e-5", "e-1"]);
        expect(await ids({ repository, tag: "v1", nowMs: 0 }, 1)).toEqual(["e-5"]);
        expect(await ids({ repository, nowMs: 0 })).toEqual(["e-5", "e-4", "e-2", "e-1"]);
        expect(await ids({ tag: "v1", nowMs: 0 })).toEqual(["e-5", "e-3", "e-1"]);
        expect((await ids({ nowMs: 0 }))[0]).toBe("undecodable");
      });

      it("are left out when they have expired", async () => {
        const value = pushEvent("acme/web", "v1", { heardMs: 10, expireMs: farAwayMs });
        await ledger.commit("w", [{ collection: "events", id: "e", value, expect: 0 }]);
        const found = (nowMs: number) => ids({ repository: "docker.io/acme/web", tag: "v1", nowMs });
        expect(await found(farAwayMs - 1)).toEqual(["e"]);
        expect(await found(farAwayMs + 1)).toEqual([]);
        expect(await ids({ nowMs: farAwayMs + 1 })).toEqual([]);
      });
    });

    it("has a clock in milliseconds since the epoch", async () => {
      expect(await ledger.clock()).toBeGreaterThan(Date.UTC(2020, 0));
    });
  });
}

/** Every text with whole characters, `__proto__` and the empty string among the keys; no -0, which JSON cannot print. */
const json = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthSize: "small" },
    fc.constant(null),
    fc.boolean(),
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => (Object.is(number, -0) ? 0 : number)),
    fc.maxSafeInteger(),
    fc.string({ unit: "binary" }),
    fc.array(tie("value")),
    fc
      .array(
        fc.tuple(
          fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("__proto__", "", "toString")),
          tie("value"),
        ),
      )
      .map((entries) => Object.fromEntries(entries)),
  ),
})).value;

function ref(id: string, expected: number, change: Parameters<typeof refDocument>[0] = {}): Write {
  return { collection: "refs", id, value: refDocument(change), expect: expected };
}

function event(id: string, expected: number, change: Parameters<typeof eventDocument>[0] = {}): Write {
  return { collection: "events", id, value: eventDocument(change), expect: expected };
}

function workload(id: string, change: Parameters<typeof workloadDocument>[0] = {}, expected = 0): Write {
  return { collection: "workloads", id, value: workloadDocument(change), expect: expected };
}

function conflict(collection: Collection, id: string) {
  return { kind: "conflict", collection, id };
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, n) => n);
}
