import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { mediaTypes } from "../../functions/local/sandbox/registry/image.ts";
import type { Digest } from "../../shared/domain/reference.ts";
import type { Place } from "./place.ts";
import { type Matrix, matrix } from "./world.ts";

let world: Matrix;
let place: Place;
let first: Digest;

beforeEach(async () => {
  world = await matrix({ targets: [{ name: "pit", kind: "swarmpit" }] });
  place = world.place("pit");
  first = world.push();
  await place.create("web", world.image(first), { tasks: 2 });
});
afterEach(() => world.close());

const posts = () => place.swarmpit.requests.filter(({ method }) => method === "POST").length;
const open = async () => (await world.workload("pit/web")).open;

async function expectRunning(digest: Digest): Promise<void> {
  expect(await place.running()).toEqual([world.image(digest), world.image(digest)]);
  expect((await world.history("pit/web")).at(-1)).toBe("succeeded: 2 of 2 tasks ran for 15 s");
  const { deployed, holds } = await world.workload("pit/web");
  expect({ deployed, holds }).toEqual({ deployed: { web: digest }, holds: [] });
}

describe("a Swarmpit that resolves the tag to an older digest", () => {
  it("is asked again when that is the one from before the push, and tells why it waits", async () => {
    const second = world.push();
    place.swarmpit.fail("redeploy", { kind: "resolve", digest: first });
    await world.hear("pushed", { digest: second });
    expect(await open()).toMatchObject({ state: "planned", lagged: 1 });
    expect(await world.explain()).toMatch(
      /the target resolved the tag to the digest from before the push.*looked at again in 5 s/,
    );
    await world.carryOn();
    expect(await place.writes()).toEqual([world.image(first), world.image(second)]);
    await expectRunning(second);
  });

  it("is asked again when that is one between the running and the newest", async () => {
    const between = world.push();
    const newest = world.push();
    place.swarmpit.fail("redeploy", { kind: "resolve", digest: between });
    await world.hear("pushed", { digest: newest });
    expect(await world.explain()).toContain(
      `the target resolved the tag to ${between}, not to the registry's`,
    );
    await world.carryOn();
    expect(await place.writes()).toEqual([world.image(between), world.image(newest)]);
    await expectRunning(newest);
  });

  it("is asked again when the registry cannot tell at that moment whether it is the newest", async () => {
    world.push();
    let third: Digest | undefined;
    place.way.faults.switchOn({
      does: { kind: "reset" },
      when: ({ method }) => {
        if (method !== "POST" || third !== undefined) return false;
        third = world.push();
        world.toRegistry.faults.switchOn({ does: { kind: "reset" }, times: 1 });
        return false;
      },
    });
    await world.hear("pushed");
    await world.carryOn();
    if (third === undefined) throw new Error("nothing was posted");
    await expectRunning(third);
  });

  it("fails after four times, by its environment, and a later push tries again", async () => {
    const second = world.push();
    for (let times = 0; times < 4; times++) {
      place.swarmpit.fail("redeploy", { kind: "resolve", digest: first });
    }
    await world.hear("pushed", { digest: second });
    await world.carryOn();
    expect(posts()).toBe(4);
    const [rollout] = await world.ledger.rollouts({}, 1);
    expect(rollout?.value).toMatchObject({ state: "failed", blame: "environment" });
    expect((await world.workload("pit/web")).holds).toEqual([]);
    await world.hear("again", { digest: second });
    await world.carryOn();
    expect(posts()).toBe(5);
    await expectRunning(second);
  });
});

describe("a Swarmpit that resolves the tag to a newer digest than was planned", () => {
  it("has done well: the rollout is judged by what it resolved", async () => {
    const second = world.push();
    let third: Digest | undefined;
    place.way.faults.switchOn({
      does: { kind: "reset" },
      when: ({ method }) => {
        if (method === "POST") third ??= world.push();
        return false;
      },
    });
    await world.hear("pushed", { digest: second });
    if (third === undefined) throw new Error("nothing was posted");
    expect(await place.writes()).toEqual([world.image(third)]);
    await expectRunning(third);
    await world.hear("third", { digest: third });
    await world.carryOn();
    expect(posts()).toBe(1);
    expect((await world.event("third")).verdicts).toMatchObject([{ reason: "already-running" }]);
  });
});

describe("a Swarmpit that loses the pin", () => {
  it("has failed, at once, with what to do, and the next push goes out", async () => {
    const second = world.push();
    place.swarmpit.fail("redeploy", { kind: "resolve", digest: "" });
    await world.hear("pushed", { digest: second });
    await world.carryOn();
    expect(await place.imageOf("web")).toBe(`${world.registry.host}/acme/web:v1`);
    expect(posts()).toBe(1);
    expect(await world.history("pit/web")).toEqual([
      expect.stringMatching(/^failed: the target deployed the tag without a digest.*`kind: swarm`/),
    ]);
    const { deployed, lastGood, holds } = await world.workload("pit/web");
    expect({ deployed, lastGood, holds }).toEqual({ deployed: undefined, lastGood: undefined, holds: [] });
    expect(await world.explain()).toContain("without a digest");

    await world.hear("again", { digest: second });
    await world.carryOn();
    await expectRunning(second);
  });
});

describe("a redeploy without an answer", () => {
  it.each(["lose-answer", "hang"] as const)(
    "is left alone for 20 s, and read before another one is made (%s)",
    async (kind) => {
      const second = world.push();
      if (kind === "lose-answer") place.swarmpit.fail("redeploy", { kind });
      else place.way.faults.switchOn({ does: { kind }, when: ({ method }) => method === "POST", times: 1 });
      await world.hear("pushed", { digest: second });
      const waiting = await open();
      expect(waiting).toMatchObject({ state: "applying", attempts: 1 });
      expect((waiting?.dueMs ?? 0) - world.clock.now()).toBe(20_000);
      expect(await world.explain()).toMatch(
        /no answer whether the write took effect.*reading again before another one; looked at again in 20 s/,
      );
      await world.pass(19_999);
      await world.sweep();
      expect(posts()).toBe(kind === "hang" ? 0 : 1);
      await world.pass(1);
      await world.sweep();
      await world.carryOn();
      expect(posts()).toBe(1);
      expect(await place.writes()).toEqual([world.image(second)]);
      await expectRunning(second);
    },
  );
});

describe("a redeploy that Swarmpit refuses", () => {
  it("fails for OCI content with the advice to use the other kind, and is tried again later", async () => {
    const oci = world.push("v1", { mediaType: mediaTypes.ociManifest });
    await world.hear("pushed", { digest: oci });
    await world.carryOn();
    expect(posts()).toBe(1);
    const [rollout] = await world.ledger.rollouts({}, 1);
    expect(rollout?.value).toMatchObject({ state: "failed", blame: "environment" });
    expect(rollout?.value.reason).toContain("`kind: swarm`");
    expect(await world.explain()).toContain("it cannot read OCI images; use `kind: swarm` for this target");
    expect((await world.workload("pit/web")).holds).toEqual([]);
    expect(await place.writes()).toEqual([]);

    const second = world.push();
    await world.hear("again", { digest: second });
    await world.carryOn();
    await expectRunning(second);
  });

  it("fails with the registry's refusal in Swarmpit's words", async () => {
    const body = JSON.stringify({ error: "No matching registry ( ghcr.io ) linked with Swarmpit" });
    place.swarmpit.fail("redeploy", { kind: "answer", status: 401, body });
    const second = world.push();
    await world.hear("pushed", { digest: second });
    await world.carryOn();
    expect(await world.history("pit/web")).toEqual([
      expect.stringMatching(
        /^failed: the registry refused Swarmpit: No matching registry.*link the registry/,
      ),
    ]);
    expect((await world.workload("pit/web")).holds).toEqual([]);
  });

  it("waits for a role that may write, and says which", async () => {
    place.swarmpit.setRole("admin", "viewer");
    const second = world.push();
    await world.hear("pushed", { digest: second });
    expect(await open()).toMatchObject({ state: "planned", note: expect.stringContaining("role") });
    expect(await world.explain()).toContain("give it the role `user` or `admin` in Swarmpit");
    await world.pass(120_000);
    await world.sweep();
    expect(await place.writes()).toEqual([]);
    place.swarmpit.setRole("admin", "user");
    await world.carryOn();
    expect(await place.writes()).toEqual([world.image(second)]);
    await expectRunning(second);
  });

  it("waits for a token that is valid, and says what to set", async () => {
    place.swarmpit.token();
    const second = world.push();
    await world.hear("pushed", { digest: second });
    expect(await world.event("pushed")).toMatchObject({ state: "waiting", outcome: "target-denied" });
    expect(await world.explain()).toContain("set `token` to a current API token");
    expect(await place.writes()).toEqual([]);
  });

  it("is made again when another write came in between", async () => {
    const second = world.push();
    place.swarmpit.fail("redeploy", { kind: "out-of-sequence" });
    await world.hear("pushed", { digest: second });
    expect(posts()).toBe(2);
    expect(await place.writes()).toEqual([world.image(second)]);
    await expectRunning(second);
  });
});
