import { afterEach, describe, expect, it } from "vitest";
import type { Message } from "../../shared/bus/bus.ts";
import type { ImageRule } from "../../shared/decide/rules.ts";
import { noticeKinds } from "../../shared/domain/notice.ts";
import type { Repository } from "../../shared/domain/reference.ts";
import type { RolloutState } from "../../shared/domain/rollout.ts";
import { type FlowDeps, newBudget } from "../../shared/flows/deps.ts";
import { fullRun } from "../../shared/flows/full-run.ts";
import { rolloutNotice } from "../../shared/flows/rollout-notice.ts";
import { sweep } from "../../shared/flows/sweep.ts";
import type { OpenRollout } from "../../shared/ledger/ledger.ts";
import type { Letter } from "../../shared/notify/notifier.ts";
import { openRollout, workloadDocument } from "../contracts/documents.ts";
import { logLinear } from "../contracts/history-graphs.ts";
import { faultyLedger } from "../doubles/faulty-ledger.ts";
import { listener } from "../doubles/listener.ts";
import { modelHistory } from "../doubles/model-history.ts";
import { digestOf, tag, type World, type WorldOptions, world } from "./world.ts";

const repository: Repository = "docker.io/acme/web";
const names = ["a", "b", "c", "d", "e", "f", "g", "h"];

let here: World;
afterEach(() => here.close());

/** A world in which everything is told, and what was. */
function telling(options: WorldOptions = {}) {
  const slack = listener("slack", noticeKinds);
  here = world({ notifiers: [slack], ...options });
  return slack;
}

const shown = ({ kind, notices, more }: Letter) => ({
  kind,
  subjects: notices.map(({ subject }) => subject).toSorted(),
  more,
});

/** As the platform would, with what stands in the way of one instance. */
async function rest(deps: FlowDeps): Promise<void> {
  for (let round = 0; round < 30; round++) {
    for (const message of here.undelivered.splice(0)) await here.deliver(message, deps, true);
    here.clock.set(here.clock.now() + 60_000);
    await sweep(deps, newBudget(deps.clock));
    if ((await here.ledger.due(Number.MAX_SAFE_INTEGER, 1)).length === 0) return;
  }
  throw new Error("the world does not come to rest");
}

async function pushed(letter: string, deps = here.instance()): Promise<void> {
  here.push(letter);
  await here.deliver(here.hear(`push ${letter}`), deps);
  await rest(deps);
}

describe("a push that fails at eight workloads", () => {
  it("is told in one message, though they fail one after the other and sweeps come in between", async () => {
    let isSweeping = false;
    let sweeps = 0;
    const slack = telling({
      workloads: names,
      maxParallel: 2,
      turn: async (label) => {
        if (label !== "update asked" || isSweeping) return;
        isSweeping = true;
        here.clock.set(here.clock.now() + 7_000);
        await sweep(here.instance(), newBudget(here.clock));
        sweeps++;
        isSweeping = false;
      },
    });
    await pushed("X");
    expect(sweeps).toBeGreaterThan(4);
    expect(slack.attempts.map(shown)).toEqual([
      { kind: "rolled-back", subjects: names.map((name) => `swarm/${name}`), more: 0 },
    ]);
    const [notice] = slack.attempts[0]?.notices ?? [];
    expect(notice).toMatchObject({
      event: "push X",
      seq: 1,
      images: [`${repository}:${tag}@${digestOf("X")}`],
    });
    expect(notice?.sentence).toMatch(/^rollout 1 to docker\.io\/acme\/web:v1: .*non-zero exit/);
  });

  it("is told once, however often its message is delivered", async () => {
    const slack = telling({ workloads: names });
    here.push("X");
    const message = here.hear("push");
    for (let times = 0; times < 3; times++) {
      await here.deliver(message, here.instance(), times > 0);
      await rest(here.instance());
    }
    expect(slack.attempts).toHaveLength(1);
  });

  it("is on record before it is told: in the batch that ends the rollout", async () => {
    const batches: string[][] = [];
    const ledger: NonNullable<WorldOptions["ledger"]> = (inner) =>
      faultyLedger(inner, {
        fault: ({ writes, method }) => {
          if (method === "commit") batches.push(writes.map(({ collection }) => collection));
          return "none";
        },
      });
    telling({ ledger });
    await pushed("X");
    const told = batches.filter((batch) => batch.includes("notices"));
    expect(told).toEqual([
      ["workloads", "rollouts", "rollouts", "notices"],
      ["letters", "notices"],
    ]);
  });

  it("leaves nothing on record where nobody is told", async () => {
    telling({ workloads: names, notifiers: [] });
    await pushed("X");
    const deps = { ...here.instance(), notifiers: [listener("slack", noticeKinds)] };
    expect((await sweep(deps, newBudget(deps.clock))).work).toEqual([]);
  });
});

describe("people are told", () => {
  it("of what went well, where they want that", async () => {
    const slack = telling({ workloads: ["web", "api"] });
    await pushed("b");
    expect(slack.attempts.map(shown)).toEqual([
      { kind: "succeeded", subjects: ["swarm/api", "swarm/web"], more: 0 },
    ]);
  });

  it("of a rollout that nothing can undo", async () => {
    const slack = telling();
    const deps = here.instance();
    const targets = deps.targets.map((at) => ({
      ...at,
      target: { ...at.target, capabilities: { pins: false, fences: true, rollsBackTo: "previous" as const } },
    }));
    await pushed("X", { ...deps, targets });
    expect(slack.attempts.map(shown)).toEqual([
      { kind: "rollback-unavailable", subjects: ["swarm/web"], more: 0 },
    ]);
  });

  it("of what somebody else changed, once, all of a full run together", async () => {
    const slack = telling({ workloads: ["web", "api", "db"] });
    await pushed("b");
    slack.answers.length = 0;
    for (const name of ["web", "api"])
      here.target.create(name, `acme/web:${tag}@${digestOf("z")}`, { tasks: 2 });
    for (let times = 0; times < 3; times++) {
      const deps = here.instance();
      await fullRun(deps, { dryRun: false, adopt: false, by: "test" }, newBudget(deps.clock));
      await rest(deps);
    }
    expect(slack.attempts.slice(1).map(shown)).toEqual([
      { kind: "changed-outside", subjects: ["swarm/api", "swarm/web"], more: 0 },
    ]);
  });

  it("of a guard that trips, once for each plan", async () => {
    const workloads = Object.fromEntries(
      names.slice(0, 4).map((name) => [name, `acme/${name}:${tag}@${digestOf("a")}`]),
    );
    const slack = telling({ workloads });
    const answer = (letter: string) => {
      for (const name of names.slice(0, 4))
        here.registry.push(`docker.io/acme/${name}`, tag, digestOf(letter));
    };
    const run = async (dryRun = false) => {
      const deps = here.instance();
      await fullRun(deps, { dryRun, adopt: true, by: "test" }, newBudget(deps.clock));
      await rest(deps);
    };
    answer("z");
    await run(true);
    expect(slack.attempts).toEqual([]);
    for (let times = 0; times < 3; times++) await run();
    expect(slack.attempts.map(shown)).toEqual([{ kind: "guarded", subjects: ["swarm"], more: 0 }]);
    expect(slack.attempts[0]?.notices[0]?.next).toMatch(/`landfall reconcile --approve [0-9a-f]{12}`/);
    answer("y");
    await run();
    expect(slack.attempts.map(({ kind }) => kind)).toEqual(["guarded", "guarded"]);
  });

  it("of a message that nobody can use, once", async () => {
    const slack = telling();
    const nonsense = { kind: "nonsense" } as unknown as Message;
    for (const again of [false, true]) await here.deliver(nonsense, here.instance(), again);
    await rest(here.instance());
    expect(slack.attempts.map(({ kind }) => kind)).toEqual(["dead-lettered"]);
  });

  it("of a push whose tag is not in the registry", async () => {
    const slack = telling();
    here.registry.remove(repository, tag);
    await here.deliver(here.hear("push"), here.instance());
    await rest(here.instance());
    expect(slack.attempts.map(shown)).toEqual([
      { kind: "given-up", subjects: [`${repository}:${tag}`], more: 0 },
    ]);
  });

  it("of a configuration that is refused, once, whichever instance sweeps", async () => {
    const slack = telling();
    for (let times = 0; times < 4; times++) {
      const problems = ["follow (line 1): is missing"];
      const refused = { version: times < 3 ? "one" : "two", problems };
      const deps = { ...here.instance(), refusedConfig: () => refused };
      for (let sweeps = 0; sweeps < 2; sweeps++) {
        here.clock.set(here.clock.now() + 60_000);
        await sweep(deps, newBudget(deps.clock));
      }
    }
    expect(slack.attempts.map(shown)).toEqual(
      ["one", "two"].map(() => ({ kind: "config-rejected", subjects: ["landfall.yaml"], more: 0 })),
    );
  });

  it("of nothing where the ledger is away, which stops no sweep", async () => {
    const slack = listener();
    const isAway = { value: false };
    here = world({
      notifiers: [slack],
      ledger: (inner) =>
        faultyLedger(inner, {
          fault: ({ method }) => (isAway.value && method === "commit" ? "refuse" : "none"),
        }),
    });
    const refused = { version: "one", problems: ["follow: is missing"] };
    const deps = { ...here.instance(), refusedConfig: () => refused };
    isAway.value = true;
    expect((await sweep(deps, newBudget(deps.clock))).work).toEqual([]);
    isAway.value = false;
    await rest(deps);
    expect(slack.taken.map(({ kind }) => kind)).toEqual(["config-rejected"]);
  });
});

describe("people are told of an image with commits", () => {
  const graph = {
    ...logLinear,
    commits: [...logLinear.commits, { name: "x1", parents: ["c8"], atS: 1_700_000_000 }],
    branches: { ...logLinear.branches, experiment: "x1" },
  };
  const history = modelHistory(graph);
  const rule: ImageRule = {
    git: { url: "https://git.example/web", branch: "main", rebuilds: true },
    channels: [
      { tag: "int", soakMs: 0, byHand: false },
      { tag: "prod", after: "int", soakMs: 60_000, byHand: false },
    ],
    policy: { kind: "commit" },
    ignores: () => false,
  };
  const withCommits = () => telling({ rule, history, workloads: { web: `acme/web:int@${digestOf("a")}` } });

  async function built(commit: string, letter: string): Promise<void> {
    const id = history.id(commit);
    here.registry.push(repository, id, digestOf(letter));
    const message = { kind: "build", image: repository, tag: id, commit: id } as unknown as Message;
    await here.deliver(message, here.instance());
    await rest(here.instance());
  }

  it("when a build is held back", async () => {
    const slack = withCommits();
    await built("x1", "b");
    expect(slack.attempts.map(shown)).toEqual([
      { kind: "held-back", subjects: [`${repository}:${history.id("x1")}`], more: 0 },
    ]);
  });

  it("when somebody else moves a channel", async () => {
    const slack = withCommits();
    await built("c7", "b");
    expect(slack.attempts.map(({ kind }) => kind)).toEqual(["succeeded"]);
    here.registry.push(repository, "int", digestOf("z"));
    const push = { source: "distribution", registry: "docker.io", repository: "acme/web", tag: "int" };
    const heardMs = here.clock.now();
    await here.deliver({ kind: "push", event: "foreign", heardMs, push }, here.instance());
    await rest(here.instance());
    expect(slack.attempts.slice(1).map(shown)).toEqual([
      { kind: "conflict", subjects: [`${repository}:int`], more: 0 },
    ]);
    expect(slack.attempts[1]?.notices[0]?.next).toContain(`landfall promote ${repository} int --adopt`);
  });

  it("when a digest does not prove itself on the channel before", async () => {
    const slack = withCommits();
    await built("c7", "X");
    expect(slack.attempts.map(({ kind }) => kind).toSorted()).toEqual(["rolled-back", "soak-failed"]);
    const stopped = slack.attempts.find(({ kind }) => kind === "soak-failed");
    expect(stopped?.notices[0]).toMatchObject({ subject: `${repository}:prod` });
  });
});

describe("the end of a rollout", () => {
  const deps = { notifiers: [listener("slack", noticeKinds)], newId: () => "id" };
  const retry = (retries: number): Pick<OpenRollout, "cause" | "retries" | "retryMs"> => ({
    cause: { kind: "retry", event: "e-1", of: 1 },
    retries,
    retryMs: 160_000,
  });

  it.each<{ name: string; state: RolloutState; next?: ReturnType<typeof retry>; told: string | undefined }>([
    { name: "that is undone now is not told yet", state: "rolling-back", told: undefined },
    { name: "that was replaced is not told", state: "superseded", told: undefined },
    { name: "that failed for good is told", state: "failed", told: "failed" },
    { name: "that is tried again is told the first time", state: "failed", next: retry(1), told: "failed" },
    { name: "that is tried again is not told again", state: "failed", next: retry(2), told: undefined },
    { name: "that its target has undone is told", state: "rolled-back", told: "rolled-back" },
  ])("$name", ({ state, next, told }) => {
    here = world();
    const ticket = {
      document: { id: "swarm/web", rev: 1, writer: "", value: workloadDocument() },
      open: openRollout("verifying", 1),
    };
    const writes = rolloutNotice(deps, ticket, { state, reason: "no such image" }, { next }, 100_000);
    expect(writes.map(({ collection }) => collection)).toEqual(told === undefined ? [] : ["notices"]);
    const [write] = writes;
    if (write?.collection !== "notices") return;
    expect(write.value.notice.kind).toBe(told);
    expect(write.value.notice.sentence).toContain(
      next === undefined ? "no such image" : "no such image; it is tried again in 60 s",
    );
  });
});
