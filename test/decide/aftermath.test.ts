import { describe, expect, it } from "vitest";
import { decideAftermath, type FailureFacts } from "../../shared/decide/aftermath.ts";
import type { Digest } from "../../shared/domain/reference.ts";
import type { WantedContainer } from "../../shared/domain/rollout.ts";

const digest = (letter: string): Digest => `sha256:${letter.repeat(64)}`;
const wanted = (letter: string, name = "web"): WantedContainer => ({
  repository: `docker.io/acme/${name}`,
  tag: "v1",
  digest: digest(letter),
  generation: 7,
});
const image = (letter: string, name = "web") => `docker.io/acme/${name}:v1@${digest(letter)}`;
const minuteMs = 60_000;

/** A Swarm service whose new image failed by itself, and that ran another one well before. */
const usual: FailureFacts = {
  to: { web: wanted("b") },
  blame: "image",
  isRollback: false,
  stands: true,
  restored: false,
  short: true,
  guilty: [],
  retries: 0,
  goods: [{ web: image("a") }],
  rules: { rollback: true },
};
const back = { web: wanted("a") };
const two = {
  to: { web: wanted("b"), side: wanted("d", "side") },
  goods: [{ web: image("a"), side: image("c", "side") }],
};

describe("what becomes of a workload whose rollout failed", () => {
  interface Case {
    readonly name: string;
    readonly facts: Partial<FailureFacts>;
    readonly comes: ReturnType<typeof decideAftermath>;
  }
  it.each<Case>([
    {
      name: "goes back to what was good, and holds the image that failed by itself",
      facts: {},
      comes: { kind: "roll-back", to: back, held: [digest("b")] },
    },
    {
      name: "goes back though all its tasks run",
      facts: { short: false },
      comes: { kind: "roll-back", to: back, held: [digest("b")] },
    },
    {
      name: "stays where nothing is rolled back, and holds the image",
      facts: { rules: { rollback: false } },
      comes: { kind: "stay", held: [digest("b")] },
    },
    {
      name: "stays where somebody else has changed it since",
      facts: { stands: false },
      comes: { kind: "stay", held: [digest("b")] },
    },
    {
      name: "is left where its target took it back to, and holds the image",
      facts: { restored: true, stands: false, short: false },
      comes: { kind: "restored", held: [digest("b")] },
    },
    {
      name: "is left where its target took it back to, and is tried again if the environment failed",
      facts: { restored: true, stands: false, short: false, blame: "environment", retries: 1 },
      comes: { kind: "restored", held: [], thenRetryMs: 5 * minuteMs },
    },
    {
      name: "is nothing to rely on where its target took it back, and not all of its tasks run",
      facts: { restored: true, stands: false, short: true },
      comes: {
        kind: "unavailable",
        why: "the target went back by itself, and not all of its tasks run",
        held: [digest("b")],
      },
    },
    {
      name: "is tried again where its target took it back because of its environment, whatever runs",
      facts: { restored: true, stands: false, short: true, blame: "environment" },
      comes: { kind: "restored", held: [], thenRetryMs: minuteMs },
    },
    {
      name: "is tried again in its place while the environment costs no task",
      facts: { blame: "environment", short: false },
      comes: { kind: "retry", afterMs: minuteMs },
    },
    {
      name: "goes back before it is tried again where the environment costs tasks",
      facts: { blame: "environment", retries: 2 },
      comes: { kind: "roll-back", to: back, held: [], thenRetryMs: 15 * minuteMs },
    },
    {
      name: "goes back and rests after the third try",
      facts: { blame: "environment", retries: 3 },
      comes: { kind: "roll-back", to: back, held: [] },
    },
    {
      name: "stays after the third try where it costs no task",
      facts: { blame: "environment", retries: 3, short: false },
      comes: { kind: "stay", held: [] },
    },
    {
      name: "is tried again where there is no way back",
      facts: { blame: "environment", goods: [] },
      comes: { kind: "retry", afterMs: minuteMs },
    },
    {
      name: "never undoes a rollback, and never holds what one went back to",
      facts: { isRollback: true },
      comes: { kind: "stay", held: [] },
    },
    {
      name: "passes over a good image that is the one that failed",
      facts: { goods: [{ web: image("b") }, { web: image("a") }] },
      comes: { kind: "roll-back", to: back, held: [digest("b")] },
    },
    {
      name: "goes back with all its containers, and holds the image of the one that failed",
      facts: { ...two, guilty: ["side"] },
      comes: { kind: "roll-back", to: { web: wanted("a"), side: wanted("c", "side") }, held: [digest("d")] },
    },
    {
      name: "goes back with all its containers, and holds nothing where none is to blame",
      facts: two,
      comes: { kind: "roll-back", to: { web: wanted("a"), side: wanted("c", "side") }, held: [] },
    },
    {
      name: "holds the image that all its containers run",
      facts: {
        to: { web: wanted("b"), worker: wanted("b") },
        goods: [{ web: image("a"), worker: image("a") }],
      },
      comes: { kind: "roll-back", to: { web: wanted("a"), worker: wanted("a") }, held: [digest("b")] },
    },
  ])("$name", ({ facts, comes }) => {
    expect(decideAftermath({ ...usual, ...facts })).toEqual(comes);
  });

  it("has no way back where nothing is known to have been good, or not of all that failed", () => {
    for (const goods of [[], [{ side: image("c", "side") }], [{ web: "acme/web:v1" }]]) {
      expect(decideAftermath({ ...usual, goods })).toMatchObject({
        kind: "unavailable",
        held: [digest("b")],
      });
    }
  });
});
