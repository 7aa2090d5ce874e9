import type { Message } from "../../shared/bus/bus.ts";
import type { ChannelRule, ImageRule } from "../../shared/decide/rules.ts";
import type { ImageBuild } from "../../shared/domain/build.ts";
import type { Digest, Repository } from "../../shared/domain/reference.ts";
import { type FlowDeps, newBudget } from "../../shared/flows/deps.ts";
import { sweep } from "../../shared/flows/sweep.ts";
import type { Channel, ImageDocument } from "../../shared/ledger/image-document.ts";
import type { EventDocument, WorkloadDocument } from "../../shared/ledger/ledger.ts";
import type { Severity } from "../../shared/log.ts";
import type { Graph } from "../contracts/history-graphs.ts";
import { type ModelHistory, modelHistory } from "../doubles/model-history.ts";
import { digestOf, type World, type WorldOptions, world } from "./world.ts";

export const repository: Repository = "docker.io/acme/web";
const minuteMs = 60_000;

/** m1 to m6 in a line; s leaves it after m2 and is on no branch. */
export const line: Graph = {
  name: "line",
  commits: ["m1", "m2 m1", "m3 m2", "m4 m3", "m5 m4", "m6 m5", "s m2"].map((each, index) => {
    const [name = "", ...parents] = each.split(" ");
    return { name, parents, atS: 1_700_000_000 + index };
  }),
  branches: { main: "m6" },
};

/** A channel's rule: one that takes each new head to every target, unless told otherwise. */
export function channelRule(tag: string, more: Partial<ChannelRule> = {}): ChannelRule {
  return { tag, soakMs: 0, byHand: false, ...more };
}

/** A call to the registry: what it is about, by tag or digest. */
export interface RegistryCall {
  readonly method: "head" | "get" | "put";
  readonly reference: string;
}

interface Options extends Omit<WorldOptions, "between" | "history" | "rule" | "log"> {
  readonly channels?: readonly ChannelRule[];
  readonly git?: Partial<NonNullable<ImageRule["git"]>>;
  readonly rule?: Partial<ImageRule>;
  readonly history?: ModelHistory;
  /** Default `repository`. */
  readonly image?: Repository;
}

export interface ImageWorld extends World {
  readonly history: ModelHistory;
  /** Calls to the registry since the world was made, or `calls.length = 0`. */
  readonly calls: RegistryCall[];
  /** What befalls calls to the registry, before they reach it and before their answer comes back. */
  befall: (call: RegistryCall, phase: "asked" | "answered") => void | Promise<void>;
  /** What was logged, `alert: …` and so on. */
  readonly told: string[];
  /** The tag that CI gives to a commit. */
  id(name: string): string;
  /** CI has pushed a commit's image; `image` stands for another digest than the commit's name does. */
  pushed(name: string, image?: string): void;
  /** CI has pushed it, and its message is taken. */
  built(name: string, image?: string, more?: Partial<ImageBuild>): Promise<void>;
  /** Somebody gives an order about a channel. */
  ordered(how: "move" | "adopt" | "restore", channel?: string): Promise<EventDocument | undefined>;
  /** A registry reports a push of a channel's tag. */
  reported(event: string, digest?: string, channel?: string): Promise<EventDocument | undefined>;
  /** Time passes: what is on the bus is delivered, and each minute is swept. */
  minutes(count: number, deps?: FlowDeps): Promise<void>;
  /** The event of a commit's build, the last one heard. */
  buildEvent(name: string): Promise<EventDocument | undefined>;
  event(id: string): Promise<EventDocument | undefined>;
  image(): Promise<ImageDocument | undefined>;
  channel(tag?: string): Promise<Channel | undefined>;
  workload(name?: string): Promise<WorkloadDocument | undefined>;
  /** Which commit's image a tag points to. */
  at(tag: string): string | undefined;
  /** Which commit's image a workload runs, and how often its tasks were replaced. */
  runs(name?: string): string;
}

/** A world with one image that has commits, and `web`, which runs its channel prod, at m1's image. */
export function imageWorld(options: Options = {}): ImageWorld {
  const { channels = [channelRule("prod")], git, rule: own, history = modelHistory(line) } = options;
  const { image: where = repository, ...rest } = options;
  const rule: ImageRule = {
    git: { url: "https://git.example/web", branch: "main", rebuilds: true, ...git },
    channels,
    policy: { kind: "commit" },
    ignores: (tag) => /^\d+_\d+$/.test(tag),
    ...own,
  };
  const told: string[] = [];
  const calls: RegistryCall[] = [];
  const here: World = world({
    workloads: { web: `acme/web:prod@${digestOf("m1")}` },
    ...rest,
    rule,
    history,
    log: { write: (severity: Severity, text) => void told.push(`${severity}: ${text}`) },
    between: (inner) => through(inner, (call, phase) => tell(call, phase)),
  });
  const tell = async (call: RegistryCall, phase: "asked" | "answered") => {
    if (phase === "asked") calls.push(call);
    await more.befall(call, phase);
  };
  let orders = 0;
  const names = new Map<Digest, string>();
  const named = (name: string): Digest => {
    const digest = digestOf(name);
    names.set(digest, name);
    return digest;
  };
  for (const { name } of line.commits) named(name);
  const image = async () => (await here.ledger.get("images", where))?.value;
  const event = async (id: string) => (await here.ledger.get("events", id))?.value;

  const more: Omit<ImageWorld, keyof World> = {
    history,
    calls,
    told,
    befall: () => {},
    id: history.id,
    pushed: (name, as = name) => here.registry.push(where, history.id(name), named(as)),
    built: async (name, as, build) => {
      more.pushed(name, as);
      const message: Message = { kind: "build", image: where, tag: history.id(name), ...build };
      await here.deliver(message, here.instance());
    },
    ordered: async (how, channel = "prod") => {
      const id = `order-${++orders}`;
      const about = { image: where, channel, how, by: "ann" };
      await here.deliver(
        { kind: "promote", event: id, heardMs: here.clock.now(), ...about },
        here.instance(),
      );
      return event(id);
    },
    reported: async (id, digest, tag = "prod") => {
      const message = here.hear(id, digest);
      if (message.kind !== "push") throw new Error("a report is a push");
      await here.deliver({ ...message, push: { ...message.push, tag } }, here.instance());
      return event(id);
    },
    minutes: async (count, deps = here.instance()) => {
      for (let minute = 0; minute < count; minute++) {
        for (const message of here.undelivered.splice(0)) await here.deliver(message, deps, true);
        here.clock.set(here.clock.now() + minuteMs);
        await sweep(deps, newBudget(here.clock));
      }
    },
    buildEvent: async (name) => {
      const about = { repository: where, tag: history.id(name), nowMs: here.clock.now() };
      return (await here.ledger.events(about, 1))[0]?.value;
    },
    event,
    image,
    channel: async (tag = "prod") => (await image())?.channels[tag],
    workload: async (name = "web") => (await here.ledger.get("workloads", `swarm/${name}`))?.value,
    at: (tag) => {
      const digest = here.registry.digestOf(where, tag);
      return digest === undefined ? undefined : (names.get(digest) ?? digest);
    },
    runs: (name = "web") => {
      const target = here.targets.find((each) => each.imageOf(name) !== undefined);
      const digest = target?.imageOf(name)?.split("@")[1] as Digest | undefined;
      const replaced = target?.writes.filter(
        (write) => write.workload.endsWith(`/${name}`) && write.restarted,
      );
      return `${digest && names.get(digest)}, replaced ${replaced?.length ?? 0} times`;
    },
  };
  return Object.assign(more, here);
}

function through(
  inner: FlowDeps["registry"],
  tell: (call: RegistryCall, phase: "asked" | "answered") => Promise<void>,
): FlowDeps["registry"] {
  const told = async <T>(call: RegistryCall, act: () => Promise<T>): Promise<T> => {
    await tell(call, "asked");
    const answer = await act();
    await tell(call, "answered");
    return answer;
  };
  return {
    ...inner,
    head: (where, reference) => told({ method: "head", reference }, () => inner.head(where, reference)),
    get: (where, reference) => told({ method: "get", reference }, () => inner.get(where, reference)),
    put: (where, reference, manifest) =>
      told({ method: "put", reference }, () => inner.put(where, reference, manifest)),
  };
}
