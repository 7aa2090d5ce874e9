import { describe, expect, it } from "vitest";
import {
  decideBlind,
  decideVerify,
  noMemory,
  type VerifyDecision,
  type VerifyFacts,
} from "../../shared/decide/verify.ts";
import { type Digest, parseReference } from "../../shared/domain/reference.ts";
import type { VerifyMemory } from "../../shared/ledger/ledger.ts";
import type { Look, TaskLook } from "../../shared/targets/target.ts";

const digest = (letter: string): Digest => `sha256:${letter.repeat(64)}`;
const wanted = { repository: "docker.io/acme/web", tag: "v1", digest: digest("b"), generation: 2 } as const;
const start = 1_000_000;
const facts: VerifyFacts = {
  seq: 3,
  to: { web: wanted },
  applyingMs: start,
  acceptedMs: start,
  fences: true,
};
const rules = { timeoutMs: 600_000, stableForMs: 15_000 };

function task(id: string, more: Partial<TaskLook> = {}): TaskLook {
  const images = { web: `acme/web:v1@${digest("b")}` };
  return {
    id,
    slot: id,
    desired: true,
    images,
    state: "running",
    restarts: 0,
    createdMs: start + 500,
    ...more,
  };
}

function look(
  tasks: readonly TaskLook[],
  more: Partial<Look> & { image?: string; fence?: number } = {},
): Look {
  const { image = `acme/web:v1@${digest("b")}`, fence = 3, ...rest } = more;
  const parsed = parseReference(image);
  const reference = parsed.kind === "reference" ? { reference: parsed.reference } : {};
  return {
    workload: {
      id: "swarm/web",
      target: "swarm",
      name: "web",
      version: "9",
      containers: [{ name: "web", image, ...reference }],
      settings: {},
      misplacedSettings: [],
      fence,
      raw: undefined,
    },
    update: "completed",
    tasks,
    wantedTasks: 2,
    windowMs: 5_000,
    ...rest,
  };
}

/** Feeds looks at given seconds after the start; the last decision counts. */
function watch(
  looks: readonly (readonly [seconds: number, look: Look | undefined | "blind"])[],
): VerifyDecision {
  let memory: VerifyMemory = noMemory;
  let last: VerifyDecision = { kind: "wait", memory, note: "" };
  for (const [seconds, seen] of looks) {
    const nowMs = start + seconds * 1000;
    if (seen === "blind") {
      memory = decideBlind(memory, nowMs);
      last = { kind: "wait", memory, note: "" };
      continue;
    }
    last = decideVerify(facts, memory, seen, nowMs, rules);
    if (last.kind !== "wait") return last;
    memory = last.memory;
  }
  return last;
}

const both = look([task("a"), task("b")]);
const failedTask = (id: string, error = "task: non-zero exit (1)"): TaskLook =>
  task(id, { slot: "1", desired: false, state: "failed", error });

const old = `acme/web:v1@${digest("a")}`;
/** What ran before runs again. */
const back = ["c", "d"].map((id) => task(id, { images: { web: old } }));

describe("verification of a rollout", () => {
  it.each<{ name: string; looks: Parameters<typeof watch>[0]; expected: object }>([
    {
      name: "waits while tasks start",
      looks: [[1, look([task("a"), task("b", { state: "starting" })])]],
      expected: { kind: "wait" },
    },
    {
      name: "waits until the same tasks have run for the window",
      looks: [
        [1, both],
        [15, both],
      ],
      expected: { kind: "wait" },
    },
    {
      name: "succeeds when the same tasks ran for the window",
      looks: [
        [1, both],
        [16, both],
      ],
      expected: { kind: "succeeded" },
    },
    {
      name: "never declares success before the target's own window is over",
      looks: [
        [1, look([task("a"), task("b")], { windowMs: 60_000 })],
        [30, look([task("a"), task("b")], { windowMs: 60_000 })],
      ],
      expected: { kind: "wait" },
    },
    {
      name: "does not take an update under way for done",
      looks: [
        [1, look([task("a"), task("b")], { update: "updating" })],
        [40, look([task("a"), task("b")], { update: "updating" })],
      ],
      expected: { kind: "wait" },
    },
    {
      name: "does not count while a task of the old image is still wanted",
      looks: [
        [1, look([task("a"), task("b"), task("old", { images: { web: "acme/web:v1" } })])],
        [40, look([task("a"), task("b"), task("old", { images: { web: "acme/web:v1" } })])],
      ],
      expected: { kind: "wait" },
    },
    {
      name: "starts the window anew when a task was replaced",
      looks: [
        [1, both],
        [10, look([task("a"), task("c")])],
        [16, look([task("a"), task("c")])],
      ],
      expected: { kind: "wait" },
    },
    {
      name: "starts the window anew when a container was restarted in place",
      looks: [
        [1, both],
        [10, look([task("a"), task("b", { restarts: 1 })])],
        [16, look([task("a"), task("b", { restarts: 1 })])],
      ],
      expected: { kind: "wait" },
    },
    {
      name: "starts the window anew when it was begun by a clock that has been set back since",
      looks: [
        [601, both],
        [1, both],
        [16, both],
      ],
      expected: { kind: "succeeded" },
    },
    {
      name: "fails at the third replaced task",
      looks: [
        [1, both],
        [8, look([task("a"), task("c")])],
        [16, look([task("a"), task("d")])],
        [24, look([task("a"), task("e")])],
      ],
      expected: { kind: "failed" },
    },
    {
      name: "fails at the third crash even if the tasks never ran together",
      looks: [[9, look([failedTask("x"), failedTask("y"), failedTask("z"), task("a")])]],
      expected: {
        kind: "failed",
        blame: "image",
        reason: expect.stringContaining("task: non-zero exit (1)"),
      },
    },
    {
      name: "does not count crashes from before the rollout",
      looks: [[9, look(["x", "y", "z"].map((id) => ({ ...failedTask(id), createdMs: start - 60_000 })))]],
      expected: { kind: "wait" },
    },
    {
      name: "fails in the target's own words when it paused the update",
      looks: [
        [2, look([failedTask("x")], { update: "paused", message: "update paused due to failure of task x" })],
      ],
      expected: {
        kind: "failed",
        blame: "image",
        reason: "update paused due to failure of task x: task: non-zero exit (1)",
      },
    },
    {
      name: "blames the environment when the image could not be pulled",
      looks: [
        [
          2,
          look(
            [
              task("x", {
                desired: false,
                state: "failed",
                environment: true,
                error: "No such image: acme/web:v1",
              }),
            ],
            { update: "paused" },
          ),
        ],
      ],
      expected: { kind: "failed", blame: "environment" },
    },
    {
      name: "blames nothing on the image when another container of its tasks fails",
      looks: [
        [601, look([task("x", { state: "failed", error: "proxy: exited with code 1", container: "proxy" })])],
      ],
      expected: {
        kind: "failed",
        blame: "environment",
        reason: expect.stringContaining("proxy: exited with code 1"),
      },
    },
    {
      name: "blames the image for its own container's failure",
      looks: [
        [601, look([task("x", { state: "failed", error: "web: exited with code 1", container: "web" })])],
      ],
      expected: { kind: "failed", blame: "image" },
    },
    {
      name: "counts restarts in place as it counts crashes",
      looks: [
        [9, look([task("a", { state: "failed", error: "exited with code 3", restarts: 2 }), task("b")])],
      ],
      expected: { kind: "failed", blame: "image", reason: expect.stringContaining("exited with code 3") },
    },
    {
      name: "blames an image whose containers run again each time somebody looks, and names the one that ended",
      looks: [
        [
          9,
          look([task("a", { restarts: 3, ended: { error: "web: exited with code 3", container: "web" } })]),
        ],
      ],
      expected: {
        kind: "failed",
        blame: "image",
        guilty: ["web"],
        reason: "its tasks do not stay up: 3 were lost: web: exited with code 3",
      },
    },
    {
      name: "blames no image for tasks that were taken away",
      looks: [
        [1, both],
        [2, look([task("c"), task("d")])],
        [3, look([task("e"), task("f")])],
      ],
      expected: { kind: "failed", blame: "environment", reason: "its tasks do not stay up: 4 were lost" },
    },
    {
      name: "tells in the target's words why there are no tasks at all, and blames the environment",
      looks: [[601, look([], { update: "updating", message: "pods are forbidden: exceeded quota" })]],
      expected: {
        kind: "failed",
        blame: "environment",
        reason: expect.stringMatching(/0 of 2 tasks.*exceeded quota/),
      },
    },
    {
      name: "says why nothing is proven where the target says so",
      looks: [[2, look([], { wantedTasks: 0, unproven: "takes effect at the next run" })]],
      expected: { kind: "succeeded", reason: "unproven: takes effect at the next run" },
    },
    {
      name: "lets a target that rolls back by itself finish",
      looks: [[2, look([], { update: "rolling-back", image: `acme/web:v1@${digest("a")}` })]],
      expected: { kind: "wait" },
    },
    {
      name: "fails when the target has rolled back",
      looks: [
        [
          2,
          look([failedTask("x"), ...back], {
            update: "rolled-back",
            message: "rollback completed",
            image: old,
          }),
        ],
      ],
      expected: { kind: "failed", blame: "image", restored: true, short: false },
    },
    {
      name: "waits until all tasks are up again where the target has rolled back",
      looks: [[2, look([failedTask("x"), ...back.slice(1)], { update: "rolled-back", image: old })]],
      expected: { kind: "wait" },
    },
    {
      name: "tells when the target has rolled back and its tasks do not come up",
      looks: [
        [2, look([failedTask("x"), ...back.slice(1)], { update: "rolled-back", image: old })],
        [601, look([failedTask("x"), ...back.slice(1)], { update: "rolled-back", image: old })],
      ],
      expected: { kind: "failed", blame: "image", restored: true, short: true },
    },
    {
      name: "tells why the target rolled back, which it no longer says at the end",
      looks: [
        [
          2,
          look([failedTask("x")], {
            update: "rolling-back",
            message: "update rolled back due to failure or early termination of task x",
            image: `acme/web:v1@${digest("a")}`,
          }),
        ],
        [
          3,
          look([failedTask("x"), ...back], {
            update: "rolled-back",
            message: "rollback completed",
            image: old,
          }),
        ],
      ],
      expected: {
        kind: "failed",
        reason: expect.stringMatching(/^update rolled back due to failure or early termination of task x: /),
        blame: "image",
      },
    },
    {
      name: "goes by its tasks where the target went back to just that: a rollback that came second",
      looks: [
        [2, { ...both, update: "rolled-back" }],
        [100, { ...both, update: "rolled-back" }],
      ],
      expected: { kind: "succeeded" },
    },
    {
      name: "gives what runs its window, though nobody looked until the time was up",
      looks: [[3_600, both]],
      expected: { kind: "wait" },
    },
    {
      name: "succeeds after that window",
      looks: [
        [3_600, both],
        [3_615, both],
      ],
      expected: { kind: "succeeded" },
    },
    {
      name: "fails when the time is up, the window is over, and the target still updates",
      looks: [
        [590, { ...both, update: "updating" }],
        [606, { ...both, update: "updating" }],
      ],
      expected: { kind: "failed", blame: "environment" },
    },
    {
      name: "does not judge a workload that somebody else moved on",
      looks: [[2, look([], { image: `acme/web:v1@${digest("c")}` })]],
      expected: { kind: "superseded", reason: "changed by someone else" },
    },
    {
      name: "does not judge when a later rollout has written",
      looks: [[2, look([], { fence: 4 })]],
      expected: { kind: "superseded", reason: expect.stringContaining("fenced") },
    },
    {
      name: "does not judge a workload that is gone",
      looks: [[2, undefined]],
      expected: { kind: "superseded" },
    },
    {
      name: "succeeds unproven where no task is wanted",
      looks: [[2, look([], { wantedTasks: 0 })]],
      expected: { kind: "succeeded", reason: "unproven: no tasks" },
    },
    {
      name: "fails with what was seen when the time is over",
      looks: [
        [
          601,
          look([task("a"), task("b", { state: "starting", environment: true, error: "no suitable node" })]),
        ],
      ],
      expected: {
        kind: "failed",
        blame: "environment",
        reason: expect.stringMatching(/600 s: 1 of 2.*no suitable node/),
      },
    },
    {
      name: "does not count time in which the target could not be asked",
      looks: [
        [10, "blind"],
        [500, "blind"],
        [700, look([task("a")])],
      ],
      expected: { kind: "wait" },
    },
    {
      name: "keeps the window running while the target could not be asked and the same tasks are back",
      looks: [
        [1, both],
        [5, "blind"],
        [16, both],
      ],
      expected: { kind: "succeeded" },
    },
  ])("$name", ({ looks, expected }) => {
    expect(watch(looks)).toMatchObject(expected);
  });
});
