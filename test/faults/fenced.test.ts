import { expect, it } from "vitest";
import type { FlowDeps } from "../../shared/flows/deps.ts";
import type { FaultPoint, Recorder } from "../../shared/flows/recorder.ts";
import type { LogFields } from "../../shared/log.ts";
import { digestOf, mortal, tag, type World, world } from "../flows/world.ts";

const leaseMs = 60_000;
const sides = ["before", "after"] as const;
type Side = (typeof sides)[number];

/** Steps in which the holder of a rollout can stall. */
const steps = ["target.get", "target.update", "workload.accepted", "target.look", "workload.finish"] as const;
const stalls = steps
  .flatMap((step) => sides.map((side) => ({ step, side })))
  .filter(({ step, side }) => step !== "workload.finish" || side === "before");

/** What others have done when the holder wakes, and how often tasks were replaced for it, unless it had written before. */
const meanwhile = [
  { what: "carried the rollout on to its end", pushes: "", ends: "b", replaced: 1 },
  { what: "rolled out a newer push", pushes: "c", ends: "c", replaced: 1 },
  { what: "rolled out the digest that the tag has moved back to", pushes: "a", ends: "a", replaced: 0 },
] as const;
const afterWrite: readonly string[] = ["workload.accepted", "target.look", "workload.finish"];

const cases = stalls.flatMap((stall) => meanwhile.map((others) => ({ ...stall, ...others })));

it.each(cases)("$step, stalled $side it until others have $what: fenced", async (stalled) => {
  const { step, side, pushes, ends, replaced } = stalled;
  const here = world();
  here.push("b");
  const holder = stalling(here, step, side);
  const delivered = here.deliver(here.hear("first"), holder.deps);
  await holder.stalls;
  here.clock.set(here.clock.now() + leaseMs);
  if (pushes !== "") {
    here.push(pushes);
    await here.deliver(here.hear("second"), here.instance());
  }
  await here.settle();
  const writes = [...here.target.writes];
  holder.wake();
  await delivered;
  await here.settle();

  expect(here.target.writes, "a late write").toEqual(writes);
  expect(here.target.imageOf("web")).toMatch(new RegExp(`${digestOf(ends)}$`));
  const wrote = afterWrite.includes(step) || (step === "target.update" && side === "after");
  expect(writes.filter((write) => write.restarted)).toHaveLength(wrote && pushes !== "" ? 2 : replaced);
  expect(holder.outcomes).toContain("fenced");
  expect(await states(here)).toEqual(pushes === "" ? ["succeeded"] : ["superseded", "succeeded"]);
  await here.close();
});

it("ends as fenced on record when the target shows a number that this ledger never gave", async () => {
  const here = world();
  const foreign = await here.target.get("web");
  here.push("b");
  const holder = stalling(here, "target.get", "before");
  const delivered = here.deliver(here.hear("push"), holder.deps);
  await holder.stalls;
  if (foreign === undefined) throw new Error("the world has a service web");
  const images = { web: { repository: "docker.io/acme/web" as const, tag, digest: digestOf("z") } };
  await here.target.update(foreign, { seq: 7, images: images as never });
  holder.wake();
  await delivered;
  const [rollout] = await here.ledger.rollouts({}, 1);
  expect(rollout?.value).toMatchObject({
    state: "superseded",
    reason: "fenced: rollout 7 was written since",
  });
  expect(here.target.imageOf("web")).toMatch(new RegExp(`${digestOf("z")}$`));
  await here.close();
});

it("goes on after a conflict when a newer observation of its own digest has joined the rollout", async () => {
  const here = world();
  here.push("b");
  const holder = stalling(here, "target.update", "before");
  const delivered = here.deliver(here.hear("first"), holder.deps);
  await holder.stalls;
  // The tag is seen at another digest by somebody who dies, and then at the first one again.
  here.push("c");
  const dying = mortal({ step: "target.list", side: "before" });
  void here.deliver(here.hear("second"), here.instance(dying));
  await dying.died;
  here.push("b");
  await here.deliver(here.hear("third"), here.instance());
  here.target.touch("web");
  holder.wake();
  await delivered;
  expect(holder.outcomes).not.toContain("fenced");
  expect(await states(here)).toEqual(["succeeded"]);
  await here.close();
});

/** An instance that stops in its first step of a name until it is woken. */
function stalling(here: World, at: FaultPoint, side: Side) {
  const reached = Promise.withResolvers<void>();
  const woken = Promise.withResolvers<void>();
  const outcomes: LogFields[string][] = [];
  let done = false;
  const stall = async (point: FaultPoint, now: Side): Promise<void> => {
    if (done || point !== at || now !== side) return;
    done = true;
    reached.resolve();
    await woken.promise;
  };
  const recorder: Recorder = {
    step: async (point, act) => {
      await stall(point, "before");
      const answer = await act();
      await stall(point, "after");
      return answer;
    },
  };
  const deps: FlowDeps = {
    ...here.instance(recorder),
    log: { write: (_severity, _message, fields) => outcomes.push(fields?.outcome) },
  };
  return { deps, outcomes, stalls: reached.promise, wake: woken.resolve };
}

async function states(here: World): Promise<readonly string[]> {
  const rollouts = await here.ledger.rollouts({}, 100);
  return rollouts.map(({ value }) => value.state).toReversed();
}
