import { afterEach, describe, expect, it } from "vitest";
import type { Digest } from "../../shared/domain/reference.ts";
import type { Place, PlaceOptions } from "./place.ts";
import { type Matrix, matrix } from "./world.ts";

let world: Matrix;
afterEach(() => world.close());

const kinds: readonly PlaceOptions["kind"][] = ["swarm", "swarmpit"];

describe.each(kinds)("pushes of one tag to a %s that overlap", (kind) => {
  let place: Place;
  let first: Digest;

  async function begin(): Promise<void> {
    world = await matrix({ targets: [{ name: "prod", kind }] });
    place = world.place("prod");
    first = world.push();
    await place.create("web", world.image(first), { tasks: 2 });
  }

  it.each([500, 4_000, 12_000])(
    "a push %i ms after another one replaces its rollout while that is verified",
    async (afterMs) => {
      await begin();
      const second = world.push();
      await world.publish("second", { digest: second });
      await world.pass(afterMs);
      const third = world.push();
      await world.hear("third", { digest: third });
      await world.carryOn();
      expect(await place.writes()).toEqual([world.image(second), world.image(third)]);
      expect(await world.history("prod/web")).toEqual([
        "superseded: rollout 2 replaced it",
        "succeeded: 2 of 2 tasks ran for 15 s",
      ]);
      expect(await world.workload("prod/web")).toMatchObject({ deployed: { web: third }, holds: [] });
      expect(await world.explain()).toMatch(/prod\/web +1 +superseded.*rollout 2 replaced it/);
    },
  );

  it("a failing image that was replaced in time is neither judged nor held", async () => {
    await begin();
    const bad = world.push("v1", { command: ["exit", "3", "3000"] });
    await world.publish("bad", { digest: bad });
    await world.pass(2_000);
    const good = world.push();
    await world.hear("good", { digest: good });
    await world.carryOn();
    expect(await world.history("prod/web")).toEqual([
      "superseded: rollout 2 replaced it",
      "succeeded: 2 of 2 tasks ran for 15 s",
    ]);
    expect((await world.workload("prod/web")).holds).toEqual([]);
  });

  it.each([
    { name: "cannot be written yet", does: { kind: "status", status: 429 } as const },
    { name: "was written without an answer", does: { kind: "lost-answer" } as const },
    { name: "was sent and never taken", does: { kind: "hang" } as const },
  ])("a tag that moves back while its plan $name ends where it points", async ({ does }) => {
    await begin();
    await world.hear("known", { digest: first });
    const tasks = (await place.swarm.snapshot()).tasks.map(({ id }) => id);
    const second = world.push();
    const end = place.way.faults.switchOn({ does, when: ({ method }) => method === "POST", times: 3 });
    await world.publish("second", { digest: second });
    await world.pass(1_000);
    world.moveBack(first);
    await world.hear("back", { digest: first });
    end();
    await world.carryOn();

    expect(await place.running()).toEqual([world.image(first), world.image(first)]);
    expect(await world.event("back")).toMatchObject({
      state: "done",
      digest: first,
      detail: expect.stringContaining("tag-moved-back"),
    });
    expect(await world.explain()).toContain("tag-moved-back");
    expect((await world.workload("prod/web")).open).toBeUndefined();
    if (does.kind === "status") {
      expect((await place.swarm.snapshot()).tasks.map(({ id }) => id)).toEqual(tasks);
    }
  });

  it("eight deliveries of one push at once lead to one update", async () => {
    await begin();
    const second = world.push();
    for (let index = 0; index < 8; index++) await world.publish(`push-${index}`, { digest: second });
    await world.rest();
    await world.carryOn();
    expect(await place.writes()).toEqual([world.image(second)]);
    const outcomes = await Promise.all(
      Array.from({ length: 8 }, async (_, index) => (await world.event(`push-${index}`)).outcome),
    );
    expect(new Set(outcomes)).toEqual(new Set(["observed", "joined"]));
  });
});

describe("several targets and workloads", () => {
  it.each(kinds)("go on when one target of two is away (%s)", async (kind) => {
    world = await matrix({
      targets: [
        { name: "away", kind },
        { name: "here", kind },
      ],
    });
    const first = world.push();
    for (const name of ["away", "here"]) await world.place(name).create("web", world.image(first));
    const second = world.push();
    await world.place("away").way.refuse();
    await world.hear("pushed");
    expect(await world.place("here").writes()).toEqual([world.image(second)]);
    expect(await world.workload("here/web")).toMatchObject({ deployed: { web: second } });
    expect(await world.event("pushed")).toMatchObject({ state: "waiting", outcome: "target-unavailable" });
    const waiting = await world.explain();
    expect(waiting).toMatch(/away\/\* +target-unavailable +Waits: A target could not be asked\. \(away: /);
    expect(waiting).toMatch(/here\/web +1 +succeeded/);

    await world.place("away").way.admit();
    await world.carryOn();
    for (const name of ["away", "here"]) expect(await world.place(name).writes()).toHaveLength(1);
    expect(await world.event("pushed")).toMatchObject({ state: "done", outcome: "observed" });
    const verdicts = (await world.event("pushed")).verdicts.map(
      ({ workload, kind: is }) => `${workload} ${is}`,
    );
    expect(verdicts.toSorted()).toEqual(["away/web planned", "here/web planned"]);
  });

  it.each(kinds)("go on when one workload of three cannot be written (%s)", async (kind) => {
    world = await matrix({ targets: [{ name: "prod", kind }] });
    const place = world.place("prod");
    const first = world.push();
    const names = ["web1", "web2", "web3"];
    for (const name of names) await place.create(name, world.image(first));
    const { services } = await place.swarm.snapshot();
    const ill = services.find(({ spec }) => spec.Name === "web2")?.id ?? "";
    const second = world.push();
    const end = place.way.faults.switchOn({
      does: { kind: "status", status: 403 },
      when: ({ method, path }) => method === "POST" && path.includes(ill),
    });
    await world.hear("pushed");
    expect(await place.writes()).toEqual([world.image(second), world.image(second)]);
    for (const name of ["web1", "web3"] as const) {
      expect(await world.workload(`prod/${name}`)).toMatchObject({ deployed: { [name]: second } });
    }
    expect(await world.explain()).toMatch(/prod\/web2 +1 +planned .*403.*looked at again in \d+ s/);
    end();
    await world.carryOn();
    expect(await place.writes()).toHaveLength(3);
    expect(await world.workload("prod/web2")).toMatchObject({ deployed: { web2: second } });
  });

  it.each(kinds)("go on when one workload of three is refused for good (%s)", async (kind) => {
    world = await matrix({ targets: [{ name: "prod", kind }] });
    const place = world.place("prod");
    const first = world.push();
    for (const name of ["web1", "web2", "web3"]) await place.create(name, world.image(first));
    const { services } = await place.swarm.snapshot();
    const ill = services.find(({ spec }) => spec.Name === "web2")?.id ?? "";
    const body = JSON.stringify({ message: "invalid mount", error: "invalid mount" });
    place.way.faults.switchOn({
      does: { kind: "status", status: 400, body },
      when: ({ method, path }) => method === "POST" && path.includes(ill),
    });
    const second = world.push();
    await world.hear("pushed");
    expect(await place.writes()).toEqual([world.image(second), world.image(second)]);
    expect(await world.history("prod/web2")).toEqual([
      expect.stringMatching(/^failed: .*refused the update: invalid mount$/),
    ]);
    for (const name of ["web1", "web3"] as const) {
      expect(await world.workload(`prod/${name}`)).toMatchObject({ deployed: { [name]: second } });
    }
    expect(await world.explain()).toMatch(/prod\/web2 +1 +failed .*invalid mount; blamed on the environment/);
  });

  it.each(kinds)(
    "are rolled out no more than `maxParallel` at a time, each place taken at once (%s)",
    async (kind) => {
      world = await matrix({ targets: [{ name: "prod", kind }], defaults: "maxParallel: 2" });
      const place = world.place("prod");
      const first = world.push();
      const names = Array.from({ length: 7 }, (_, index) => `web${index}`);
      for (const name of names) await place.create(name, world.image(first));
      const second = world.push();
      await world.publish("pushed");
      let most = 0;
      for (let step = 0; step < 400; step++) {
        await world.pass(250);
        most = Math.max(most, await world.ledger.underWay("prod"));
        const { services, tasks } = await place.swarm.snapshot();
        const moving = services.filter(({ id }) =>
          tasks.some((task) => task.serviceId === id && isMoving(task)),
        );
        most = Math.max(most, moving.length);
      }
      await world.carryOn();
      expect(most).toBe(2);
      expect(await place.writes()).toEqual(names.map(() => world.image(second)));
      const rollouts = (await world.ledger.rollouts({}, 20)).map(({ value }) => value);
      expect(rollouts.map(({ state }) => state)).toEqual(names.map(() => "succeeded"));
      const waitedMs = rollouts.map(({ times }) => (times.applying ?? 0) - times.planned).toSorted(ascending);
      expect(waitedMs.slice(0, 2)).toEqual([0, 0]);
      // Four rounds of two, each of about 16 s.
      expect(waitedMs.at(-1)).toBeLessThan(3 * 20_000);
    },
  );
});

function ascending(one: number, other: number): number {
  return one - other;
}

function isMoving(task: { readonly state: string; readonly desired: string }): boolean {
  return task.desired === "running" && task.state !== "running";
}
