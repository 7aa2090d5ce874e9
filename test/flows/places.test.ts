import { expect, it } from "vitest";
import { TargetUnavailableError } from "../../shared/errors.ts";
import { wakeNext } from "../../shared/flows/places.ts";
import type { OpenRollout } from "../../shared/ledger/ledger.ts";
import { openRollout, workloadDocument } from "../contracts/documents.ts";
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

it("reads no more of a long queue than there are places, however often it is asked", async () => {
  const asked: number[] = [];
  const workloads = Array.from({ length: 20 }, (_, index) => `web${index}`);
  const here = world({
    workloads,
    maxParallel: 3,
    ledger: (inner) => ({
      ...inner,
      planned: (target, limit) => {
        asked.push(limit);
        return inner.planned(target, limit);
      },
    }),
  });
  here.push("b");
  await here.deliver(here.hear("event", "b"), here.instance());
  await here.settle();
  expect(here.target.writes.length).toBe(20);
  expect(asked.length).toBeGreaterThan(20);
  expect(Math.max(...asked)).toBe(3);
  await here.close();
});

it("passes over those in front that have to wait longer", async () => {
  const workloads = Array.from({ length: 8 }, (_, index) => `web${index}`);
  const here = world({ workloads, maxParallel: 2 });
  const ill = new Set(workloads.slice(0, 5));
  here.push("b");
  const deps = here.instance();
  const away = deps.targets.map((at) => ({
    ...at,
    target: {
      ...at.target,
      get: async (name: string) => {
        if (ill.has(name))
          throw new TargetUnavailableError(`${name} cannot be read`, { retryAfterMs: 600_000 });
        return at.target.get(name);
      },
    },
  }));
  await here.deliver(here.hear("event", "b"), { ...deps, targets: away });
  while (here.undelivered.length > 0) {
    for (const message of here.undelivered.splice(0)) {
      await here.deliver(message, { ...deps, targets: away }, true);
    }
  }
  expect(new Set(here.target.writes.map(({ workload }) => workload))).toEqual(
    new Set(["swarm/web5", "swarm/web6", "swarm/web7"]),
  );
  await here.close();
});

it("wakes who can have a place, though the first in line takes one at that moment", async () => {
  let meanwhile: (() => Promise<void>) | undefined;
  const first = async <T>(answer: Promise<T>): Promise<T> => {
    const then = meanwhile;
    meanwhile = undefined;
    return answer.finally(() => then?.());
  };
  const here = world({
    workloads: ["one", "two", "three"],
    maxParallel: 3,
    ledger: (inner) => ({
      ...inner,
      planned: (target, limit) => first(inner.planned(target, limit)),
      underWay: (target) => first(inner.underWay(target)),
    }),
  });
  const put = (name: string, rev: number, open: OpenRollout) => {
    const value = workloadDocument({ target: "swarm", name, open });
    return here.ledger.commit("a", [{ collection: "workloads", id: `swarm/${name}`, value, expect: rev }]);
  };
  await put("one", 0, openRollout("verifying", 1));
  await put("two", 0, openRollout("planned", 2));
  await put("three", 0, openRollout("planned", 3));
  meanwhile = async () => void (await put("two", 1, openRollout("applying", 2)));
  await wakeNext(here.instance(), "swarm");
  expect(here.undelivered).toMatchObject([{ kind: "continue", workload: "swarm/three" }]);
  await here.close();
});
