import { expect, it } from "vitest";
import type { Severity } from "../../shared/log.ts";
import { digestOf, world } from "./world.ts";

it("alerts when a rollback finds nothing to go back to, and leaves the workload as it is", async () => {
  const told: (readonly [Severity, string])[] = [];
  const here = world({
    log: { write: (severity, message) => void told.push([severity, message]) },
    // Whatever ran before is in no registry any more.
    between: (registry) => ({
      ...registry,
      head: async (repository, reference) =>
        reference === digestOf("a") ? undefined : registry.head(repository, reference),
    }),
  });
  here.push("X");
  await here.deliver(here.hear("event", "X"), here.instance());
  await here.settle();
  expect(here.target.writes.map(({ seq }) => seq)).toEqual([1]);
  const rollouts = (await here.ledger.rollouts({ workload: "swarm/web" }, 10)).map(({ value }) => value);
  expect(rollouts.map(({ seq, state }) => [seq, state])).toEqual([
    [2, "failed"],
    [1, "rollback-unavailable"],
  ]);
  expect(told.filter(([severity]) => severity === "alert")).toEqual([
    ["alert", expect.stringContaining("nothing that it ran well with is in the registry any more")],
  ]);
  await here.close();
});
