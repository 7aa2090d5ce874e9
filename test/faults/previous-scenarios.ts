import { expect } from "vitest";
import { previousOnly } from "../doubles/previous-only.ts";
import { digestOf, type World } from "../flows/world.ts";
import type { Stage } from "./lives.ts";
import { pushed, type Scenario } from "./scenarios.ts";

const one = { workloads: ["web"] } as const;
const twice = { min: 2, max: 2 };

/** What becomes of an image that fails at a target which takes no digest and goes back only to what it had before. */
export const previousScenarios: readonly Scenario[] = [
  previously({
    name: "an image that exits, at a target that goes back to what it had",
    writes: ["web v1", "web back"],
    wants: { web: "a" },
    restarts: twice,
    holds: ["X"],
    states: ["rolled-back", "succeeded"],
    stage: () => pushed({ ...one, letter: "X" }),
  }),
  previously({
    name: "an image that exits, at a target that nobody knows what it had before, with a version of what ran well",
    isTouched: true,
    writes: ["web v1", "web v1.0.0"],
    wants: { web: "a" },
    restarts: twice,
    holds: ["X"],
    states: ["rolled-back", "succeeded"],
    stage: async () => {
      const stage = pushed({ ...one, letter: "X" });
      await versioned(stage.here);
      return stage;
    },
    check: async (here) => {
      const document = await here.ledger.get("workloads", "swarm/web");
      expect(document?.value.detours).toEqual({ web: { at: "v1.0.0", follows: "v1" } });
    },
  }),
  previously({
    name: "an image that exits, at a target that nothing brings back",
    isTouched: true,
    writes: ["web v1"],
    wants: { web: "X" },
    holds: ["X"],
    states: ["rollback-unavailable", "failed"],
    stage: () => pushed({ ...one, letter: "X" }),
  }),
];

interface Previously extends Scenario {
  readonly stage: () => Stage | Promise<Stage>;
  readonly isTouched?: true;
  /** Every write in the end, in its order: none is made twice. */
  readonly writes: readonly string[];
}

function previously({ isTouched, writes, stage, check, ...scenario }: Previously): Scenario {
  let target = previousOnly();
  return {
    ...scenario,
    stage: async () => {
      target = previousOnly(isTouched);
      return { ...(await stage()), troubles: target.around };
    },
    check: async (here) => {
      expect(target.writes).toEqual(writes);
      await check?.(here);
    },
  };
}

/** A version's tag points to what runs, and was heard of. */
async function versioned(here: World): Promise<void> {
  here.registry.push("docker.io/acme/web", "v1.0.0", digestOf("a"));
  const message = here.hear("version");
  if (message.kind !== "push") throw new Error("no push");
  await here.deliver({ ...message, push: { ...message.push, tag: "v1.0.0" } }, here.instance());
}
