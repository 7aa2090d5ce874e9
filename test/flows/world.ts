import { createHash } from "node:crypto";
import type { Message } from "../../shared/bus/bus.ts";
import type { Clock } from "../../shared/clock.ts";
import type { ImageRule } from "../../shared/decide/rules.ts";
import type { Digest, Repository } from "../../shared/domain/reference.ts";
import type { FlowDeps } from "../../shared/flows/deps.ts";
import { newBudget } from "../../shared/flows/deps.ts";
import { type FaultPoint, plainRecorder, type Recorder } from "../../shared/flows/recorder.ts";
import { sweep } from "../../shared/flows/sweep.ts";
import { take } from "../../shared/flows/take.ts";
import type { CommitHistory } from "../../shared/history/commit-history.ts";
import { embeddedLedger } from "../../shared/ledger/embedded.ts";
import type { Ledger } from "../../shared/ledger/ledger.ts";
import { type Log, silentLog } from "../../shared/log.ts";
import { type ModelRegistry, modelRegistry } from "../doubles/model-registry.ts";
import { type ModelTarget, modelTarget } from "../doubles/model-target.ts";

export const tag = "v1";
const repository: Repository = "docker.io/acme/web";

/** What holds for an image without an entry of its own. */
const plainRule: ImageRule = { channels: [], policy: { kind: "tag" }, ignores: () => false };
const noHistory: Pick<CommitHistory, "order"> = {
  order: async () => {
    throw new Error("this world has no git");
  },
};

/** A digest that a letter stands for; capitals stand for images that exit at once. */
export function digestOf(letter: string): Digest {
  return `sha256:${createHash("sha256").update(letter).digest("hex")}`;
}

/** Lets a step wait for its turn; the label tells a failing run's story. */
export type Turn = (label: string) => Promise<void>;

export interface WorldOptions {
  /** Default: every step goes on at once. */
  readonly turn?: Turn;
  /** Default: `web`, which runs `v1`; or what each runs, by name. */
  readonly workloads?: Workloads;
  /** More targets beside `swarm`, by name. */
  readonly others?: Readonly<Record<string, Workloads>>;
  readonly maxParallel?: number;
  readonly ledger?: (inner: Ledger) => Ledger;
  /** What stands between every process and the registry. */
  readonly between?: (registry: FlowDeps["registry"]) => FlowDeps["registry"];
  readonly frozenUntil?: FlowDeps["frozenUntil"];
  /** What an image does when it is run; default those of the letters X and Y exit. */
  readonly behaviour?: (digest: Digest | undefined) => "runs" | "exits" | "gone";
  /** Default: no order, no channels, by tag. Of all images, or of each. */
  readonly rule?: ImageRule | FlowDeps["rule"];
  /** Targets that nothing is written to. */
  readonly observed?: readonly string[];
  /** Whether a target starts images at all; default: it does. */
  readonly starts?: () => boolean;
  readonly history?: Pick<CommitHistory, "order">;
  readonly log?: Log;
  /** Default: nobody is told anything. */
  readonly notifiers?: FlowDeps["notifiers"];
}

/** Names of services that run `v1`, or what each runs, by name. */
type Workloads = readonly string[] | Readonly<Record<string, string>>;

export interface World {
  readonly registry: ModelRegistry;
  readonly clock: Clock & { set(ms: number): void };
  readonly target: ModelTarget;
  /** All of them, `target` first. */
  readonly targets: readonly ModelTarget[];
  readonly ledger: Ledger;
  /** Messages that nobody has acknowledged. */
  readonly undelivered: Message[];
  readonly deadLetters: readonly string[];
  /** What the tag points to now, as a letter. */
  readonly tagged: () => string;
  push(letter: string): void;
  /** An instance of builds with everything shared but its process. */
  instance(recorder?: Recorder): FlowDeps;
  /** A webhook for the tag has arrived: its message is on the bus. */
  hear(event: string, letter?: string): Message;
  deliver(message: Message, deps: FlowDeps, redelivered?: boolean): Promise<void>;
  /** Delivers and sweeps as the platform would until nothing is left to do. */
  settle(): Promise<void>;
  close(): Promise<void>;
}

const startMs = Date.UTC(2026, 0, 5, 12);

export function world(options: WorldOptions = {}): World {
  const { turn = async () => {}, workloads = ["web"], others = {}, maxParallel = 4 } = options;
  const { rule = plainRule, history = noHistory, between = (inner) => inner, log = silentLog } = options;
  let nowMs = startMs;
  let current = "a";
  const registry = modelRegistry();
  registry.push(repository, tag, digestOf(current));
  let ids = 0;
  const messageIds = new Map<Message, string>();
  const undelivered: Message[] = [];
  const deadLetters: string[] = [];
  const clock: World["clock"] = {
    now: () => nowMs,
    monotonic: () => nowMs - startMs,
    sleep: async (ms) => {
      const wakeMs = nowMs + ms;
      await turn(`sleep ${Math.round(ms)}`);
      nowMs = Math.max(nowMs, wakeMs);
    },
    set: (ms) => {
      nowMs = Math.max(nowMs, ms);
    },
  };
  const targets = Object.entries({ swarm: workloads, ...others }).map(([name, running]) =>
    targetOf(name, running, () => nowMs, options),
  );
  const [target] = targets as [ModelTarget, ...ModelTarget[]];
  const inner = embeddedLedger(":memory:", clock);
  const ledger = options.ledger?.(inner) ?? inner;

  const instance = (recorder: Recorder = plainRecorder): FlowDeps => ({
    ledger,
    bus: {
      publish: async (messages) => {
        await turn("publish");
        undelivered.push(...messages);
      },
    },
    registry: between({
      head: slow("HEAD", turn, registry.head),
      get: slow("GET", turn, registry.get),
      put: slow("PUT", turn, registry.put),
      platforms: registry.platforms,
      tags: registry.tags,
      limits: registry.limits,
    }),
    history: { order: slow("order", turn, (...asked) => history.order(...asked)) },
    targets: targets.map((each) => ({
      target: slowed(each, turn),
      mode: options.observed?.includes(each.name) === true ? "observe" : "act",
    })),
    follows: () => true,
    rule: typeof rule === "function" ? rule : () => rule,
    verify: { timeoutMs: 600_000, stableForMs: 1_000 },
    frozenUntil: options.frozenUntil ?? (() => undefined),
    rollback: true,
    maxDriftShare: 0.2,
    maxParallel,
    configHash: "test",
    notifiers: options.notifiers ?? [],
    clock,
    log,
    newId: () => `id-${++ids}`,
    random: () => 0.5,
    recorder,
  });
  const deliver = (message: Message, deps: FlowDeps, redelivered = false) => {
    const messageId = messageIds.get(message) ?? `message-${++ids}`;
    messageIds.set(message, messageId);
    return take(
      {
        ...deps,
        bus: { ...deps.bus, deadLetter: async (_data, _attributes, reason) => void deadLetters.push(reason) },
      },
      {
        messageId,
        data: Buffer.from(JSON.stringify(message)).toString("base64"),
        attributes: {},
        redelivered,
      },
      newBudget(clock),
    );
  };

  return {
    clock,
    target,
    targets,
    registry,
    ledger,
    undelivered,
    deadLetters,
    tagged: () => current,
    push: (letter) => {
      current = letter;
      registry.push(repository, tag, digestOf(letter));
    },
    instance,
    hear: (event, letter) => {
      const push = {
        source: "distribution",
        registry: "docker.io",
        repository: "acme/web",
        tag,
        ...(letter === undefined ? {} : { digest: digestOf(letter) }),
      };
      return { kind: "push", event, heardMs: nowMs, push };
    },
    deliver,
    settle: async () => {
      const deps = instance();
      for (let round = 0; round < 60; round++) {
        for (const message of undelivered.splice(0)) await deliver(message, deps, true);
        clock.set(nowMs + 60_000);
        const { work } = await sweep(deps, newBudget(clock));
        if (
          work.length === 0 &&
          undelivered.length === 0 &&
          (await ledger.due(nowMs + 86_400_000, 1)).length === 0
        )
          return;
      }
      const due = await ledger.due(nowMs + 86_400_000, 5);
      throw new Error(`the world does not come to rest: ${JSON.stringify({ nowMs, undelivered, due })}`);
    },
    close: () => ledger.close(),
  };
}

function targetOf(
  name: string,
  workloads: Workloads,
  now: () => number,
  { starts = () => true, behaviour = (digest) => (exits(digest) ? "exits" : "runs") }: WorldOptions,
): ModelTarget {
  const target = modelTarget(name, { behaviour: (digest) => (starts() ? behaviour(digest) : "gone"), now });
  const images: Readonly<Record<string, string>> = Array.isArray(workloads)
    ? Object.fromEntries(workloads.map((each) => [each, `acme/web:${tag}@${digestOf("a")}`]))
    : (workloads as Readonly<Record<string, string>>);
  for (const [each, image] of Object.entries(images)) target.create(each, image, { tasks: 2 });
  return target;
}

/** A call that waits for its turn before it reaches the other side and before its answer comes back. */
function slow<A extends unknown[], R>(label: string, turn: Turn, act: (...args: A) => Promise<R>) {
  return async (...args: A): Promise<R> => {
    await turn(`${label} asked`);
    const answer = await act(...args);
    await turn(`${label} answered`);
    return answer;
  };
}

function slowed(target: ModelTarget, turn: Turn): ModelTarget {
  return {
    ...target,
    list: slow("list", turn, target.list),
    get: slow("get", turn, target.get),
    look: slow("look", turn, target.look),
    update: slow("update", turn, target.update),
  };
}

function exits(digest: Digest | undefined): boolean {
  return ["X", "Y", "X of m2", "X of m3", "X of m4"].some((letter) => digestOf(letter) === digest);
}

export interface Mortal extends Recorder {
  /** The steps that were begun, the last one included. */
  readonly points: readonly FaultPoint[];
  /** Resolves at the death. */
  readonly died: Promise<"died">;
}

/** Dies at the n-th step, or the first of a name, right before or right after it: nothing that it would still do happens. */
export function mortal(dies?: {
  readonly step: number | FaultPoint;
  readonly side: "before" | "after";
}): Mortal {
  const points: FaultPoint[] = [];
  const { promise: died, resolve } = Promise.withResolvers<"died">();
  let dead = false;
  const die = <T>() => {
    dead = true;
    resolve("died");
    return new Promise<T>(() => {});
  };
  return {
    points,
    died,
    step: async (point, act) => {
      if (dead) return die();
      const isLast = [points.push(point) - 1, point].some((each) => each === dies?.step);
      if (isLast && dies?.side === "before") return die();
      const acting = act();
      await acting.catch(() => {});
      return dead || isLast ? die() : acting;
    },
  };
}
