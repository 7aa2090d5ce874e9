import fc from "fast-check";
import { expect, it } from "vitest";
import type { Message } from "../../shared/bus/bus.ts";
import { type Digest, parseReference } from "../../shared/domain/reference.ts";
import { faultyLedger } from "../doubles/faulty-ledger.ts";
import { digestOf, mortal, type World, world } from "./world.ts";

const runs = 2000;
const letters = ["a", "b", "c"] as const;

interface Plan {
  /** What the tag is moved to, one after the other; may go back. */
  readonly pushes: readonly string[];
  /** How often each push is reported, and whether the report names the digest. */
  readonly reports: readonly { readonly times: number; readonly digest: boolean }[];
  /** Calls to the ledger whose answer is lost. */
  readonly lost: readonly number[];
  readonly workloads: number;
  readonly maxParallel: number;
  /** Deliveries whose process dies at some step of theirs. */
  readonly deaths: readonly {
    readonly delivery: number;
    readonly step: number;
    readonly side: "before" | "after";
  }[];
}

const plans = (alphabet: readonly string[]): fc.Arbitrary<Plan> =>
  fc.record({
    pushes: fc.array(fc.constantFrom(...alphabet), { minLength: 1, maxLength: 4 }),
    reports: fc.array(fc.record({ times: fc.integer({ min: 1, max: 3 }), digest: fc.boolean() }), {
      minLength: 4,
      maxLength: 4,
    }),
    lost: fc.array(fc.nat(120), { maxLength: 4 }),
    workloads: fc.integer({ min: 1, max: 3 }),
    maxParallel: fc.integer({ min: 1, max: 3 }),
    deaths: fc.array(
      fc.record({
        delivery: fc.nat(6),
        step: fc.nat(14),
        side: fc.constantFrom("before" as const, "after" as const),
      }),
      { maxLength: 2 },
    ),
  });

async function play(plan: Plan, scheduler: fc.Scheduler): Promise<World> {
  let calm = false;
  const names = ["web", "api", "worker"].slice(0, plan.workloads);
  const turn = (label: string) =>
    calm ? Promise.resolve() : scheduler.schedule(Promise.resolve(), label).then(() => {});
  const here = world({
    turn,
    workloads: names,
    maxParallel: plan.maxParallel,
    ledger: (inner) =>
      faultyLedger(inner, {
        schedule: (call, phase) =>
          call.method === "clock" ? Promise.resolve() : turn(`${call.method} ${phase}`),
        fault: (call) =>
          !calm && call.method === "commit" && plan.lost.includes(call.index) ? "lose-answer" : "none",
      }),
  });
  let deliveries = 0;
  const start = (message: Message) => {
    const death = plan.deaths.find((each) => each.delivery === deliveries);
    deliveries++;
    const deps = here.instance(death === undefined ? undefined : mortal(death));
    // A message that is not acknowledged comes again: settle delivers it.
    here.undelivered.push(message);
    void here.deliver(message, deps).then(
      () => here.undelivered.splice(here.undelivered.indexOf(message), 1),
      () => {},
    );
  };
  const script = plan.pushes.map((letter, index) => async () => {
    await turn(`docker push ${letter}`);
    here.push(letter);
    const report = plan.reports[index];
    for (let time = 0; time < (report?.times ?? 1); time++) {
      await turn(`report ${letter}`);
      start(here.hear(`event-${index}-${time}`, report?.digest === true ? letter : undefined));
    }
  });
  void script.reduce((before, step) => before.then(step), Promise.resolve());
  await scheduler.waitIdle();
  calm = true;
  await here.settle();
  return here;
}

async function check(here: World, plan: Plan, bad: readonly Digest[]): Promise<void> {
  const wanted = digestOf(here.tagged());
  for (const workload of await here.target.list()) {
    const { digest } = running(workload.containers[0]?.image);
    if (!bad.includes(wanted)) expect(digest).toBe(wanted);
    // What failed has made room for something that had run well.
    else expect(bad).not.toContain(digest);
  }
  const known = plan.pushes.map(digestOf);
  const before = new Map<string, Digest | undefined>();
  for (const write of here.target.writes) {
    // Only what the tag has pointed to is ever written, a task is only ever replaced for another digest, numbers go up.
    expect([digestOf("a"), ...known]).toContain(running(write.image).digest);
    const { digest } = running(write.image);
    expect(write.restarted).toBe(digest !== (before.get(write.workload) ?? digestOf("a")));
    before.set(write.workload, digest);
  }
  for (const name of new Set(here.target.writes.map((write) => write.workload))) {
    const seqs = here.target.writes.filter((write) => write.workload === name).map((write) => write.seq);
    expect(seqs).toEqual(seqs.toSorted((one, other) => one - other));
  }
  for (const { value } of await here.ledger.workloads()) {
    expect(value.open).toBeUndefined();
    expect(value.holds.every((hold) => bad.includes(hold.digest))).toBe(true);
  }
  for (const { value } of await here.ledger.rollouts({}, 1000)) {
    // Nobody judges another one's rollout: only an image that fails has a failed rollout, and it never has another.
    const isBad = Object.values(value.to).some((each) => bad.includes(each.digest));
    expect(isBad ? ["failed", "rolled-back", "superseded"] : ["succeeded", "superseded"]).toContain(
      value.state,
    );
    expect(value.reason).toBeTruthy();
  }
  expect(here.deadLetters).toEqual([]);
}

function running(image: string | undefined): { digest: Digest | undefined } {
  const parsed = parseReference(image ?? "");
  return { digest: parsed.kind === "reference" ? parsed.reference.digest : undefined };
}

it("ends where the tag points, whatever the order of answers, deliveries, lost answers and deaths", async () => {
  await fc.assert(
    fc.asyncProperty(plans(letters), fc.scheduler(), async (plan, scheduler) => {
      const here = await play(plan, scheduler);
      await check(here, plan, []);
      await here.close();
    }),
    { numRuns: runs },
  );
}, 300_000);

it("judges a failing image and no other, whatever the order", async () => {
  await fc.assert(
    fc.asyncProperty(plans(["b", "X", "c"]), fc.scheduler(), async (plan, scheduler) => {
      const here = await play(plan, scheduler);
      await check(here, plan, [digestOf("X"), digestOf("Y")]);
      await here.close();
    }),
    { numRuns: runs / 4 },
  );
}, 300_000);
