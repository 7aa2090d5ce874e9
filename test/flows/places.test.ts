import { expect, it } from "vitest";
import { world } from "./world.ts";

it("gives each place that comes free at the same moment to a workload of its own", async () => {
  const here = world({ workloads: ["one", "two", "three", "four", "five", "six"], maxParallel: 3 });
  here.push("b");
  await here.deliver(here.hear("event", "b"), here.instance());

  const ended = (await here.ledger.rollouts({}, 10)).filter(({ value }) => value.state === "succeeded");
  const woken = here.undelivered.flatMap((message) => (message.kind === "continue" ? message.workload : []));
  expect(ended.length).toBe(3);
  expect(new Set(woken).size).toBe(3);

  await here.settle();
  expect(here.target.writes.length).toBe(6);
  await here.close();
});
