import fc from "fast-check";
import { expect, it } from "vitest";
import type { Message } from "../../shared/bus/bus.ts";
import type { Digest } from "../../shared/domain/reference.ts";
import { RegistryUnavailableError } from "../../shared/errors.ts";
import { faultyLedger } from "../doubles/faulty-ledger.ts";
import { channelRule, type ImageWorld, imageWorld, repository } from "./image-world.ts";
import { digestOf, mortal } from "./world.ts";

const runs = 300;
const commits = ["m1", "m2", "m3", "m4", "m5", "m6"];
const m1 = digestOf("m1");

/** What happens, one after the other, each while all the others are still under way. */
type Act =
  | { readonly kind: "build"; readonly name: string; readonly as: string }
  | { readonly kind: "order"; readonly how: "move" | "adopt" | "restore"; readonly channel: string }
  | { readonly kind: "foreign"; readonly digest: string; readonly channel: string; readonly named: boolean }
  | { readonly kind: "registry"; readonly fails: number }
  | { readonly kind: "time"; readonly ms: number };

interface Plan {
  readonly acts: readonly Act[];
  readonly lost: readonly number[];
  readonly deaths: readonly {
    readonly delivery: number;
    readonly step: number;
    readonly side: "before" | "after";
  }[];
}

const channel = fc.constantFrom("int", "prod");
const act: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("build" as const),
      name: fc.constantFrom(...commits),
      as: fc.constantFrom("", "", "", "again"),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("order" as const),
      how: fc.constantFrom("move" as const, "adopt" as const, "restore" as const),
      channel,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("foreign" as const),
      digest: fc.constantFrom("m1", "m3", "foreign"),
      channel,
      named: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("registry" as const), fails: fc.integer({ min: 1, max: 3 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("time" as const),
      ms: fc.constantFrom(20_000, 80_000, 400_000),
    }),
  },
);
const plans: fc.Arbitrary<Plan> = fc.record({
  acts: fc.array(act, { minLength: 2, maxLength: 10 }),
  lost: fc.array(fc.nat(150), { maxLength: 3 }),
  deaths: fc.array(
    fc.record({
      delivery: fc.nat(8),
      step: fc.nat(20),
      side: fc.constantFrom("before" as const, "after" as const),
    }),
    { maxLength: 2 },
  ),
});

async function play(plan: Plan, scheduler: fc.Scheduler): Promise<ImageWorld> {
  let calm = true;
  let failing = 0;
  const turn = (label: string) =>
    calm ? Promise.resolve() : scheduler.schedule(Promise.resolve(), label).then(() => {});
  const here = imageWorld({
    turn,
    channels: [channelRule("int"), channelRule("prod", { after: "int", soakMs: 120_000 })],
    workloads: { web: `acme/web:int@${m1}`, shop: `acme/web:prod@${m1}` },
    ledger: (inner) =>
      faultyLedger(inner, {
        schedule: (call, phase) =>
          call.method === "clock" ? Promise.resolve() : turn(`${call.method} ${phase}`),
        fault: (call) =>
          !calm && call.method === "commit" && plan.lost.includes(call.index) ? "lose-answer" : "none",
      }),
  });
  here.befall = () => {
    if (calm || failing-- <= 0) return;
    throw new RegistryUnavailableError("away");
  };
  await here.built("m1");
  await here.settle();
  calm = false;
  let deliveries = 0;
  const start = (message: Message) => {
    const death = plan.deaths.find((each) => each.delivery === deliveries);
    deliveries++;
    here.undelivered.push(message);
    void here.deliver(message, here.instance(death === undefined ? undefined : mortal(death))).then(
      () => here.undelivered.splice(here.undelivered.indexOf(message), 1),
      () => {},
    );
  };
  const perform = (each: Act, index: number): Message | undefined => {
    switch (each.kind) {
      case "build":
        here.pushed(each.name, `${each.name}${each.as}`);
        return { kind: "build", image: repository, tag: here.id(each.name) };
      case "order": {
        const about = { image: repository, channel: each.channel, how: each.how, by: "ann" };
        return { kind: "promote", event: `order-${index}`, heardMs: here.clock.now(), ...about };
      }
      case "foreign": {
        here.registry.push(repository, each.channel, digestOf(each.digest));
        const message = here.hear(`foreign-${index}`, each.named ? each.digest : undefined);
        if (message.kind !== "push") throw new Error("a report is a push");
        return { ...message, push: { ...message.push, tag: each.channel } };
      }
      case "registry":
        failing = each.fails;
        return undefined;
      case "time":
        here.clock.set(here.clock.now() + each.ms);
        return undefined;
      default:
        return each satisfies never;
    }
  };
  const script = plan.acts.reduce(
    (before, each, index) =>
      before.then(async () => {
        await turn(`act ${each.kind}`);
        const message = perform(each, index);
        if (message !== undefined) start(message);
      }),
    Promise.resolve(),
  );
  await scheduler.waitIdle();
  await script;
  await scheduler.waitIdle();
  calm = true;
  await here.settle();
  return here;
}

async function check(here: ImageWorld): Promise<void> {
  const image = await here.image();
  expect(image?.dueMs).toBeUndefined();
  for (const [tag, workload] of [
    ["int", "web"],
    ["prod", "shop"],
  ] as const) {
    const state = image?.channels[tag];
    expect(state?.intent, tag).toBeUndefined();
    expect(state?.asked, tag).toBeUndefined();
    expect(state?.trouble, tag).toBeUndefined();
    if (state?.promoted === undefined || state.conflict !== undefined) continue;
    expect(here.registry.digestOf(repository, tag), `the tag ${tag}`).toBe(state.promoted.digest);
    const running = here.target.imageOf(workload)?.split("@")[1] as Digest | undefined;
    expect(running, `what ${workload} runs`).toBe(state.promoted.digest);
  }
  for (const { id, value } of await here.ledger.workloads()) expect(value.open, id).toBeUndefined();
  for (const { id, value } of await here.ledger.events({ nowMs: here.clock.now() }, 1000)) {
    expect(value.state, id).toBe("done");
  }
  expect(here.deadLetters).toEqual([]);
}

it("comes to rest with every tag, unless somebody else moved it, and its workloads at what was promoted, whatever happens at once", async () => {
  await fc.assert(
    fc.asyncProperty(plans, fc.scheduler(), async (plan, scheduler) => {
      const here = await play(plan, scheduler);
      await check(here);
      await here.close();
    }),
    { numRuns: runs },
  );
}, 300_000);
