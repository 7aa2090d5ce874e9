import fc from "fast-check";
import { expect, it } from "vitest";
import type { Message } from "../../shared/bus/bus.ts";
import type { ImageRule } from "../../shared/decide/rules.ts";
import { type Digest, parseReference, type Repository } from "../../shared/domain/reference.ts";
import type { Ledger } from "../../shared/ledger/ledger.ts";
import { type Graph, historyOf, logLinear } from "../contracts/history-graphs.ts";
import { faultyLedger } from "../doubles/faulty-ledger.ts";
import { modelHistory } from "../doubles/model-history.ts";
import { digestOf, mortal, type World, world } from "./world.ts";

const runs = 2000;
const repository: Repository = "docker.io/acme/web";
const newest = "c8";
/** Eight commits on main with a side branch merged into it, and one that is on no branch of interest. */
const graph: Graph = {
  ...logLinear,
  commits: [...logLinear.commits, { name: "x1", parents: ["c8"], atS: 1_700_000_000 }],
  branches: { ...logLinear.branches, experiment: "x1" },
};
const names = graph.commits.map(({ name }) => name);
const history = modelHistory(graph);
const rule: ImageRule = {
  git: { url: "https://git.example/web", branch: "main", rebuilds: true },
  channels: [{ tag: "prod", soakMs: 0, byHand: false }],
  policy: { kind: "commit" },
  ignores: () => false,
};
const heldBack = ["x1", "c2", "c3", "c4", "c5", "c6"].map((name): string => history.id(name));
const commitOf = new Map(names.map((name): [Digest, string] => [digestOf(name), name]));

interface Plan {
  /** Messages in the order in which they are heard, duplicates among them. */
  readonly heard: readonly string[];
  /** How many handlers run at once. */
  readonly handlers: number;
  readonly lost: readonly number[];
  readonly deaths: readonly {
    readonly delivery: number;
    readonly step: number;
    readonly side: "before" | "after";
  }[];
  /** How far the clock jumps, ms, before the n-th message is heard: leases of whoever is slow then are over. */
  readonly jumps: readonly { readonly before: number; readonly ms: number }[];
  readonly workloads: number;
}

const plans: fc.Arbitrary<Plan> = fc.record({
  heard: fc
    .tuple(
      fc.shuffledSubarray([...names], { minLength: names.length, maxLength: names.length }),
      fc.array(fc.constantFrom(...names), { maxLength: 5 }),
    )
    .map(([all, more]) => [...all, ...more]),
  handlers: fc.integer({ min: 1, max: 8 }),
  lost: fc.array(fc.nat(150), { maxLength: 4 }),
  deaths: fc.array(
    fc.record({
      delivery: fc.nat(12),
      step: fc.nat(14),
      side: fc.constantFrom("before" as const, "after" as const),
    }),
    { maxLength: 3 },
  ),
  jumps: fc.array(fc.record({ before: fc.nat(13), ms: fc.constantFrom(20_000, 70_000, 100_000) }), {
    maxLength: 2,
  }),
  workloads: fc.integer({ min: 1, max: 3 }),
});

/** The world after everything, and what was written to the registry how late. */
interface Played {
  readonly here: World;
  /** Whether a write to the registry took effect later than its lease lasts. */
  readonly wasLate: boolean;
  /** Intents and plans for an ancestor of what was the head when they were accepted. */
  readonly backwards: readonly string[];
}

async function play(plan: Plan, scheduler: fc.Scheduler): Promise<Played> {
  let calm = false;
  let wasLate = false;
  const backwards: string[] = [];
  const turn = (label: string) => {
    if (calm) return Promise.resolve();
    const sinceMs = here.clock.now();
    return scheduler.schedule(Promise.resolve(), label).then(() => {
      if (label === "PUT asked" && here.clock.now() - sinceMs > 15_000) wasLate = true;
    });
  };
  const here = world({
    turn,
    rule,
    history,
    workloads: Object.fromEntries(
      ["web", "api", "worker"].slice(0, plan.workloads).map((name, index) => {
        const start = index % 2 === 0 ? "prod" : history.id("c0");
        return [name, `acme/web:${start}@${digestOf(index % 2 === 0 ? "a" : "c0")}`];
      }),
    ),
    ledger: (inner) =>
      faultyLedger(watched(inner, backwards), {
        schedule: (call, phase) =>
          call.method === "clock" ? Promise.resolve() : turn(`${call.method} ${phase}`),
        fault: (call) =>
          !calm && call.method === "commit" && plan.lost.includes(call.index) ? "lose-answer" : "none",
      }),
  });
  for (const name of names) here.registry.push(repository, history.id(name), digestOf(name));
  const waiting: (() => Promise<void>)[] = [];
  let running = 0;
  let deliveries = 0;
  const next = () => {
    while (running < plan.handlers) {
      const start = waiting.shift();
      if (start === undefined) return;
      running++;
      void start().finally(() => {
        running--;
        next();
      });
    }
  };
  const deliver = (message: Message) => async () => {
    const index = deliveries++;
    for (const { before, ms } of plan.jumps) if (before === index) here.clock.set(here.clock.now() + ms);
    const death = plan.deaths.find((each) => each.delivery === index);
    const recorder = death === undefined ? undefined : mortal(death);
    const handled = here.deliver(message, here.instance(recorder)).then(
      () => void here.undelivered.splice(here.undelivered.indexOf(message), 1),
      () => {},
    );
    // A message that is not acknowledged comes again: settle delivers it.
    await (recorder === undefined ? handled : Promise.race([handled, recorder.died]));
  };
  for (const name of plan.heard) {
    const message: Message = { kind: "build", image: repository, tag: history.id(name) };
    here.undelivered.push(message);
    waiting.push(deliver(message));
  }
  next();
  await scheduler.waitIdle();
  calm = true;
  await here.settle();
  return { here, wasLate, backwards };
}

/** Sees every intent and every plan as it is accepted, beside the head of that moment. */
function watched(inner: Ledger, backwards: string[]): Ledger {
  const holders = new Set<string>();
  return {
    ...inner,
    async commit(writer, writes, checks) {
      const head = (await inner.get("images", repository))?.value.head;
      const outcome = await inner.commit(writer, writes, checks);
      if (outcome.kind === "conflict") return outcome;
      for (const { collection, value, expect: rev } of writes) {
        const digests =
          collection === "images"
            ? Object.values(value.channels).flatMap(({ intent }) => {
                if (intent === undefined || holders.has(intent.lease.holder)) return [];
                holders.add(intent.lease.holder);
                return [intent.to.digest];
              })
            : collection === "rollouts" && rev === 0
              ? Object.values(value.to).map(({ digest }) => digest)
              : [];
        const newest = collection === "images" ? value.head : head;
        for (const digest of digests) {
          const [name, top] = [commitOf.get(digest), newest && commitOf.get(newest.digest)];
          if (name !== undefined && top !== undefined && isAncestor(name, top)) {
            backwards.push(`${collection} ${name} under ${top}`);
          }
        }
      }
      return outcome;
    },
  };
}

function isAncestor(one: string, other: string): boolean {
  return one !== other && historyOf(graph, other).has(one);
}

/** Each commit is a descendant of the one before it. */
function isForward(commits: readonly (string | undefined)[]): boolean {
  return commits.every((name, index) => {
    const before = commits[index - 1];
    return before === undefined || name === undefined || name === before || isAncestor(before, name);
  });
}

async function check({ here, wasLate, backwards }: Played): Promise<void> {
  expect(backwards).toEqual([]);
  const wanted = digestOf(newest);
  expect(here.registry.digestOf(repository, "prod")).toBe(wanted);
  const image = (await here.ledger.get("images", repository))?.value;
  expect(image?.head).toMatchObject({ commit: history.id(newest), digest: wanted });
  expect(image?.channels.prod?.promoted).toMatchObject({ digest: wanted });
  expect(image?.channels.prod?.intent).toBeUndefined();
  expect(image?.channels.prod?.conflict).toBeUndefined();
  expect(image?.dueMs).toBeUndefined();
  for (const { name, containers } of await here.target.list()) {
    expect(digestIn(containers[0]?.image), name).toBe(wanted);
    const written = here.target.writes
      .filter((write) => write.workload.endsWith(`/${name}`))
      .map((write) => commitOf.get(digestIn(write.image) ?? "sha256:"));
    expect(isForward(written), `${name}: ${written.join(" ")}`).toBe(true);
  }
  const puts = here.registry.puts.map(({ digest }) => commitOf.get(digest));
  if (!wasLate) expect(isForward(puts), puts.join(" ")).toBe(true);
  for (const { id, value } of await here.ledger.workloads()) expect(value.open, id).toBeUndefined();
  for (const { id, value } of await here.ledger.rollouts({}, 1000)) {
    expect(["succeeded", "superseded"], id).toContain(value.state);
  }
  for (const { id, value } of await here.ledger.events({ nowMs: here.clock.now() }, 1000)) {
    expect(value.state, id).toBe("done");
    expect(["head", "current", "superseded", "held-back"], id).toContain(value.outcome);
    // Beside the one that is on no branch only those that neither side of the merge can compare.
    if (value.outcome === "held-back") expect(heldBack, id).toContain(value.build?.tag);
  }
  expect(here.deadLetters).toEqual([]);
}

function digestIn(image: string | undefined): Digest | undefined {
  const parsed = parseReference(image ?? "");
  return parsed.kind === "reference" ? parsed.reference.digest : undefined;
}

it("ends at the newest commit, and only ever goes forward, whatever the order of builds, deaths, stalls and lost answers", async () => {
  await fc.assert(
    fc.asyncProperty(plans, fc.scheduler(), async (plan, scheduler) => {
      const played = await play(plan, scheduler);
      await check(played);
      await played.here.close();
    }),
    { numRuns: runs },
  );
}, 600_000);
