import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Message } from "../../shared/bus/bus.ts";
import { advance } from "../../shared/flows/advance.ts";
import { type Budget, glance, newBudget } from "../../shared/flows/deps.ts";
import { handlePush } from "../../shared/flows/push.ts";
import type { Recorder } from "../../shared/flows/recorder.ts";
import { digestOf, type World, world } from "./world.ts";

const goOn: Message = { kind: "continue", workload: "swarm/web", seq: 1 };

let here: World;
beforeEach(() => {
  here = world();
});
afterEach(() => here.close());

/** Acts on a push of something new until the target has taken it; then `meanwhile` happens. */
async function pushed(budget: Budget, meanwhile: () => void): Promise<void> {
  here.push("b");
  const recorder: Recorder = {
    step: async (point, act) => {
      const answer = await act();
      if (point === "target.update") meanwhile();
      return answer;
    },
  };
  const message = here.hear("e1");
  if (message.kind !== "push") throw new Error("no push");
  await handlePush(here.instance(recorder), message, budget);
}

describe("a rollout whose invocation ends before it is verified", () => {
  it("is handed to another invocation when the process stops", async () => {
    const stopping = new AbortController();
    await pushed(newBudget(here.clock, stopping.signal), () => stopping.abort());
    expect(here.undelivered).toEqual([goOn]);
    await here.settle();
    expect((await here.ledger.workloads())[0]?.value.deployed).toEqual({ web: digestOf("b") });
  });

  it("is handed to another invocation when writing took all the time there was", async () => {
    await pushed(newBudget(here.clock), () => here.clock.set(here.clock.now() + 60_000));
    expect(here.undelivered).toEqual([goOn]);
  });

  it("is handed to nobody by a sweep's one look", async () => {
    const stopping = new AbortController();
    await pushed(newBudget(here.clock, stopping.signal), () => stopping.abort());
    here.undelivered.splice(0);
    await advance(here.instance(), "swarm/web", 1, glance);
    expect(here.undelivered).toEqual([]);
  });
});
