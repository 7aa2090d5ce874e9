import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  type Digest,
  parseReference,
  printReference,
  type Repository,
} from "../../shared/domain/reference.ts";
import type { FlowDeps } from "../../shared/flows/deps.ts";
import { newBudget } from "../../shared/flows/deps.ts";
import { fullRun } from "../../shared/flows/full-run.ts";
import type { Change, Look, Target } from "../../shared/targets/target.ts";
import { digestOf, tag, type World, world } from "./world.ts";

const app: Repository = "docker.io/acme/web";
const proxy: Repository = "docker.io/acme/proxy";
let here: World;
let deps: FlowDeps;
let images: Record<string, string>;

beforeEach(() => {
  here = world({ workloads: [] });
  images = { app: print(app, "a"), proxy: print(proxy, "a") };
  deps = { ...here.instance(), targets: [{ target: twoContainers(), mode: "act" }] };
  here.registry.push(proxy, tag, digestOf("a"));
});
afterEach(() => here.close());

describe("what failed in one container", () => {
  it("stays held when something newer comes for another one, until something newer comes for it", async () => {
    await push(proxy, "X");
    expect(await held()).toEqual([digestOf("X")]);
    expect(images).toEqual({ app: print(app, "a"), proxy: print(proxy, "a") });

    await push(app, "b");
    expect(images).toEqual({ app: print(app, "b"), proxy: print(proxy, "a") });
    expect(await held()).toEqual([digestOf("X")]);
    await fullRun(deps, { adopt: false, dryRun: false, by: "test" }, newBudget(here.clock));
    await deliverAll();
    expect(images).toEqual({ app: print(app, "b"), proxy: print(proxy, "a") });

    await push(proxy, "c");
    expect(images).toEqual({ app: print(app, "b"), proxy: print(proxy, "c") });
    expect(await held()).toEqual([]);
  });
});

function print(repository: Repository, letter: string): string {
  return printReference({ repository, tag, digest: digestOf(letter) });
}

async function push(repository: Repository, letter: string): Promise<void> {
  here.registry.push(repository, tag, digestOf(letter));
  const [registry = "", ...path] = repository.split("/");
  const named = { source: "distribution", registry, repository: path.join("/"), tag } as const;
  const told = { ...named, digest: digestOf(letter) };
  const message = { kind: "push", event: `${repository} ${letter}`, heardMs: here.clock.now(), push: told };
  await here.deliver(message as Parameters<World["deliver"]>[0], deps);
  await deliverAll();
}

async function deliverAll(): Promise<void> {
  for (let message = here.undelivered.shift(); message !== undefined; message = here.undelivered.shift()) {
    await here.deliver(message, deps, true);
  }
}

async function held(): Promise<readonly Digest[]> {
  const stored = await here.ledger.get("workloads", "swarm/web");
  return stored?.value.holds.map(({ digest }) => digest) ?? [];
}

/** A workload whose container crashes that runs `X`. */
function twoContainers(): Target {
  let [version, fence] = [1, 0];
  const read = () => ({
    id: "swarm/web" as const,
    target: "swarm",
    name: "web",
    version: String(version),
    containers: Object.entries(images).map(([name, image]) => {
      const parsed = parseReference(image);
      return { name, image, ...(parsed.kind === "reference" ? { reference: parsed.reference } : {}) };
    }),
    settings: {},
    misplacedSettings: [],
    fence,
    raw: undefined,
  });
  const look = (): Look => {
    const broken = Object.keys(images).find((name) => images[name]?.endsWith(digestOf("X")));
    const failed = { state: "failed", error: "exited with code 3" } as const;
    const state = broken === undefined ? { state: "running" as const } : { ...failed, container: broken };
    const task = { id: `pod-${version}`, slot: "0", desired: true, restarts: 0, createdMs: here.clock.now() };
    return {
      workload: read(),
      update: broken === undefined ? "completed" : "paused",
      tasks: [{ ...task, images: { ...images }, ...state }],
      wantedTasks: 1,
      windowMs: 0,
    };
  };
  const update = async (_: unknown, change: Change) => {
    for (const [name, image] of Object.entries(change.images)) images[name] = printReference(image);
    [version, fence] = [version + 1, change.seq];
    return { kind: "accepted" } as const;
  };
  return {
    name: "swarm",
    kind: "kubernetes",
    capabilities: { pins: true, fences: true, rollsBackTo: "any" },
    list: async () => [read()],
    get: async () => read(),
    look: async () => look(),
    update,
    platforms: async () => [],
    close: async () => {},
  };
}
