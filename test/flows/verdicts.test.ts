import { describe, expect, it } from "vitest";
import { withoutEchoes } from "../../shared/flows/event.ts";
import type { Verdict } from "../../shared/ledger/ledger.ts";

const other: Verdict = {
  workload: "swarm/web",
  kind: "skipped",
  reason: "other-tag",
  detail: "it follows prod",
};
const newest: Verdict = { ...other, detail: "it follows the newest commit" };
const planned: Verdict = { workload: "swarm/web", kind: "planned", seq: 4 };
const paused: Verdict = { workload: "swarm/web", kind: "skipped", reason: "paused" };
const denied: Verdict = { workload: "swarm/*", kind: "waiting", reason: "target-denied", detail: "no" };
const elsewhere: Verdict = { ...other, workload: "swarm/api" };

describe("what was decided for a workload, asked about a build as the newest commit and as a channel's", () => {
  it.each<{ name: string; decided: readonly Verdict[]; told: readonly Verdict[] }>([
    {
      name: "is the rollout, where it goes by one of the two",
      decided: [other, planned],
      told: [planned],
    },
    { name: "is the reason that counts", decided: [paused, newest], told: [paused] },
    { name: "is said of each workload", decided: [other, elsewhere, planned], told: [planned, elsewhere] },
    {
      name: "is both, where one container goes by each",
      decided: [planned, paused],
      told: [planned, paused],
    },
    { name: "is what it goes by, where that is none of the two", decided: [other, newest], told: [other] },
    { name: "is said once", decided: [denied, denied], told: [denied] },
    { name: "is nothing, where nothing was", decided: [], told: [] },
  ])("$name", ({ decided, told }) => {
    expect(withoutEchoes(decided)).toEqual(told);
  });
});
