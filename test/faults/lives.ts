import type { Message } from "../../shared/bus/bus.ts";
import { type FlowDeps, newBudget } from "../../shared/flows/deps.ts";
import type { FaultPoint } from "../../shared/flows/recorder.ts";
import { sweep } from "../../shared/flows/sweep.ts";
import type { Listener } from "../doubles/listener.ts";
import { type Mortal, mortal, type World } from "../flows/world.ts";

/** A world in which something is about to happen. */
export interface Stage {
  readonly here: World;
  /** What is on the bus when the first process starts. */
  readonly heard: readonly Message[];
  /** What somebody asks of a process, and of the next one until it is answered. */
  readonly ask?: (deps: FlowDeps) => Promise<unknown>;
  /** What stands between a process and the outside. */
  readonly troubles?: (deps: FlowDeps) => FlowDeps;
  /** Who is told what becomes of it. */
  readonly told?: Listener;
}

export interface Death {
  /** The n-th step of a process, from 0, or the first one of that name. */
  readonly step: number | FaultPoint;
  readonly side: "before" | "after";
  /** How much later the next process starts, ms: while the dead one's leases still run, or when all are over. */
  readonly pauseMs: number;
}

/** Everything that left a process, counted where it went out. */
export interface Calls {
  ledger: number;
  registry: number;
  history: number;
  target: number;
  bus: number;
  notifiers: number;
}

export interface Life {
  readonly points: readonly FaultPoint[];
  readonly calls: Calls;
}

const maxRounds = 60;
const sweepEveryMs = 60_000;
const dayMs = 86_400_000;

/** Processes one after the other: each dies as told, the last one lives until nothing is left to do. */
export async function live(stage: Stage, deaths: readonly Death[] = []): Promise<readonly Life[]> {
  stage.here.undelivered.push(...stage.heard);
  const known: Known = { delivered: new Set(), isAnswered: stage.ask === undefined };
  const lives: Life[] = [];
  for (const death of [...deaths, undefined]) {
    const recorder = mortal(death);
    const calls: Calls = { ledger: 0, registry: 0, history: 0, target: 0, bus: 0, notifiers: 0 };
    lives.push({ points: recorder.points, calls });
    if ((await process(stage, recorder, calls, known)) === "at rest") break;
    stage.here.clock.set(stage.here.clock.now() + (death?.pauseMs ?? 0));
  }
  return lives;
}

/** What outlives a process. */
interface Known {
  readonly delivered: Set<Message>;
  isAnswered: boolean;
}

/** One process, as the runner drives it: what the bus has is delivered at once, what is unfinished is swept each minute. */
async function process(
  stage: Stage,
  recorder: Mortal,
  calls: Calls,
  known: Known,
): Promise<"at rest" | "died"> {
  const { here, troubles = (deps) => deps, ask } = stage;
  const { delivered } = known;
  const deliveries = new Map<Message, Promise<unknown>>();
  const inner = here.instance({
    step: (point, act) => {
      deliver();
      return recorder.step(point, act);
    },
  });
  const deps = counted(troubles(inner), calls);
  function deliver(): void {
    for (const message of here.undelivered) {
      if (deliveries.has(message)) continue;
      const again = delivered.has(message);
      delivered.add(message);
      const delivery = here.deliver(message, deps, again).then(async () => {
        // What a dead process had no step left to do for is not acknowledged either.
        if ((await Promise.race([recorder.died, "alive"])) === "died") return;
        here.undelivered.splice(here.undelivered.indexOf(message), 1);
        deliveries.delete(message);
      });
      deliveries.set(message, delivery);
    }
  }
  const asking = async () => {
    if (known.isAnswered || ask === undefined) return;
    await ask(deps);
    known.isAnswered = true;
  };
  let answer = asking();
  for (let round = 0; round < maxRounds; round++) {
    const sweeping = Promise.all([sweep(deps, newBudget(deps.clock)), answer]);
    answer = Promise.resolve();
    deliver();
    for (let work: Promise<unknown> = sweeping; work !== undefined; ) {
      if ((await Promise.race([work, recorder.died])) === "died") return "died";
      deliver();
      if (deliveries.size === 0) break;
      work = Promise.race(deliveries.values());
    }
    if ((await here.ledger.due(here.clock.now() + dayMs, 1)).length === 0) return "at rest";
    here.clock.set(here.clock.now() + sweepEveryMs);
  }
  throw new Error(
    `nothing comes to rest: ${JSON.stringify(await here.ledger.due(here.clock.now() + dayMs, 5))}`,
  );
}

function counted(deps: FlowDeps, calls: Calls): FlowDeps {
  return {
    ...deps,
    ledger: counting(deps.ledger, ["commit"], () => calls.ledger++),
    registry: counting(deps.registry, ["head", "get", "put", "platforms", "tags"], () => calls.registry++),
    history: counting(deps.history, ["order"], () => calls.history++),
    targets: deps.targets.map((at) => ({
      ...at,
      target: counting(
        at.target,
        ["list", "get", "look", "update", "goBack", "platforms"],
        () => calls.target++,
      ),
    })),
    bus: counting(deps.bus, ["publish"], () => calls.bus++),
    notifiers: deps.notifiers.map((each) => ({
      ...each,
      open: async () => counting(await each.open(), ["send"], () => calls.notifiers++),
    })),
  };
}

function counting<T extends object>(inner: T, names: readonly (keyof T)[], count: () => void): T {
  return new Proxy(inner, {
    get: (of, name) => {
      const value: unknown = Reflect.get(of, name);
      if (typeof value !== "function" || !names.some((each) => each === name)) return value;
      return (...given: unknown[]) => {
        count();
        return Reflect.apply(value, of, given);
      };
    },
  });
}
