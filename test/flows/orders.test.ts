import { describe, expect, it } from "vitest";
import type { Order } from "../../shared/domain/order.ts";
import { newBudget } from "../../shared/flows/deps.ts";
import type { FaultPoint } from "../../shared/flows/recorder.ts";
import { sweep } from "../../shared/flows/sweep.ts";
import type { EventDocument, WorkloadDocument } from "../../shared/ledger/ledger.ts";
import { channelRule, imageWorld, repository } from "./image-world.ts";
import { digestOf, mortal, type World, type WorldOptions, world } from "./world.ts";

const web = "swarm/web";

/** A world in which people give orders; `order` answers with what is on record of it. */
function ordered<Here extends World>(here: Here) {
  let orders = 0;
  /** @param until whoever takes it dies before this step */
  const give = async (
    order: Order,
    {
      event = `order-${++orders}`,
      until,
      by = "ann",
      givenMs = here.clock.now(),
    }: { event?: string; until?: FaultPoint; by?: string; givenMs?: number } = {},
  ): Promise<EventDocument> => {
    const message = { kind: "order", event, heardMs: givenMs, by, order } as const;
    const recorder = mortal(until === undefined ? undefined : { step: until, side: "before" });
    await Promise.race([here.deliver(message, here.instance(recorder)), recorder.died]);
    const stored = await here.ledger.get("events", event);
    if (stored === undefined) throw new Error(`${event} is not on record`);
    return stored.value;
  };
  const document = async (): Promise<WorkloadDocument> => {
    const stored = await here.ledger.get("workloads", web);
    if (stored === undefined) throw new Error("the workload is not on record");
    return stored.value;
  };
  return Object.assign(here, { give, document });
}

const orders = (options?: WorldOptions) => ordered(world(options));

type Here = ReturnType<typeof orders>;

/** Images are pushed under the tag, each deployed before the next one. */
async function deployed(here: World, ...letters: readonly string[]): Promise<void> {
  for (const letter of letters) {
    here.push(letter);
    await here.deliver(here.hear(`push ${letter}`, letter), here.instance());
    await here.settle();
  }
}

const runs = (here: World) => ["a", "b", "c", "d", "X"].find((each) => isAt(here, each));
const isAt = (here: World, letter: string) => here.target.imageOf("web")?.endsWith(digestOf(letter));

const rollback = { do: "rollback", workload: web, until: "next" } as const;
const hold = (letter: string, reason?: string) =>
  ({
    do: "hold",
    image: repository,
    digest: digestOf(letter),
    ...(reason === undefined ? {} : { reason }),
  }) as const;
const deploy = (tag = "v1") =>
  ({ do: "deploy", workload: web, image: repository, tag, until: "next" }) as const;

describe("an order to roll back", () => {
  it("goes back by one, and further back when it is given again, never to what was left behind", async () => {
    const here = orders();
    await deployed(here, "b", "c", "d");
    const seen: unknown[] = [];
    for (let time = 0; time < 4; time++) {
      const { outcome } = await here.give(rollback);
      await here.settle();
      seen.push([outcome, runs(here)]);
    }
    expect(seen).toEqual([
      ["ordered", "c"],
      ["ordered", "b"],
      ["ordered", "a"],
      ["refused", "a"],
    ]);
  });

  it("goes back once when it is given twice in a row", async () => {
    const here = orders();
    await deployed(here, "b", "c");
    const { verdicts } = await here.give(rollback, { until: "workload.claim" });
    expect(verdicts).toEqual([{ workload: web, kind: "planned", seq: 3 }]);
    expect(await here.give(rollback)).toMatchObject({
      outcome: "already",
      verdicts: [{ workload: web, kind: "joined", seq: 3 }],
    });
    await here.settle();
    expect(runs(here)).toBe("b");
  });

  it.each([
    { name: "went back already", act: (here: Here) => here.give(rollback), outcome: "already", at: "b" },
    { name: "moved on", act: (here: Here) => deployed(here, "d"), outcome: "refused", at: "d" },
  ])("does nothing to a workload that $name since the person looked", async ({ act, outcome, at }) => {
    const here = orders();
    await deployed(here, "b", "c");
    const { seq: seen } = await here.document();
    await act(here);
    await here.settle();
    expect((await here.give({ ...rollback, seen })).outcome).toBe(outcome);
    await here.settle();
    expect(runs(here)).toBe(at);
  });

  it("changes nothing when its message is delivered twice", async () => {
    const here = orders();
    await deployed(here, "b", "c");
    await here.give(rollback, { event: "same" });
    await here.settle();
    await here.give(rollback, { event: "same" });
    await here.settle();
    expect([runs(here), (await here.document()).seq]).toEqual(["b", 3]);
  });

  it("takes back a rollout that is on its way, and no more than that", async () => {
    const here = orders({ maxParallel: 0 });
    here.push("b");
    await here.deliver(here.hear("push b", "b"), here.instance());
    expect((await here.document()).open).toMatchObject({ seq: 1, state: "planned" });
    expect(await here.give(rollback)).toMatchObject({ outcome: "ordered" });
    const { open, wanted } = await here.document();
    expect([open?.to.web?.digest, wanted.web?.digest]).toEqual([digestOf("a"), digestOf("a")]);
  });

  it("pins a rollback that Landfall has begun by itself", async () => {
    const here = orders();
    await deployed(here, "b");
    here.push("X");
    const dies = mortal({ step: "workload.finish", side: "after" });
    await Promise.race([here.deliver(here.hear("push X", "X"), here.instance(dies)), dies.died]);
    expect(await here.give(rollback)).toMatchObject({
      outcome: "ordered",
      verdicts: [{ kind: "joined", seq: 3 }],
    });
    await here.settle();
    expect([runs(here), (await here.document()).pin?.by]).toEqual(["b", "ann"]);
  });

  it("stays until something newer is pushed, or with `release` until a person says so", async () => {
    for (const until of ["next", "release"] as const) {
      const here = orders();
      await deployed(here, "b", "c");
      await here.give({ ...rollback, until });
      await here.settle();
      await here.deliver(here.hear(`again ${until}`, "c"), here.instance());
      await here.settle();
      expect(runs(here)).toBe("b");
      await deployed(here, "d");
      expect(runs(here)).toBe(until === "next" ? "d" : "b");
      await here.give({ do: "release", workload: web });
      await here.settle();
      expect(runs(here)).toBe("d");
    }
  });
});

describe("an order to roll back with its channel", () => {
  const channels = [channelRule("prod")];
  const workloads = { web: `acme/web:prod@${digestOf("m1")}`, api: `acme/web:prod@${digestOf("m1")}` };

  it("moves the tag back too, and everyone on it, until a newer commit is built", async () => {
    const here = ordered(imageWorld({ channels, workloads }));
    for (const name of ["m2", "m3"]) {
      await here.built(name);
      await here.settle();
    }
    const { outcome, detail } = await here.give({ ...rollback, channel: true });
    expect([outcome, detail]).toEqual([
      "ordered",
      expect.stringContaining("docker.io/acme/web:prod goes back"),
    ]);
    await here.settle();
    expect([here.at("prod"), here.runs("web"), here.runs("api")]).toEqual([
      "m2",
      "m2, replaced 3 times",
      "m2, replaced 3 times",
    ]);
    expect(await here.channel()).toMatchObject({ promoted: { commit: here.id("m2"), by: "ann" } });
    await here.built("m4");
    await here.settle();
    expect([here.at("prod"), here.runs("web")]).toEqual(["m4", "m4, replaced 4 times"]);
  });

  it("leaves the channel where it is without being told so", async () => {
    const here = ordered(imageWorld({ channels, workloads }));
    for (const name of ["m2", "m3"]) {
      await here.built(name);
      await here.settle();
    }
    await here.give(rollback);
    await here.settle();
    expect([here.at("prod"), here.runs("web"), here.runs("api")]).toEqual([
      "m3",
      "m2, replaced 3 times",
      "m3, replaced 2 times",
    ]);
  });

  it("moves the tag alone when the workload was brought back before", async () => {
    const here = ordered(imageWorld({ channels, workloads }));
    for (const name of ["m2", "m3"]) {
      await here.built(name);
      await here.settle();
    }
    await here.give(rollback);
    await here.settle();
    expect((await here.give({ ...rollback, channel: true })).outcome).toBe("ordered");
    await here.settle();
    expect([here.at("prod"), here.runs("web"), here.runs("api")]).toEqual([
      "m2",
      "m2, replaced 3 times",
      "m2, replaced 3 times",
    ]);
  });

  it("is refused for a workload that is on no channel", async () => {
    const here = orders();
    await deployed(here, "b");
    expect(await here.give({ ...rollback, channel: true })).toMatchObject({
      outcome: "refused",
      detail: expect.stringContaining("on no channel"),
    });
  });

  it("is refused while somebody else has the channel", async () => {
    const here = ordered(imageWorld({ channels, workloads }));
    for (const name of ["m2", "m3"]) {
      await here.built(name);
      await here.settle();
    }
    here.registry.push(repository, "prod", digestOf("s"));
    await here.reported("foreign", "s");
    expect(await here.give({ ...rollback, channel: true })).toMatchObject({
      outcome: "refused",
      detail: expect.stringContaining("--restore"),
    });
  });
});

describe("an order to deploy", () => {
  it("brings the workload there, and is already so when it is given again", async () => {
    const here = orders();
    await deployed(here, "b");
    here.registry.push(repository, "v2", digestOf("c"));
    const seen: unknown[] = [];
    for (let time = 0; time < 2; time++) {
      seen.push((await here.give(deploy("v2"))).outcome);
      await here.settle();
    }
    expect(seen).toEqual(["ordered", "already"]);
    expect([runs(here), here.target.writes.length]).toEqual(["c", 2]);
  });

  it("is one rollout when it is given twice in a row", async () => {
    const here = orders({ maxParallel: 0 });
    here.push("b");
    await here.give(deploy());
    expect(await here.give(deploy())).toMatchObject({
      outcome: "already",
      verdicts: [{ kind: "joined", workload: web, seq: 1 }],
    });
    expect((await here.document()).seq).toBe(1);
  });

  it("only pins what runs already", async () => {
    const here = orders();
    await deployed(here, "b");
    expect(await here.give(deploy())).toMatchObject({
      outcome: "ordered",
      detail: expect.stringContaining("it is pinned there"),
      verdicts: [],
    });
    expect(here.target.writes).toHaveLength(1);
    expect((await here.document()).pin).toMatchObject({ by: "ann", until: "next" });
  });

  it("tries again what Landfall holds because it failed, but not what a person holds", async () => {
    const here = orders();
    await deployed(here, "b", "X");
    expect((await here.document()).holds).toHaveLength(1);
    expect((await here.give(deploy())).outcome).toBe("ordered");
    await here.settle();
    const { holds } = await here.document();
    expect([runs(here), holds.map(({ digest }) => digest)]).toEqual(["b", [digestOf("X")]]);
    await here.give({ ...hold("X"), workload: web });
    expect(await here.give(deploy())).toMatchObject({
      outcome: "refused",
      detail: expect.stringContaining(`landfall release swarm/web ${digestOf("X")}`),
    });
  });

  it("is refused for what a person holds everywhere", async () => {
    const here = orders();
    here.push("b");
    await here.give(hold("b", "bad migration"));
    expect(await here.give(deploy())).toMatchObject({
      outcome: "refused",
      detail: expect.stringMatching(/ann holds .* everywhere \(bad migration\)/),
    });
  });
});

describe("a hold", () => {
  it.each(["workload", "image"] as const)(
    "of what runs says so, leaves it, and keeps it from coming again: %s",
    async (of) => {
      const here = orders();
      await deployed(here, "b");
      const order = of === "workload" ? { ...hold("b"), workload: web } : hold("b");
      const { outcome, detail } = await here.give(order as Order);
      expect([outcome, detail]).toEqual(["ordered", expect.stringMatching(/it runs/)]);
      expect(runs(here)).toBe("b");
      await here.give(rollback);
      await here.settle();
      await here.give({ do: "release", workload: web });
      if (of === "workload") await here.give(order as Order);
      await here.settle();
      await here.deliver(here.hear("again", "b"), here.instance());
      await here.settle();
      expect(runs(here)).toBe("a");
      expect((await here.give(order as Order)).outcome).toBe("already");
    },
  );

  it("ends a rollout to it that has written nothing yet", async () => {
    const here = orders({ maxParallel: 0 });
    here.push("b");
    await here.deliver(here.hear("push b", "b"), here.instance());
    await here.give(hold("b"));
    expect((await here.document()).open).toBeUndefined();
    const rollout = await here.ledger.get("rollouts", `${web}/1`);
    expect(rollout?.value).toMatchObject({ state: "superseded", reason: "held by ann everywhere" });
  });
});

describe("a pause", () => {
  it("ends a rollout that has written nothing yet; what was missed is deployed when it ends", async () => {
    const here = orders();
    const busy = orders({ maxParallel: 0 });
    busy.push("b");
    await busy.deliver(busy.hear("push b", "b"), busy.instance());
    await busy.give({ do: "pause", workload: web, reason: "inventory" });
    expect((await busy.document()).open).toBeUndefined();

    await here.give({ do: "pause", workload: web });
    await deployed(here, "b");
    expect(runs(here)).toBe("a");
    await here.give({ do: "resume", workload: web });
    await here.settle();
    expect(runs(here)).toBe("b");
  });

  it("ends by itself, after which an order to resume is no error", async () => {
    const here = orders();
    const untilMs = here.clock.now() + 3_600_000;
    const pause = { do: "pause", workload: web, untilMs } as const;
    expect((await here.give(pause)).outcome).toBe("ordered");
    expect((await here.give(pause)).outcome).toBe("already");
    here.push("b");
    await here.deliver(here.hear("push b", "b"), here.instance());
    here.clock.set(untilMs);
    await sweep(here.instance(), newBudget(here.clock));
    await here.settle();
    expect(runs(here)).toBe("b");
    expect((await here.give({ do: "resume", workload: web })).outcome).toBe("already");
  });
});

describe("an order about a workload that Landfall has not met", () => {
  const pause = (workload: `${string}/${string}`) => ({ do: "pause", workload }) as const;

  it.each([
    { workload: "swarm/web", outcome: "ordered" },
    { workload: "swarm/wbe", outcome: "refused" },
    { workload: "swram/web", outcome: "refused" },
  ] as const)("is $outcome for $workload", async ({ workload, outcome }) => {
    const here = orders();
    expect((await here.give(pause(workload))).outcome).toBe(outcome);
    expect((await here.ledger.workloads()).length).toBe(outcome === "ordered" ? 1 : 0);
  });
});

describe("a release", () => {
  it.each<{ name: string; order: Order }>([
    { name: "a workload", order: { do: "release", workload: web } },
    { name: "a digest of a workload", order: { do: "release", workload: web, digest: digestOf("b") } },
    { name: "an image", order: { do: "release", image: repository, digest: digestOf("b") } },
  ])("of $name that nothing is held of changes nothing", async ({ order }) => {
    const here = orders();
    await deployed(here, "b");
    const { orders: _, ...before } = await here.document();
    expect((await here.give(order)).outcome).toBe("already");
    // That it was ordered is all that is new.
    const { orders: __, ...after } = await here.document();
    expect(after).toEqual(before);
  });

  it("of one digest leaves the pin, and the other holds", async () => {
    const here = orders();
    await deployed(here, "b", "c");
    await here.give(rollback);
    await here.settle();
    await here.give({ ...hold("c"), workload: web });
    await here.give({ ...hold("d"), workload: web });
    await here.give({ do: "release", workload: web, digest: digestOf("c") });
    await here.settle();
    const { pin, holds } = await here.document();
    expect([runs(here), pin?.by, holds.map(({ digest }) => digest)]).toEqual(["b", "ann", [digestOf("d")]]);
  });
});

describe("an order that another one has overtaken", () => {
  const pause = { do: "pause", workload: web } as const;
  const resume = { do: "resume", workload: web } as const;
  const release = { do: "release", workload: web } as const;

  it.each<{ earlier: Order; later: Order; outcome?: string }>([
    { earlier: deploy(), later: rollback },
    { earlier: rollback, later: deploy() },
    { earlier: deploy(), later: release },
    { earlier: pause, later: resume },
    { earlier: resume, later: pause, outcome: "already" },
  ])("is refused where the same person gave $later.do after $earlier.do", async (each) => {
    const { earlier, later, outcome = "ordered" } = each;
    const here = orders();
    await deployed(here, "b", "c");
    // What each of them takes back is there.
    await here.give(rollback);
    await here.give(pause);
    await here.settle();
    const givenMs = here.clock.now();
    here.clock.set(givenMs + 1_000);
    expect(await here.give(later)).toMatchObject({ outcome });
    await here.settle();
    const before = await here.document();
    expect(await here.give(earlier, { givenMs })).toMatchObject({
      outcome: "refused",
      detail: expect.stringMatching(`ann ordered \`${later.do}\` of ${web} after this`),
    });
    await here.settle();
    expect(await here.document()).toEqual(before);
  });

  it.each<{ name: string; earlier: Order; later: Order; by: string }>([
    { name: "another person", earlier: deploy(), later: rollback, by: "bob" },
    { name: "the same person, about something else", earlier: pause, later: rollback, by: "ann" },
  ])("is carried out where it is by $name", async ({ earlier, later, by }) => {
    const here = orders();
    await deployed(here, "b", "c");
    const givenMs = here.clock.now();
    here.clock.set(givenMs + 1_000);
    await here.give(later);
    await here.settle();
    expect(await here.give(earlier, { givenMs, by })).toMatchObject({ outcome: "ordered" });
  });
});
