import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { serverClock } from "../../shared/ledger/firestore/server-clock.ts";

/** A server, and this machine whose clock is off by so much. */
function apart(offMs: number) {
  let trueMs = 1_000_000;
  let off = offMs;
  const clock = serverClock({ now: () => trueMs + off });
  return {
    clock,
    /** How far the ledger's clock is from the server's. */
    error: () => clock.now() - trueMs,
    set: (ms: number) => {
      off = ms;
    },
    /** A commit takes effect between question and answer. */
    commit(thereMs: number, backMs: number) {
      const sentMs = trueMs + off;
      trueMs += thereMs;
      const committedMs = trueMs;
      trueMs += backMs;
      clock.heard(committedMs, sentMs);
    },
    /** A reading shows the state of a moment that may be older than the question. */
    read(oldMs: number, backMs: number) {
      clock.heard(trueMs - oldMs);
      trueMs += backMs;
    },
  };
}

describe("the ledger's clock", () => {
  it("is this machine's until the server was heard", () => {
    expect(apart(5_000).error()).toBe(5_000);
  });

  it.each([60_000, -60_000, 3, 0])(
    "follows the server from the first commit on, when it is off by %i ms",
    (off) => {
      const machine = apart(off);
      machine.commit(20, 30);
      expect(Math.abs(machine.error())).toBeLessThanOrEqual(51);
    },
  );

  it("is never wrong by more than the quickest commit took, wherever in it the server's time lies", () => {
    const ms = fc.integer({ min: 0, max: 500 });
    fc.assert(
      fc.property(
        fc.integer({ min: -1e6, max: 1e6 }),
        fc.array(fc.tuple(ms, ms, ms), { minLength: 1 }),
        (off, calls) => {
          const machine = apart(off);
          for (const [there, back, old] of calls) {
            machine.commit(there, back);
            machine.read(old, back);
          }
          const quickest = Math.min(...calls.map(([there, back]) => there + back));
          expect(Math.abs(machine.error())).toBeLessThanOrEqual(quickest + 1);
        },
      ),
    );
  });

  it("is set forward by a reading, and never back by an old one", () => {
    const behind = apart(-60_000);
    behind.read(10, 0);
    expect(Math.abs(behind.error())).toBeLessThanOrEqual(11);
    const right = apart(0);
    right.read(3_600_000, 5);
    expect(right.error()).toBe(0);
  });

  it("leaves a clock alone that can be right", () => {
    const machine = apart(2);
    machine.commit(10, 10);
    expect(machine.error()).toBe(2);
  });

  it.each([-120_000, 120_000])(
    "notices with the next commit that this machine's clock was set by %i ms",
    (ms) => {
      const machine = apart(0);
      machine.commit(10, 10);
      machine.set(ms);
      machine.commit(10, 10);
      expect(Math.abs(machine.error())).toBeLessThanOrEqual(21);
    },
  );
});
