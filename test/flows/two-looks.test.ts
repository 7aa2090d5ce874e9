import { expect, it } from "vitest";
import { advance } from "../../shared/flows/advance.ts";
import { type FlowDeps, glance } from "../../shared/flows/deps.ts";
import type { Look } from "../../shared/targets/target.ts";
import { digestOf, type World, world } from "./world.ts";

/*
 * A sweep may look at a rollout whose own invocation looks at it too, and note what it has seen.
 */

const atLook = 5;

/** A look that counts; before one of them a sweep has looked, and noted a task that was lost. */
function watched(here: World, seen: (look: Look) => Look): FlowDeps {
  const deps = here.instance();
  let looks = 0;
  const swept = here.instance();
  const looking = (own: FlowDeps, look: (name: string) => Promise<Look | undefined>): FlowDeps => ({
    ...own,
    targets: own.targets.map((at) => ({ ...at, target: { ...at.target, look } })),
  });
  const updating = (look: Look): Look => ({ ...look, update: "updating" });
  const plain = async (name: string) => {
    const look = await here.target.look(name);
    return look === undefined ? undefined : updating(look);
  };
  return looking(deps, async (name) => {
    if (++looks !== atLook) return looks < atLook ? plain(name) : after(await plain(name), seen);
    here.target.crash(name);
    await advance(looking(swept, plain), "swarm/web", 1, glance);
    return after(await plain(name), seen);
  });
}

function after(look: Look | undefined, seen: (look: Look) => Look): Look | undefined {
  return look === undefined ? undefined : seen(look);
}

it("asks for the next invocation although a sweep has noted something meanwhile", async () => {
  const here = world();
  here.push("b");
  await here.deliver(
    here.hear("event", "b"),
    watched(here, (look) => look),
  );
  expect(here.undelivered).toEqual([{ kind: "continue", workload: "swarm/web", seq: 1 }]);
  const open = (await here.ledger.get("workloads", "swarm/web"))?.value.open;
  expect(open).toMatchObject({ state: "verifying", verify: { replaced: 1 } });
  await here.settle();
  await here.close();
});

it("rolls back at the look that sees the failure although a sweep has noted something meanwhile", async () => {
  const here = world();
  here.push("b");
  await here.deliver(
    here.hear("event", "b"),
    watched(here, (look) =>
      look.workload.containers[0]?.reference?.digest === digestOf("b")
        ? { ...look, update: "paused", message: "update paused due to failure or early termination of task" }
        : { ...look, update: "completed" },
    ),
  );
  const rollouts = (await here.ledger.rollouts({ workload: "swarm/web" }, 10)).map(({ value }) => value);
  expect(rollouts.map(({ seq, state }) => [seq, state])).toEqual([
    [2, "succeeded"],
    [1, expect.stringMatching(/rolled-back|rolling-back/)],
  ]);
  expect(here.target.writes.map(({ seq }) => seq)).toEqual([1, 2]);
  await here.close();
});
