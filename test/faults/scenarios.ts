import type { Message } from "../../shared/bus/bus.ts";
import type { RolloutState } from "../../shared/domain/rollout.ts";
import type { Platform, Workload } from "../../shared/domain/workload.ts";
import { RegistryUnavailableError, TargetUnavailableError } from "../../shared/errors.ts";
import type { FlowDeps } from "../../shared/flows/deps.ts";
import type { Target } from "../../shared/targets/target.ts";
import { failed, listener } from "../doubles/listener.ts";
import { digestOf, tag, type World, type WorldOptions, world } from "../flows/world.ts";
import type { Stage } from "./lives.ts";

export interface Scenario {
  readonly name: string;
  /** A new world each time: workloads run a tag's digest a, and something is about to happen. */
  readonly stage: () => Stage | Promise<Stage>;
  /** How often the tasks of a workload are replaced; default exactly once. */
  readonly restarts?: { readonly min: number; readonly max: number };
  /** The image fails, is held, and makes room for the one before. */
  readonly fails?: true;
  /** Digests that every workload on record holds in the end, as letters; default none, or what failed. */
  readonly holds?: readonly string[];
  /** How rollouts end, beside those that were replaced; default as they should. */
  readonly states?: readonly RolloutState[];
  /** What people are told of, where somebody tells them; default each workload. */
  readonly tells?: readonly string[];
  /** What workloads are to run in the end, by name, as a letter; default what the tag points to. */
  readonly wants?: Readonly<Record<string, string>>;
  /** What else has to be true in the end. */
  readonly check?: (here: World) => Promise<void>;
}

const arm: Platform = { os: "linux", architecture: "arm64" };
const intel: Platform = { os: "linux", architecture: "amd64" };
const twice = { min: 2, max: 2 };
const never = { min: 0, max: 0 };

/** The way of a push through the flows, and the turns that it can take. */
export const scenarios: readonly [Scenario, ...Scenario[]] = [
  { name: "a new digest for two workloads", stage: () => pushed() },
  {
    name: "two deliveries of one push at once",
    stage: () => heardToo(pushed(), (here) => here.hear("again")),
  },
  {
    name: "one message that comes twice at once",
    stage: () => {
      const stage = pushed();
      return { ...stage, heard: stage.heard.flatMap((message) => [message, { ...message }]) };
    },
  },
  { name: "a registry that refuses once", stage: () => ({ ...pushed(), troubles: refusedHeads(1) }) },
  {
    name: "a registry that refuses for longer than an invocation lasts",
    stage: () => ({ ...pushed(), troubles: refusedHeads(2) }),
  },
  {
    name: "a registry that is behind its own webhook",
    stage: async () => {
      const stage = pushed({ letter: "a", once: ["HEAD answered", (here) => here.push("b")] });
      await known(stage.here);
      return stage;
    },
  },
  {
    name: "more workloads than places",
    stage: () => pushed({ workloads: ["web", "api", "worker"], maxParallel: 1 }),
  },
  {
    name: "two pushes that want the only place",
    stage: () => {
      const stage = pushed({ workloads: ["web"], maxParallel: 1 });
      stage.here.target.create("api", `acme/web:v2@${digestOf("a")}`);
      stage.here.registry.push("docker.io/acme/web", "v2", digestOf(stage.here.tagged()));
      return heardToo(stage, (here) => ofTag(here.hear("other"), "v2"));
    },
  },
  {
    name: "a target that takes no write at first",
    stage: () => ({ ...pushed(), troubles: awayAt("update") }),
  },
  {
    name: "a target that is away when it is listed",
    stage: () => ({ ...pushed(), troubles: awayAt("list") }),
  },
  {
    name: "a target that is away when it is looked at",
    stage: () => ({ ...pushed(), troubles: awayAt("look") }),
  },
  { name: "a write whose answer is lost", stage: () => ({ ...pushed(), troubles: answerLost() }) },
  {
    name: "a service that somebody scales between our read and our write",
    stage: () => pushed({ once: ["update asked", (here) => here.target.touch("web")] }),
  },
  {
    name: "a service that somebody else deploys between the list and our write",
    stage: () => {
      const other = `acme/web:${tag}@${digestOf("z")}`;
      return pushed({ workloads: ["web"], once: ["get asked", (here) => here.target.create("web", other)] });
    },
  },
  {
    name: "a service that is removed between the list and our write",
    restarts: never,
    stage: () => pushed({ workloads: ["web"], once: ["get asked", (here) => here.target.remove("web")] }),
  },
  {
    name: "a digest that somebody has deployed by hand",
    restarts: never,
    stage: async () => {
      const stage = pushed({ workloads: [], letter: "a" });
      await known(stage.here);
      for (const name of ["web", "api"]) stage.here.target.create(name, `acme/web:${tag}@${digestOf("b")}`);
      stage.here.push("b");
      return stage;
    },
  },
  {
    name: "a window that is longer than an invocation lasts",
    stage: () => ({
      ...pushed(),
      troubles: (deps) => ({ ...deps, verify: { ...deps.verify, stableForMs: 30_000 } }),
    }),
  },
  {
    name: "a newer push while the first one is verified",
    restarts: { min: 1, max: 2 },
    stage: () => pushed({ once: ["look asked", (here) => pushAgain(here, "c")] }),
  },
  {
    name: "a tag that moves back while the first push is written",
    restarts: { min: 0, max: 2 },
    stage: () => pushed({ once: ["update asked", (here) => pushAgain(here, "a")] }),
  },
  { name: "an image that exits", fails: true, restarts: twice, stage: () => pushed({ letter: "X" }) },
  {
    name: "an image that exits, and is told of",
    fails: true,
    restarts: twice,
    stage: () => {
      const told = listener();
      told.answers.push(failed);
      return { ...pushed({ letter: "X", notifiers: [told] }), told };
    },
  },
  {
    name: "a tag that is gone, and is told of",
    restarts: never,
    tells: [`docker.io/acme/web:${tag}`],
    stage: () => {
      const told = listener();
      const stage = pushed({ letter: "a", notifiers: [told] });
      stage.here.registry.remove("docker.io/acme/web", tag);
      return { ...stage, told };
    },
  },
  {
    name: "an image for other platforms than its service names",
    stage: () => ({ ...pushed(), troubles: platforms }),
  },
  {
    name: "a message that nobody can read",
    restarts: never,
    stage: () => {
      const stage = pushed({ letter: "a" });
      return { ...stage, heard: [{ kind: "nonsense" } as unknown as Message] };
    },
  },
];

export interface Setting
  extends Pick<WorldOptions, "maxParallel" | "notifiers" | "workloads" | "behaviour" | "frozenUntil"> {
  /** What the tag is moved to, default b. */
  readonly letter?: string;
  /** What happens once, when that is reached for the first time. */
  readonly once?: readonly [label: string, act: (here: World) => void];
  /** What happens at each step. */
  readonly turn?: (label: string) => Promise<void>;
}

/** The tag has moved, and the message of it is on the bus. */
export function pushed({ letter = "b", once, turn, ...options }: Setting = {}): Stage {
  let happened = false;
  const here: World = world({
    workloads: ["web", "api"],
    ...options,
    turn: async (label) => {
      await turn?.(label);
      if (happened || label !== once?.[0]) return;
      happened = true;
      once[1](here);
    },
  });
  here.push(letter);
  return { here, heard: [here.hear("push")] };
}

function heardToo(stage: Stage, message: (here: World) => Message): Stage {
  return { ...stage, heard: [...stage.heard, message(stage.here)] };
}

function pushAgain(here: World, letter: string): void {
  here.push(letter);
  here.undelivered.push(here.hear("newer"));
}

/** The tag has been observed at its old digest before. */
export async function known(here: World): Promise<void> {
  await here.deliver(here.hear("known"), here.instance());
  await here.settle();
}

function ofTag(message: Message, other: string): Message {
  return message.kind === "push" ? { ...message, push: { ...message.push, tag: other } } : message;
}

function refusedHeads(times: number): NonNullable<Stage["troubles"]> {
  let left = times;
  return (deps) => ({
    ...deps,
    registry: {
      ...deps.registry,
      head: async (repository, name) => {
        if (left-- > 0) throw new RegistryUnavailableError("the registry is away");
        return deps.registry.head(repository, name);
      },
    },
  });
}

/** The target is away for one call, before it has seen it. */
export function awayAt(method: "list" | "get" | "look" | "update"): NonNullable<Stage["troubles"]> {
  let happened = false;
  return onTarget((target) => {
    const act = target[method] as (...given: unknown[]) => Promise<unknown>;
    const away = async (...given: unknown[]) => {
      if (happened) return act(...given);
      happened = true;
      throw new TargetUnavailableError("the target is away");
    };
    return { ...target, [method]: away };
  });
}

function answerLost(): NonNullable<Stage["troubles"]> {
  let happened = false;
  return onTarget((target) => ({
    ...target,
    update: async (workload, change) => {
      const outcome = await target.update(workload, change);
      if (happened) return outcome;
      happened = true;
      return { kind: "unknown", message: "the answer was lost" };
    },
  }));
}

function onTarget(change: (target: Target) => Target): NonNullable<Stage["troubles"]> {
  return (deps) => ({
    ...deps,
    targets: deps.targets.map((at) => ({ ...at, target: change(at.target) })),
  });
}

/** Services bound to one platform, an image for another one, and nodes that can run it. */
function platforms(deps: FlowDeps): FlowDeps {
  const bound = <W extends Workload | undefined>(workload: W) =>
    workload === undefined ? undefined : { ...workload, platforms: [intel] };
  const bind = onTarget((target) => ({
    ...target,
    list: async () => (await target.list()).map((workload) => ({ ...workload, platforms: [intel] })),
    get: async (name) => bound(await target.get(name)),
    platforms: async () => [arm],
  }));
  return bind({ ...deps, registry: { ...deps.registry, platforms: async () => [arm] } });
}
