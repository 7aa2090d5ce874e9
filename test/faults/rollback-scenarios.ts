import { expect } from "vitest";
import type { Digest } from "../../shared/domain/reference.ts";
import { digestOf, tag, type World } from "../flows/world.ts";
import type { Stage } from "./lives.ts";
import { known, pushed, type Scenario, type Setting } from "./scenarios.ts";

const one = { workloads: ["web"] } as const;

/** What becomes of a workload whose rollout has failed. */
export const rollbackScenarios: readonly Scenario[] = [
  {
    name: "an image that nodes do not get at first",
    // It is brought back, and tried again.
    restarts: { min: 3, max: 3 },
    states: ["rolled-back", "succeeded"],
    stage: () => pushed({ ...one, behaviour: onceGone() }),
    check: async (here) => expect(await laterCausesOf(here)).toEqual(["rollback", "retry"]),
  },
  {
    name: "an image that nodes never get",
    wants: { web: "a" },
    restarts: { min: 8, max: 8 },
    states: ["rolled-back", "succeeded"],
    stage: () => pushed({ ...one, behaviour: (digest) => (digest === digestOf("b") ? "gone" : "runs") }),
    check: async (here) =>
      expect(await laterCausesOf(here)).toEqual([...Array(3).fill(["rollback", "retry"]).flat(), "rollback"]),
  },
  {
    name: "an image that nodes do not get at first, where nothing is brought back",
    restarts: { min: 1, max: 1 },
    states: ["failed", "succeeded"],
    stage: () => ({
      ...pushed({ ...one, behaviour: onceGone() }),
      troubles: (deps) => ({ ...deps, rollback: false }),
    }),
    check: async (here) => expect(await laterCausesOf(here)).toEqual(["retry"]),
  },
  {
    name: "an image that exits, where nothing is brought back",
    wants: { web: "X" },
    holds: ["X"],
    states: ["failed"],
    stage: () => ({
      ...pushed({ ...one, letter: "X" }),
      troubles: (deps) => ({ ...deps, rollback: false }),
    }),
  },
  {
    name: "an image that exits, after the last good one is gone",
    wants: { web: "a" },
    restarts: { min: 2, max: 2 },
    holds: ["X"],
    states: ["rolled-back", "succeeded"],
    stage: async () => {
      const stage = await ran("b");
      stage.here.registry.forget(digestOf("b"));
      return stage;
    },
  },
  {
    name: "an image that exits, after all that ran before is gone",
    wants: { web: "X" },
    holds: ["X"],
    states: ["rollback-unavailable", "failed", "succeeded"],
    stage: async () => {
      const stage = await ran("b");
      for (const letter of ["a", "b"]) stage.here.registry.forget(digestOf(letter));
      return stage;
    },
  },
  {
    name: "an image that exits, and so does the one before by now",
    wants: { web: "a" },
    restarts: { min: 2, max: 2 },
    holds: ["X"],
    states: ["rollback-unavailable", "failed"],
    stage: () => {
      let isStarted = false;
      const stage = pushed({ ...one, letter: "X", behaviour: () => (isStarted ? "exits" : "runs") });
      isStarted = true;
      return stage;
    },
  },
  {
    name: "a push while a failed one is rolled back",
    restarts: { min: 2, max: 3 },
    states: ["rolled-back", "failed", "succeeded"],
    stage: () =>
      meanwhile((here) => {
        here.push("c");
        here.undelivered.push(here.hear("newer"));
      }),
  },
  {
    name: "somebody who deploys by hand before a failed rollout is rolled back",
    wants: { web: "z" },
    restarts: { min: 1, max: 1 },
    holds: ["X"],
    states: ["failed"],
    stage: () => {
      let isOver = false;
      const stage = pushed({
        ...one,
        letter: "X",
        turn: async (label) => {
          if (isOver || label !== "get asked") return;
          const record = await stage.here.ledger.get("workloads", "swarm/web");
          if (record?.value.open?.undoes === undefined) return;
          isOver = true;
          stage.here.target.change("web", { image: `acme/web:${tag}@${digestOf("z")}` });
        },
      });
      return stage;
    },
  },
];

/** b is not to be had when it is started for the first time. */
function onceGone(): (digest: Digest | undefined) => "runs" | "gone" {
  let isOver = false;
  return (digest) => {
    if (isOver || digest !== digestOf("b")) return "runs";
    isOver = true;
    return "gone";
  };
}

/** The workload ran a digest well, and X is pushed. */
async function ran(letter: string, setting: Setting = {}): Promise<Stage> {
  const { here } = pushed({ ...one, letter, ...setting });
  await known(here);
  here.push("X");
  return { here, heard: [here.hear("push")] };
}

/** X fails, and something happens when its rollback has been written. */
function meanwhile(act: (here: World) => void): Stage {
  let happened = false;
  const stage = pushed({
    ...one,
    letter: "X",
    turn: async (label) => {
      if (happened || label !== "look asked" || stage.here.target.writes.length < 2) return;
      happened = true;
      act(stage.here);
    },
  });
  return stage;
}

/** Why all rollouts but the first one were begun. */
async function laterCausesOf(here: World): Promise<readonly string[]> {
  const rollouts = await here.ledger.rollouts({}, 100);
  const causes = rollouts.map(({ value }) => value.cause.kind);
  return causes.toReversed().slice(1);
}
