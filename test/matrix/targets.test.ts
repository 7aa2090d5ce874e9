import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { FaultKind, SeenRequest } from "../../functions/local/sandbox/registry/faults.ts";
import type { Digest } from "../../shared/domain/reference.ts";
import type { Place, PlaceOptions } from "./place.ts";
import { type Matrix, matrix } from "./world.ts";

interface Trouble {
  readonly name: string;
  readonly does: FaultKind | "refuse";
  readonly reason?: "target-denied";
  /** What is on record of it, and told. */
  readonly words: string | RegExp;
  readonly retryAfterMs?: number;
}

const status = (code: number, headers: Readonly<Record<string, string>> = {}): FaultKind => ({
  kind: "status",
  status: code,
  headers,
});

const troubles: readonly Trouble[] = [
  { name: "refuses connections", does: "refuse", words: "ECONNREFUSED" },
  { name: "never answers", does: { kind: "hang" }, words: "no answer within 10000 ms" },
  {
    name: "answers a byte at a time",
    does: { kind: "slow-drip", everyMs: 5 },
    words: "no answer within 10000 ms",
  },
  { name: "drops the connection", does: { kind: "reset" }, words: "other side closed" },
  { name: "breaks off within its answer", does: { kind: "half-body" }, words: /other side closed|aborted/ },
  { name: "speaks something else than HTTP", does: { kind: "not-http" }, words: "HTTP/1.1 protocol" },
  { name: "answers 500", does: status(500), words: /answered:? 500|500/ },
  {
    name: "answers 429 with Retry-After",
    does: status(429, { "retry-after": "120" }),
    words: "429",
    retryAfterMs: 120_000,
  },
  {
    name: "answers a web page",
    does: { kind: "garbage" },
    words: /no Docker engine|no JSON|none of the engine|no words of Swarmpit/,
  },
  { name: "refuses Landfall", does: status(403), reason: "target-denied", words: "403" },
];

const kinds: readonly PlaceOptions["kind"][] = ["swarm", "swarmpit"];

let world: Matrix;
let place: Place;
let first: Digest;
let second: Digest;

async function begin(kind: PlaceOptions["kind"]): Promise<void> {
  world = await matrix({ targets: [{ name: "prod", kind }] });
  place = world.place("prod");
  first = world.push();
  await place.create("web", world.image(first), { tasks: 2 });
  second = world.push();
}

afterEach(() => world.close());

async function trouble(
  does: Trouble["does"],
  when: (request: SeenRequest) => boolean = () => true,
): Promise<() => unknown> {
  if (does !== "refuse") return place.way.faults.switchOn({ does, when });
  await place.way.refuse();
  return place.way.admit;
}

/** Everything is where it should be, and came there by one write. */
async function expectRolledOutOnce(): Promise<void> {
  expect(await place.writes()).toEqual([world.image(second)]);
  expect(await place.running()).toEqual([world.image(second), world.image(second)]);
  expect(await world.history("prod/web")).toEqual(["succeeded: 2 of 2 tasks ran for 15 s"]);
  expect(await world.workload("prod/web")).toMatchObject({ deployed: { web: second }, holds: [] });
  expect(await world.event("pushed")).toMatchObject({
    state: "done",
    outcome: "observed",
    digest: second,
    verdicts: [{ workload: "prod/web", kind: "planned", seq: 1 }],
  });
}

describe.each(kinds)("a %s target", (kind) => {
  beforeEach(() => begin(kind));

  describe.each(troubles)("that $name", ({ does, reason = "target-unavailable", words, retryAfterMs }) => {
    it("when its workloads are listed: the push waits", async () => {
      const end = await trouble(does);
      await world.hear("pushed");
      expect(world.deliveries).toEqual(["ack"]);
      const event = await world.event("pushed");
      expect(event).toMatchObject({
        state: "waiting",
        outcome: reason,
        digest: second,
        verdicts: [{ workload: "prod/*", kind: "waiting", reason, detail: expect.stringMatching(words) }],
      });
      const leftMs = (event.dueMs ?? 0) - world.clock.now();
      expect(leftMs).toBe(retryAfterMs ?? (event.looks === 0 ? 10_000 : 60_000));
      const text = await world.explain();
      expect(text).toContain(`${reason}: `);
      expect(text).toMatch(words);
      expect(text).toMatch(/looked at again in \d+ (s|min)/);

      await end();
      await world.pass(leftMs - 1);
      await world.sweep();
      expect(await place.writes()).toEqual([]);
      await world.pass(1);
      await world.sweep();
      await world.carryOn();
      await expectRolledOutOnce();
    });

    // A refused connection is refused before it can name a path.
    if (does !== "refuse") {
      it("right before the write: nothing is written until it can be read", async () => {
        const end = await trouble(does, ({ path }) => /\/services\/web$/.test(path));
        await world.hear("pushed");
        expect(world.deliveries).toEqual(["ack"]);
        const { open } = await world.workload("prod/web");
        expect(open).toMatchObject({ state: "planned", note: expect.stringMatching(words), attempts: 1 });
        expect((open?.dueMs ?? 0) - world.clock.now()).toBe(retryAfterMs ?? 5_000);
        const text = await world.explain();
        expect(text).toMatch(/planned +127.*; looked at again in \d+ (s|min)/);
        expect(text).toMatch(words);
        expect(await place.writes()).toEqual([]);

        await world.pass((retryAfterMs ?? 5_000) + 60_000);
        await world.sweep();
        expect(await place.writes()).toEqual([]);
        await end();
        await world.carryOn();
        await expectRolledOutOnce();
      });

      it("at the write: it is written once, however often it is tried", async () => {
        const end = await trouble(does, ({ method }) => method === "POST");
        await world.hear("pushed");
        expect(world.deliveries).not.toContain("nack");
        const { open } = await world.workload("prod/web");
        if (open !== undefined) {
          expect(open.note).toMatch(words);
          expect(await world.explain()).toMatch(words);
          if (retryAfterMs !== undefined) expect(open.dueMs - world.clock.now()).toBe(retryAfterMs);
        }
        await end();
        await world.carryOn();
        await expectRolledOutOnce();
      });
    }

    it("while it is verified: time goes by without being counted", async () => {
      await world.publish("pushed");
      await world.pass(4_000);
      const end = await trouble(does);
      await world.pass(40_000);
      const { open } = await world.workload("prod/web");
      expect(open).toMatchObject({ state: "verifying", note: expect.stringMatching(words) });
      expect(await world.explain()).toMatch(words);
      await end();
      await world.carryOn();
      await expectRolledOutOnce();
    });
  });
});
