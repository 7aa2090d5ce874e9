import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import type { Notice } from "../../shared/domain/notice.ts";
import { type FlowDeps, newBudget } from "../../shared/flows/deps.ts";
import { noticeWrites } from "../../shared/flows/notices.ts";
import { sweep } from "../../shared/flows/sweep.ts";
import type { Ledger } from "../../shared/ledger/ledger.ts";
import type { Log } from "../../shared/log.ts";
import { eventDocument, openRollout, workloadDocument } from "../contracts/documents.ts";
import { type FaultyLedger, faultyLedger } from "../doubles/faulty-ledger.ts";
import { failed, failedFor, type Listener, listener } from "../doubles/listener.ts";
import { mortal, type World, world } from "./world.ts";

let here: World;
afterEach(() => here.close());

function notice(subject: string, change: Partial<Notice> = {}): Notice {
  return {
    kind: "failed",
    subject: `swarm/${subject}`,
    sentence: "it exits",
    event: "e-1",
    seq: 1,
    atMs: here.clock.now(),
    ...change,
  };
}

/** As a flow would leave them. */
async function leave(...notices: readonly Notice[]): Promise<void> {
  const deps = here.instance();
  const writes = notices.flatMap((each) => noticeWrites(deps, each));
  expect(writes).toHaveLength(notices.length);
  await here.ledger.commit("w", writes);
}

async function sweepAfter(ms: number, deps: FlowDeps = here.instance()) {
  here.clock.set(here.clock.now() + ms);
  return sweep(deps, newBudget(deps.clock));
}

const subjects = ({ notices }: { readonly notices: readonly Notice[] }) =>
  notices.map(({ subject }) => subject);

describe("notices", () => {
  it("of one kind and event are one message, told once", async () => {
    const slack = listener();
    here = world({ notifiers: [slack] });
    await leave(
      notice("web"),
      notice("api"),
      notice("db", { kind: "rolled-back" }),
      notice("x", { event: "e-2" }),
    );
    await here.settle();
    await sweepAfter(86_400_000);
    expect(slack.attempts.map((letter) => [letter.kind, letter.event, subjects(letter)])).toEqual([
      ["failed", "e-1", ["swarm/web", "swarm/api"]],
      ["rolled-back", "e-1", ["swarm/db"]],
      ["failed", "e-2", ["swarm/x"]],
    ]);
    expect(new Set(slack.attempts.map(({ message }) => message)).size).toBe(3);
  });

  it("are put on record only where somebody wants them", async () => {
    here = world({ notifiers: [listener("slack", ["conflict"])] });
    expect(noticeWrites(here.instance(), notice("web"))).toEqual([]);
    expect(noticeWrites(here.instance(), notice("web", { kind: "conflict" }))).toHaveLength(1);
  });

  it("reach each notifier that wants them, and no other", async () => {
    const all = [listener("slack", ["failed"]), listener("slack-2", ["succeeded"]), listener("webhook")];
    here = world({ notifiers: all });
    await leave(notice("web"), notice("api", { kind: "succeeded" }));
    await here.settle();
    expect(all.map(({ taken }) => taken.map(({ kind }) => kind))).toEqual([
      ["failed"],
      ["succeeded"],
      ["failed"],
    ]);
  });

  it("that come while a letter gathers are in it, and those that come later in another one", async () => {
    const slack = listener();
    here = world({ notifiers: [slack] });
    await leave(notice("web"));
    await sweepAfter(4_000);
    await leave(notice("api"));
    await sweepAfter(4_000);
    expect(slack.attempts).toEqual([]);
    await sweepAfter(2_000);
    await leave(notice("db"));
    await sweepAfter(6_000);
    expect(slack.taken.map(subjects)).toEqual([["swarm/web", "swarm/api"], ["swarm/db"]]);
  });

  it("that come while a letter is being tried are in another one: what was sent stays as it is", async () => {
    const slack = listener();
    here = world({ notifiers: [slack] });
    slack.answers.push(failed);
    await leave(notice("web"));
    await sweepAfter(6_000);
    await leave(notice("api"));
    await here.settle();
    expect(slack.attempts.map(subjects)).toEqual([["swarm/web"], ["swarm/web"], ["swarm/api"]]);
    expect(slack.attempts[0]).toEqual(slack.attempts[1]);
  });

  it("wait for rollouts of the same event that are under way, but not for ever", async () => {
    const slack = listener();
    here = world({ notifiers: [slack] });
    const open = {
      ...openRollout("verifying", 1, Number.MAX_SAFE_INTEGER),
      cause: { kind: "push", event: "e-1" },
    } as const;
    const verdicts = ["web", "api"].map(
      (name) => ({ workload: `swarm/${name}`, kind: "planned", seq: 1 }) as const,
    );
    await here.ledger.commit("w", [
      { collection: "events", id: "e-1", expect: 0, value: eventDocument({ state: "done", verdicts }) },
      {
        collection: "workloads",
        id: "swarm/api",
        expect: 0,
        value: workloadDocument({ target: "swarm", name: "api", open }),
      },
    ]);
    await leave(notice("web"));
    for (let minute = 0; minute < 4; minute++) await sweepAfter(60_000);
    expect(slack.attempts).toEqual([]);
    await sweepAfter(60_000);
    expect(slack.taken.map(subjects)).toEqual([["swarm/web"]]);
  });

  it.each([
    { name: "is tried again later", cause: { kind: "retry", event: "e-1" } },
    { name: "is another event's", cause: { kind: "push", event: "e-2" } },
  ] as const)("wait for no rollout that $name", async ({ cause }) => {
    const slack = listener();
    here = world({ notifiers: [slack] });
    const open = { ...openRollout("planned", 1, Number.MAX_SAFE_INTEGER), cause };
    const verdicts = [{ workload: "swarm/api", kind: "planned", seq: 1 }] as const;
    await here.ledger.commit("w", [
      { collection: "events", id: "e-1", expect: 0, value: eventDocument({ state: "done", verdicts }) },
      {
        collection: "workloads",
        id: "swarm/api",
        expect: 0,
        value: workloadDocument({ target: "swarm", name: "api", open }),
      },
    ]);
    await leave(notice("web"));
    await sweepAfter(6_000);
    expect(slack.taken).toHaveLength(1);
  });

  it("that are more than a sweep finds are one message, and hide no other work", async () => {
    const slack = listener();
    here = world({ notifiers: [slack] });
    await leave(...Array.from({ length: 1_000 }, (_, n) => notice(`web-${n}`)));
    await here.ledger.commit("w", [
      {
        collection: "events",
        id: "other",
        expect: 0,
        value: eventDocument({ state: "waiting", dueMs: here.clock.now() + 1 }),
      },
    ]);
    const { work } = await sweepAfter(6_000);
    expect(work).toContainEqual({ kind: "event", id: "other", outcome: "carried-on" });
    expect(slack.taken).toHaveLength(1);
    expect(slack.taken[0]).toMatchObject({ more: 950, notices: { length: 50 } });
  });

  it("cost an idle sweep nothing: one query, as where nobody is told anything", async () => {
    const ledgers: FaultyLedger[] = [];
    const ledger = (inner: Ledger) => {
      const counted = faultyLedger(inner);
      ledgers.push(counted);
      return counted;
    };
    here = world({ notifiers: [listener()], ledger });
    await sweepAfter(60_000);
    expect(ledgers[0]?.counts).toMatchObject({ queries: 1, documentReads: 0, documentWrites: 0 });
  });
});

describe("a notifier that fails", () => {
  it("is tried again until it takes the message: three failures, then exactly one that is taken", async () => {
    const slack = listener();
    here = world({ notifiers: [slack] });
    slack.answers.push(failed, new Error("the secret is missing"), failed);
    await leave(notice("web"));
    await here.settle();
    expect(slack.attempts).toHaveLength(4);
    expect(new Set(slack.attempts.map((letter) => JSON.stringify(letter))).size).toBe(1);
    expect(slack.taken).toHaveLength(1);
  });

  it("is left alone for longer each time, and as long as it asks for", async () => {
    const slack = listener();
    here = world({ notifiers: [slack] });
    slack.answers.push(failed, failed, failedFor(3_600_000), failed);
    await leave(notice("web"));
    const startMs = here.clock.now();
    const timesS: number[] = [];
    while (slack.taken.length === 0) {
      const before = slack.attempts.length;
      await sweepAfter(1_000);
      if (slack.attempts.length > before) timesS.push((here.clock.now() - startMs) / 1_000);
    }
    const pauses = timesS.slice(1).map((each, n) => each - (timesS[n] ?? 0));
    // An eighth more than 30 s, one minute and four minutes, by this world's random numbers.
    expect(pauses).toEqual([34, 68, 3_600, 270]);
  });

  it("is given up after a day, which the log says", async () => {
    const slack = listener();
    here = world({ notifiers: [slack] });
    slack.answers.push(...Array.from({ length: 1_000 }, () => failed));
    await leave(notice("web"));
    const lines: string[] = [];
    const log: Log = { write: (severity, message) => void lines.push(`${severity} ${message}`) };
    const startMs = here.clock.now();
    while ((await here.ledger.due(Number.MAX_SAFE_INTEGER, 1)).length > 0)
      await sweepAfter(60_000, { ...here.instance(), log });
    expect(here.clock.now() - startMs).toBeGreaterThan(24 * 3_600_000);
    expect(here.clock.now() - startMs).toBeLessThan(25 * 3_600_000);
    expect(lines.filter((line) => line.startsWith("error"))).toEqual([
      expect.stringMatching(/^error slack is not told, given up: it answered 503: failed/),
    ]);
    expect(slack.attempts.length).toBeLessThan(120);
  });

  it("is not asked again when it says that it wants no more", async () => {
    const slack = listener();
    here = world({ notifiers: [slack] });
    slack.answers.push({ kind: "refused", reason: "it answered 410" });
    await leave(notice("web"));
    await here.settle();
    expect(slack.attempts).toHaveLength(1);
  });

  it("keeps no message from the others, and is asked once a sweep however many there are", async () => {
    const [dead, well] = [listener("slack"), listener("webhook")];
    here = world({ notifiers: [dead, well] });
    dead.answers.push(...Array.from({ length: 1_000 }, () => failed));
    for (let n = 0; n < 20; n++) await leave(notice("web", { event: `e-${n}` }));
    await sweepAfter(6_000);
    expect(well.taken).toHaveLength(20);
    expect(dead.attempts).toHaveLength(1);
    dead.answers.length = 0;
    await here.settle();
    expect(well.attempts).toHaveLength(20);
    expect(dead.taken).toHaveLength(20);
  });

  it("is forgotten when it is not configured any more", async () => {
    const slack = listener();
    here = world({ notifiers: [slack] });
    slack.answers.push(failed);
    await leave(notice("web"));
    await sweepAfter(6_000);
    await sweepAfter(60_000, { ...here.instance(), notifiers: [] });
    expect(await here.ledger.due(Number.MAX_SAFE_INTEGER, 1)).toEqual([]);
  });
});

describe("a sweep that dies", () => {
  const points = ["notice.gather", "letter.claim", "letter.send", "letter.result"] as const;
  const deaths = points.flatMap((step) => (["before", "after"] as const).map((side) => ({ step, side })));

  it.each(deaths)(
    "right $side $step leaves nothing untold, and what is sent again has its name",
    async (death) => {
      const slack = listener();
      here = world({ notifiers: [slack] });
      await leave(notice("web"), notice("api"));
      here.clock.set(here.clock.now() + 6_000);
      const recorder = mortal(death);
      await Promise.race([sweep(here.instance(recorder), newBudget(here.clock)), recorder.died]);
      expect(recorder.points).toContain(death.step);
      await here.settle();
      expect(slack.taken.map(subjects)[0]).toEqual(["swarm/web", "swarm/api"]);
      expect(new Set(slack.taken.map((letter) => JSON.stringify(letter))).size).toBe(1);
      const wasSent =
        death.step === "letter.result"
          ? death.side === "before"
          : `${death.step} ${death.side}` === "letter.send after";
      expect(slack.taken).toHaveLength(wasSent ? 2 : 1);
    },
  );
});

it("tells every notice in exactly one message, whatever instances sweep at once, fail and lose answers", async () => {
  const runs = fc.record({
    notices: fc.array(fc.record({ group: fc.nat(2), afterMs: fc.nat(20_000) }), {
      minLength: 1,
      maxLength: 12,
    }),
    instances: fc.integer({ min: 1, max: 4 }),
    failures: fc.array(fc.nat(10), { maxLength: 4 }),
    lost: fc.array(fc.nat(120), { maxLength: 3 }),
  });
  await fc.assert(
    fc.asyncProperty(runs, fc.scheduler(), async ({ notices, instances, failures, lost }, scheduler) => {
      const slack = listener();
      slack.answers.push(
        ...Array.from({ length: 11 }, (_, n): Listener["answers"][number] =>
          failures.includes(n) ? failed : { kind: "taken" },
        ),
      );
      let isScheduled = false;
      const unreliable = (inner: Ledger) =>
        faultyLedger(inner, {
          fault: ({ index, method }) =>
            isScheduled && method === "commit" && lost.includes(index) ? "lose-answer" : "none",
          schedule: async (call, phase) => {
            if (isScheduled) await scheduler.schedule(Promise.resolve(), `${call.method} ${phase}`);
          },
        });
      here = world({ notifiers: [slack], ledger: unreliable });
      const all = notices.map(({ group, afterMs }, n) =>
        notice(`web-${n}`, { event: `e-${group}`, atMs: here.clock.now() + afterMs }),
      );
      for (const each of all) await leave(each);
      for (let round = 0; round < 3; round++) {
        here.clock.set(here.clock.now() + 7_000);
        isScheduled = true;
        const sweeps = Array.from({ length: instances }, () => sweep(here.instance(), newBudget(here.clock)));
        await scheduler.waitFor(Promise.all(sweeps));
        isScheduled = false;
      }
      await here.settle();
      const messages = new Map(slack.taken.map((letter) => [letter.message, letter]));
      expect([...messages.values()].flatMap(subjects).toSorted()).toEqual(
        all.map(({ subject }) => subject).toSorted(),
      );
      expect(slack.taken).toHaveLength(messages.size);
      await here.close();
    }),
    { numRuns: 200 },
  );
}, 60_000);
