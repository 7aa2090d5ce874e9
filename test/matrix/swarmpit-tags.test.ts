import { afterEach, describe, expect, it } from "vitest";
import { mediaTypes } from "../../functions/local/sandbox/registry/image.ts";
import type { Digest } from "../../shared/domain/reference.ts";
import type { Place, PlaceOptions } from "./place.ts";
import { type Matrix, matrix } from "./world.ts";

let world: Matrix;
let place: Place;
afterEach(() => world.close());

/** A service of a Swarmpit that follows versions and runs v1.2.0. */
async function begin(quirks: NonNullable<PlaceOptions["quirks"]> = {}): Promise<Digest> {
  world = await matrix({ targets: [{ name: "pit", kind: "swarmpit", quirks }] });
  place = world.place("pit");
  const first = world.push("v1.2.0");
  const labels = { "landfall.policy": "semver:^1" };
  await place.create("web", world.image(first, "v1.2.0"), { labels });
  return first;
}

const redeploys = () => place.way.passed.filter((call) => call.startsWith("POST "));
const hear = (event: string, digest: Digest, tag = "v1.3.0") => world.hear(event, { tag, digest });

async function expectRunning(digest: Digest, tag = "v1.3.0"): Promise<void> {
  expect(await place.running()).toEqual([world.image(digest, tag)]);
  expect((await world.history("pit/web")).at(-1)).toBe("succeeded: 1 of 1 tasks ran for 15 s");
  const { deployed, holds } = await world.workload("pit/web");
  expect({ deployed, holds }).toEqual({ deployed: { web: digest }, holds: [] });
}

describe("a redeploy to another tag without an answer", () => {
  it("was made: nothing is written for 20 s, and then not once more", async () => {
    await begin();
    const second = world.push("v1.3.0");
    place.swarmpit.fail("redeploy", { kind: "lose-answer" });
    await hear("pushed", second);
    expect((await world.workload("pit/web")).open).toMatchObject({ state: "applying" });
    await world.pass(19_999);
    await world.sweep();
    expect((await world.workload("pit/web")).open).toMatchObject({ state: "applying" });
    await world.carryOn();
    expect(redeploys()).toEqual([expect.stringMatching(/\/redeploy\?tag=v1\.3\.0$/)]);
    await expectRunning(second);
  });

  it("was not made: it is made after 20 s", async () => {
    await begin();
    const second = world.push("v1.3.0");
    const does = { kind: "hang" } as const;
    place.way.faults.switchOn({ does, when: ({ method }) => method === "POST", times: 1 });
    await hear("pushed", second);
    await world.pass(19_999);
    await world.sweep();
    expect(redeploys()).toEqual([]);
    await world.carryOn();
    expect(redeploys()).toHaveLength(1);
    await expectRunning(second);
  });

  it.each(["v1.2.0", "v1.3.0"])(
    "was made with a newer digest of %s than was planned: not made once more",
    async (tag) => {
      await begin();
      const planned = world.push(tag);
      let newer: Digest | undefined;
      place.swarmpit.fail("redeploy", { kind: "lose-answer" });
      place.way.faults.switchOn({
        does: { kind: "reset" },
        when: ({ method }) => {
          if (method === "POST") newer ??= world.push(tag);
          return false;
        },
      });
      await hear("pushed", planned, tag);
      await world.carryOn();
      if (newer === undefined) throw new Error("nothing was posted");
      expect(redeploys()).toHaveLength(1);
      await expectRunning(newer, tag);
      await hear("newer", newer, tag);
      await world.carryOn();
      expect(redeploys()).toHaveLength(1);
      expect((await world.event("newer")).verdicts).toMatchObject([{ reason: "already-running" }]);
    },
  );

  it("was made, and a person went on from there: that is left alone", async () => {
    await begin();
    const second = world.push("v1.3.0");
    place.swarmpit.fail("redeploy", { kind: "lose-answer" });
    await hear("pushed", second);
    const later = world.image(world.push("v1.4.0"), "v1.4.0");
    await place.change("web", (spec) => ({
      ...spec,
      TaskTemplate: { ...spec.TaskTemplate, ContainerSpec: { Image: later } },
    }));
    await world.carryOn();
    expect(redeploys()).toHaveLength(1);
    expect(await place.running()).toEqual([later]);
    expect(await world.history("pit/web")).toEqual(["superseded: older: it runs v1.4.0"]);
  });
});

describe("another tag that Swarmpit", () => {
  it("resolves to an older digest is asked for again", async () => {
    const first = await begin();
    const second = world.push("v1.3.0");
    place.swarmpit.fail("redeploy", { kind: "resolve", digest: first });
    await hear("pushed", second);
    expect((await world.workload("pit/web")).open).toMatchObject({ state: "planned", lagged: 1 });
    await world.carryOn();
    expect(await place.writes()).toEqual([world.image(first, "v1.3.0"), world.image(second, "v1.3.0")]);
    await expectRunning(second);
  });

  it("deploys without a digest has failed, once", async () => {
    await begin();
    place.swarmpit.fail("redeploy", { kind: "resolve", digest: "" });
    await hear("pushed", world.push("v1.3.0"));
    await world.carryOn();
    expect(redeploys()).toHaveLength(1);
    expect(await world.history("pit/web")).toEqual([
      expect.stringMatching(/^failed: .*without a digest.*`kind: swarm`/),
    ]);
  });

  it("cannot read is refused with advice, and a later version goes out", async () => {
    const first = await begin();
    await hear("oci", world.push("v1.3.0", { mediaType: mediaTypes.ociManifest }));
    await world.carryOn();
    expect(await world.history("pit/web")).toEqual([
      expect.stringMatching(/^failed: Swarmpit finds no Docker-type manifest for the tag.*`kind: swarm`/),
    ]);
    expect(await place.running()).toEqual([world.image(first, "v1.2.0")]);
    const next = world.push("v1.3.1");
    await hear("next", next, "v1.3.1");
    await world.carryOn();
    await expectRunning(next, "v1.3.1");
  });

  it("is too old for is not asked for, and the way out is told", async () => {
    const first = await begin({ ignoresTagQuery: true });
    await hear("pushed", world.push("v1.3.0"));
    await world.carryOn();
    expect(redeploys()).toEqual([]);
    expect(await place.running()).toEqual([world.image(first, "v1.2.0")]);
    expect(await world.explain("pushed")).toContain("Swarmpit 1.8 redeploys no other tag");
  });

  it("is too old for, and hides its age, has failed: the service kept its tag", async () => {
    const first = await begin({ ignoresTagQuery: true });
    place.way.faults.switchOn({
      does: { kind: "status", status: 404 },
      when: ({ path }) => path === "/version",
    });
    await hear("pushed", world.push("v1.3.0"));
    await world.carryOn();
    expect(redeploys()).toHaveLength(1);
    expect(await place.running()).toEqual([world.image(first, "v1.2.0")]);
    expect(await world.history("pit/web")).toEqual([
      "failed: the target took the update and left the tag at v1.2.0",
    ]);
  });

  it("is asked for while somebody else writes is decided anew", async () => {
    await begin();
    const second = world.push("v1.3.0");
    place.swarmpit.fail("redeploy", { kind: "out-of-sequence" });
    await hear("pushed", second);
    await world.carryOn();
    expect(redeploys()).toHaveLength(2);
    expect(await place.writes()).toEqual([world.image(second, "v1.3.0")]);
    await expectRunning(second);
  });
});
