import fc from "fast-check";
import { expect, it } from "vitest";
import type { Message } from "../../shared/bus/bus.ts";
import type { Order } from "../../shared/domain/order.ts";
import type { Ledger } from "../../shared/ledger/ledger.ts";
import { faultyLedger } from "../doubles/faulty-ledger.ts";
import { channelRule, type ImageWorld, imageWorld, repository } from "./image-world.ts";
import { digestOf, type World, world } from "./world.ts";

const runs = 150;
/** More than a rollout has. */
const maxSteps = 500;
const web = "swarm/web";

type Turn = (label: string) => Promise<void>;

/** What a scheduler may put between two steps, once the scene is set. */
interface Stage {
  readonly turn: Turn;
  /** From now on every step waits for its turn. */
  begin(): void;
  end(): Promise<void>;
}

function stage(scheduler: fc.Scheduler): Stage {
  let isOn = false;
  return {
    turn: (label) => (isOn ? scheduler.schedule(Promise.resolve(), label).then(() => {}) : Promise.resolve()),
    begin: () => {
      isOn = true;
    },
    end: async () => {
      await scheduler.waitIdle();
      isOn = false;
    },
  };
}

function scheduled(turn: Turn): (inner: Ledger) => Ledger {
  return (inner) =>
    faultyLedger(inner, {
      schedule: (call, phase) =>
        call.method === "clock" ? Promise.resolve() : turn(`${call.method} ${phase}`),
    });
}

/** Every delivery begins when the scheduler says so, and may be overtaken at each of its steps. */
function deliver(here: World, turn: Turn, messages: readonly (() => Message)[]): void {
  for (const message of messages) {
    void turn("arrives").then(() => {
      const arrived = message();
      here.undelivered.push(arrived);
      return here.deliver(arrived, here.instance()).then(
        () => void here.undelivered.splice(here.undelivered.indexOf(arrived), 1),
        () => {},
      );
    });
  }
}

const order = (here: World, what: Order): Message => ({
  kind: "order",
  event: "order",
  heardMs: here.clock.now(),
  by: "ann",
  order: what,
});
const written = (here: World) => here.target.writes.map(({ image }) => image.split("@")[1]);

interface Scene {
  readonly name: string;
  /** What the workload is being brought to when the push comes. */
  readonly first: string;
  readonly second: string;
  readonly ends: string;
}

it.each<Scene>([
  { name: "a push during verification", first: "b", second: "c", ends: "c" },
  { name: "a bad push during verification", first: "b", second: "X", ends: "b or a" },
  { name: "a push during a rollback", first: "X", second: "c", ends: "c" },
  { name: "another bad push during a rollback", first: "X", second: "Y", ends: "a" },
  { name: "the same push during its rollback", first: "X", second: "X", ends: "a" },
])(
  "$name is what counts, whatever the order of steps: it ends at $ends",
  async ({ first, second, ends }) => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), async (scheduler) => {
        const { turn, begin, end } = stage(scheduler);
        const here = world({ turn, ledger: scheduled(turn) });
        begin();
        deliver(here, turn, [
          () => {
            here.push(first);
            return here.hear("first");
          },
        ]);
        // The second comes at any step after the first was written.
        const second$ = (async () => {
          for (let steps = 0; here.target.writes.length === 0 && steps < maxSteps; steps++) {
            await turn("until it is written");
          }
          here.push(second);
          deliver(here, turn, [() => here.hear("second")]);
        })();
        await end();
        await second$;
        await scheduler.waitIdle();
        await here.settle();
        const runsNow = here.target.imageOf("web")?.split("@")[1];
        expect(ends.split(" or ").map(digestOf)).toContain(runsNow);
        const rollouts = (await here.ledger.rollouts({}, 20)).map(({ value }) => value);
        for (const { seq, state, cause, to } of rollouts) {
          const digest = to.web?.digest;
          const isBad = digest === digestOf("X") || digest === digestOf("Y");
          // Who was replaced is not judged, and what goes back is never gone back from.
          const may = isBad ? ["superseded", "failed", "rolled-back"] : ["superseded", "succeeded"];
          expect(may, `${seq} ${cause.kind}`).toContain(state);
        }
        const document = (await here.ledger.workloads())[0]?.value;
        expect(document?.open).toBeUndefined();
        const failed = rollouts.filter(({ state }) => state === "failed" || state === "rolled-back");
        const blamed = new Set(failed.map(({ to }) => to.web?.digest));
        for (const { digest } of document?.holds ?? []) expect(blamed).toContain(digest);
        // Each push is written once, and once more at most what it goes back to.
        for (const letter of new Set([first, second])) {
          expect(written(here).filter((each) => each === digestOf(letter)).length).toBeLessThanOrEqual(
            letter === "b" ? 2 : 1,
          );
        }
        await here.close();
      }),
      { numRuns: runs },
    );
  },
  120_000,
);

/** m1 and m2 have been deployed; m3 is built while a person rolls back to m1. */
async function duringRollback(
  scheduler: fc.Scheduler,
  until: "next" | "release",
  isQueued: boolean,
): Promise<{ readonly here: ImageWorld; readonly pinMs: number; readonly heardMs: number }> {
  const { turn, begin, end } = stage(scheduler);
  const here = imageWorld({ turn, channels: [channelRule("prod")], ledger: scheduled(turn) });
  for (const name of ["m1", "m2"]) await here.built(name);
  await here.settle();
  here.pushed("m3");
  const build: Message = { kind: "build", image: repository, tag: here.id("m3") };
  let heardMs = here.clock.now();
  if (isQueued) {
    // It was heard, and git could not be asked: it waits.
    here.history.down = true;
    await here.deliver(build, here.instance());
    here.history.down = false;
    here.clock.set(here.clock.now() + 1_000);
  }
  begin();
  deliver(here, turn, [() => order(here, { do: "rollback", workload: web, until })]);
  if (isQueued) void turn("minute").then(() => here.minutes(1));
  else {
    void (async () => {
      // The pin is on record, and the rollback anywhere on its way.
      for (let steps = 0; (await here.workload())?.pin === undefined && steps < maxSteps; steps++) {
        await turn("until it is pinned");
      }
      here.clock.set(here.clock.now() + 1_000);
      heardMs = here.clock.now();
      deliver(here, turn, [() => build]);
    })();
  }
  await end();
  await here.settle();
  return { here, pinMs: (await here.workload())?.pin?.sinceMs ?? 0, heardMs };
}

it.each<{ name: string; until: "next" | "release"; isQueued: boolean; runsAt: string }>([
  { name: "is not overrun by a commit that was queued", until: "next", isQueued: true, runsAt: "m1" },
  { name: "until release is not overrun by one", until: "release", isQueued: true, runsAt: "m1" },
  { name: "is lifted by a later commit", until: "next", isQueued: false, runsAt: "m3" },
  { name: "until release is not lifted by a later commit", until: "release", isQueued: false, runsAt: "m1" },
])(
  "a person's rollback $name, whatever the order of steps",
  async ({ until, isQueued, runsAt }) => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), async (scheduler) => {
        const { here } = await duringRollback(scheduler, until, isQueued);
        expect(here.runs().split(",")[0]).toBe(runsAt);
        expect([here.at("prod"), (await here.image())?.head?.commit]).toEqual(["m3", here.id("m3")]);
        const pin = (await here.workload())?.pin;
        expect(pin?.until).toBe(runsAt === "m3" ? undefined : until);
        const rollouts = (await here.ledger.rollouts({}, 20)).map(({ value }) => value);
        expect(rollouts.every(({ state }) => ["succeeded", "superseded"].includes(state))).toBe(true);
        await here.close();
      }),
      { numRuns: runs },
    );
  },
  120_000,
);
