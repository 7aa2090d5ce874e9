import type fc from "fast-check";
import type { Message, OrderMessage } from "../../../shared/bus/bus.ts";
import { RegistryUnavailableError, TargetUnavailableError } from "../../../shared/errors.ts";
import { newBudget } from "../../../shared/flows/deps.ts";
import { type FullRun, fullRun } from "../../../shared/flows/full-run.ts";
import { sweep } from "../../../shared/flows/sweep.ts";
import type { Due } from "../../../shared/ledger/ledger.ts";
import { faultyLedger } from "../../doubles/faulty-ledger.ts";
import { digestOf, type Mortal, mortal, type World, world } from "../world.ts";
import { app, history, repositoryOf, ruleOf, web } from "./cast.ts";
import type { Act, Script, Service } from "./script.ts";
import { type Watch, watch } from "./watch.ts";

/** Somebody changed a workload at its target by hand. */
interface Hand {
  readonly service: Service;
  /** How many writes the target had taken until then. */
  readonly at: number;
  readonly image: string;
}

/** The world after everything has come to rest. */
export interface Played {
  readonly here: World;
  readonly watch: Watch;
  readonly hands: readonly Hand[];
  /** Whether the tag was moved, and nobody reported it since. */
  readonly isUnheard: boolean;
  /** The places of commits that were heard of. */
  readonly heard: ReadonlySet<string>;
  /** What a full run would do now; and what after it was done. */
  readonly dry: FullRun;
  readonly after: FullRun;
}

const minuteMs = 60_000;
export const start = {
  web: `acme/web:v1@${digestOf("a")}`,
  app: `acme/app:prod@${digestOf("m1")}`,
  tool: `acme/app:${history.id("m1")}@${digestOf("m1")}`,
};
const by = "ann";

export async function play(script: Script, scheduler: fc.Scheduler): Promise<Played> {
  let calm = true;
  let failing = 0;
  let areNodesBroken = false;
  let frozenMs = 0;
  let events = 0;
  let handlers = 0;
  let commits = 0;
  let isUnheard = false;
  const heard = new Set<string>(["m1"]);
  const hands: Hand[] = [];
  const last = new Map<Service, { readonly image: string; readonly fence: number }>();
  history.down = false;
  const turn = (label: string) =>
    calm ? Promise.resolve() : scheduler.schedule(Promise.resolve(), label).then(() => {});
  const watching = watch(() => here.target.writes.length);
  const here: World = world({
    turn,
    rule: ruleOf,
    history,
    workloads: start,
    others: { eye: { web: start.web } },
    observed: ["eye"],
    starts: () => !areNodesBroken,
    frozenUntil: (target, nowMs) => (target === "swarm" && nowMs < frozenMs ? frozenMs : undefined),
    between: (inner) => ({
      ...inner,
      head: async (...asked) => {
        if (failing > 0 && failing--) throw new RegistryUnavailableError("away");
        return inner.head(...asked);
      },
    }),
    ledger: (inner) =>
      faultyLedger(watching.ledger(inner), {
        schedule: (call, phase) =>
          call.method === "clock" ? Promise.resolve() : turn(`${call.method} ${phase}`),
        fault: ({ method }) =>
          !calm && method === "commit" && script.lost.includes(commits++) ? "lose-answer" : "none",
      }),
  });
  const depsOf = (recorder?: Mortal) => watching.deps(here.instance(recorder));
  const running = new Set<Promise<unknown>>();
  /** Something that acts until it ends, fails or is killed. */
  const begin = (act: (deps: ReturnType<typeof depsOf>) => Promise<unknown>) => {
    const index = handlers++;
    const death = calm ? undefined : script.deaths.find(({ handler }) => handler === index);
    const recorder = death === undefined ? undefined : mortal(death);
    const ended = act(depsOf(recorder)).catch(() => {});
    const over = (recorder === undefined ? ended : Promise.race([ended, recorder.died])).then(
      () => void running.delete(over),
    );
    running.add(over);
    return over;
  };
  const handle = (message: Message, redelivered = false) => {
    // A message that is not acknowledged comes again.
    if (!here.undelivered.includes(message)) here.undelivered.push(message);
    return begin(async (deps) => {
      await here.deliver(message, deps, redelivered);
      const index = here.undelivered.indexOf(message);
      if (index !== -1) here.undelivered.splice(index, 1);
    });
  };
  const order = (what: OrderMessage["order"]) =>
    void handle({ kind: "order", event: `event-${events++}`, heardMs: here.clock.now(), by, order: what });

  for (const letter of ["b", "c", "X"]) here.registry.push(web, letter, digestOf(letter));
  here.registry.push(app, history.id("m1"), digestOf("m1"));
  await handle(here.hear(`event-${events++}`));
  await handle({ kind: "build", image: app, tag: history.id("m1") });
  await settle();
  calm = false;

  const idOf = (service: Service) => `swarm/${service}` as const;
  const hand = (service: Service, to: { readonly image: string; readonly fence?: number }) => {
    const image = here.target.imageOf(service) ?? start[service];
    last.set(service, { image, fence: here.target.fenceOf(service) ?? 0 });
    hands.push({ service, at: here.target.writes.length, image: to.image });
    here.target.change(service, to);
  };
  const perform = (act: Act): unknown => {
    switch (act.kind) {
      case "push":
        here.push(act.letter);
        isUnheard = act.reports === 0;
        for (let times = 0; times < act.reports; times++) void handle(here.hear(`event-${events++}`));
        return undefined;
      case "build": {
        const image = act.badly ? `X of ${act.commit}` : act.commit;
        here.registry.push(app, history.id(act.commit), digestOf(image));
        const message: Message = { kind: "build", image: app, tag: history.id(act.commit) };
        if (act.reports > 0) heard.add(act.commit);
        for (let times = 0; times < act.reports; times++) void handle(message, times > 0);
        return undefined;
      }
      case "deploy": {
        const image = repositoryOf(act.service);
        const named = imageFor(act.service, act.image);
        const tag = image === app ? history.id(named.slice(-2)) : named === "b" ? "v1" : named;
        return order({ do: "deploy", workload: idOf(act.service), image, tag, until: act.until });
      }
      case "rollback":
        return order({ do: "rollback", workload: idOf(act.service), until: act.until });
      case "hold": {
        const workload = act.everywhere ? {} : { workload: idOf(act.service) };
        const image = repositoryOf(act.service);
        return order({ do: "hold", image, digest: digestOf(imageFor(act.service, act.image)), ...workload });
      }
      case "release":
        return order(
          act.image === undefined
            ? { do: "release", workload: idOf(act.service) }
            : {
                do: "release",
                image: repositoryOf(act.service),
                digest: digestOf(imageFor(act.service, act.image)),
              },
        );
      case "pause": {
        const until = act.minutes === undefined ? {} : { untilMs: here.clock.now() + act.minutes * minuteMs };
        return order({ do: "pause", workload: idOf(act.service), ...until });
      }
      case "resume":
        return order({ do: "resume", workload: idOf(act.service) });
      case "replay":
        return order({ do: "replay", of: `event-${act.of}` });
      case "hand": {
        const before = last.get(act.service);
        if (act.image === undefined) {
          if (before !== undefined) hand(act.service, before);
          return undefined;
        }
        const name = start[act.service].split("@")[0];
        return hand(act.service, { image: `${name}@${digestOf(imageFor(act.service, act.image))}` });
      }
      case "label":
        return here.target.change(act.service, {
          labels: act.paused ? { "landfall.pause": "true" } : {},
        });
      case "full":
        return void begin((deps) => fullRun(deps, { ...act, by }, newBudget(deps.clock)));
      case "sweep":
        return void begin((deps) => sweep(deps, newBudget(deps.clock)));
      case "bus":
        for (const message of [...here.undelivered]) void handle(message, true);
        return undefined;
      case "time":
        return here.clock.set(here.clock.now() + act.ms);
      case "freeze":
        frozenMs = here.clock.now() + act.minutes * minuteMs;
        return undefined;
      case "nodes":
        areNodesBroken = act.broken;
        return undefined;
      case "target":
        here.target.trouble = act.away ? new TargetUnavailableError("away") : undefined;
        return undefined;
      case "registry":
        failing = act.fails;
        return undefined;
      case "git":
        history.down = act.down;
        return undefined;
      default:
        return act satisfies never;
    }
  };
  const acting = script.acts.reduce(
    (before, { act, alone }) =>
      before.then(async () => {
        while (alone && running.size > 0) await Promise.all(running);
        await turn(`act ${act.kind}`);
        perform(act);
      }),
    Promise.resolve(),
  );
  await scheduler.waitIdle();
  await acting;
  await scheduler.waitIdle();
  calm = true;
  areNodesBroken = false;
  here.target.trouble = undefined;
  failing = 0;
  history.down = false;
  await settle();
  const dry = await full(true);
  await full(false);
  await settle();
  return { here, watch: watching, hands, isUnheard, heard, dry, after: await full(true) };

  async function full(dryRun: boolean): Promise<FullRun> {
    // One that was killed has the turn for a while.
    here.clock.set(here.clock.now() + 11 * minuteMs);
    const deps = depsOf();
    const run = await fullRun(deps, { dryRun, adopt: false, by: "timer" }, newBudget(here.clock));
    if (run.kind === "busy") throw new Error("a full run has the turn for ever");
    return run;
  }

  /** Delivers and sweeps until nothing is due within a day. */
  async function settle(): Promise<void> {
    for (let round = 0; round < 200; round++) {
      for (const message of [...here.undelivered]) await handle(message, true);
      const [next] = await here.ledger.due(here.clock.now() + 24 * 60 * minuteMs, 1);
      if (next === undefined && here.undelivered.length === 0) return;
      const dueMs = next === undefined ? undefined : dueOf(next);
      here.clock.set(Math.max(here.clock.now() + 30_000, dueMs ?? 0));
      await begin((deps) => sweep(deps, newBudget(deps.clock)));
    }
    const due = await here.ledger.due(here.clock.now() + 24 * 60 * minuteMs, 3);
    throw new Error(`the world does not come to rest: ${JSON.stringify({ due, left: here.undelivered })}`);
  }
}

/** What of a service's own repository is meant. */
function imageFor(service: Service, image: string): string {
  const isCommit = /m\d$/.test(image);
  if (service === "web") return isCommit ? "b" : image;
  return isCommit ? image : "m1";
}

function dueOf(due: Due): number | undefined {
  if (due.collection !== "workloads") return due.document.value.dueMs;
  const { open, dueMs } = due.document.value;
  return open?.dueMs ?? dueMs;
}
