import { afterEach, describe, expect, it } from "vitest";
import type { ImageOptions } from "../../functions/local/sandbox/registry/image.ts";
import { explainSkip, type SkipReason } from "../../shared/domain/reasons.ts";
import type { PlaceOptions, ServiceOptions } from "./place.ts";
import { type Matrix, matrix } from "./world.ts";

let world: Matrix;
afterEach(() => world.close());

describe.each<PlaceOptions["kind"]>(["swarm", "swarmpit"])(
  "a workload of a %s that a push passes by",
  (kind) => {
    interface Case {
      readonly name: string;
      readonly reason: SkipReason;
      readonly options?: ServiceOptions;
      readonly pushed?: Partial<ImageOptions>;
      /** What it runs, from the image that the push is to replace. */
      readonly runs?: (image: string) => string;
      readonly target?: Partial<PlaceOptions>;
      readonly defaults?: string;
      readonly detail?: string;
      /** What only a kind that shows it can tell. */
      readonly only?: PlaceOptions["kind"];
    }

    const cases: readonly Case[] = [
      {
        name: "its target is in mode observe",
        reason: "observe",
        target: { mode: "observe" },
        detail: "would-roll-out",
      },
      {
        name: "everything is in mode observe",
        reason: "observe",
        defaults: "mode: observe",
        detail: "would-roll-out",
      },
      {
        name: "Swarmpit redeploys it",
        reason: "managed-elsewhere",
        options: { labels: { "swarmpit.service.deployment.autoredeploy": "true" } },
        detail: "swarmpit autoredeploy",
      },
      { name: "it is paused", reason: "paused", options: { labels: { "landfall.pause": "true" } } },
      {
        name: "its label opts out",
        reason: "policy-none",
        options: { labels: { "landfall.policy": "none" } },
      },
      { name: "the default is to follow nothing", reason: "policy-none", defaults: "policy: none" },
      {
        name: "its label names no policy",
        reason: "unsupported-policy",
        options: { labels: { "landfall.policy": "newest" } },
        detail: "is no policy; write `tag`, `none`, `commit`",
      },
      {
        name: "it follows another tag",
        reason: "other-tag",
        runs: (image) => image.replace(":v1@", ":v0@"),
        detail: "it follows v0",
      },
      {
        name: "it names its image by digest alone",
        reason: "digest-pinned",
        runs: (image) => image.replace(":v1@", "@"),
      },
      {
        name: "the image is for other machines",
        reason: "platform-mismatch",
        only: "swarm",
        options: { platforms: [{ OS: "linux", Architecture: "amd64" }] },
        pushed: { platforms: [{ os: "linux", architecture: "arm64" }] },
        detail: "the image is for linux/arm64, the nodes are linux/amd64",
      },
    ];

    it.each(cases.filter(({ only }) => only === undefined || only === kind))(
      "is left as it is, and told why: $name",
      async ({
        reason,
        options = {},
        pushed = {},
        runs = (image) => image,
        target = {},
        defaults,
        detail,
      }) => {
        world = await matrix({
          targets: [{ name: "prod", kind, ...target }],
          ...(defaults === undefined ? {} : { defaults }),
        });
        const first = world.push();
        const place = world.place("prod");
        await place.create("web", runs(world.image(first)), options);
        const second = world.push("v1", pushed);
        await world.hear("pushed", { digest: second });
        await world.carryOn();

        expect(await world.event("pushed")).toMatchObject({
          state: "done",
          outcome: "observed",
          verdicts: [
            {
              workload: "prod/web",
              kind: "skipped",
              reason,
              ...(detail === undefined ? {} : { detail: expect.stringContaining(detail) }),
            },
          ],
        });
        expect(await place.writes()).toEqual([]);
        expect(await place.imageOf("web")).toBe(runs(world.image(first)));
        const text = await world.explain("pushed");
        expect(text).toContain(reason);
        expect(text).toContain(explainSkip(reason).sentence);
        expect(text).toContain(explainSkip(reason).next);
        expect(text).toContain(detail ?? "");
      },
    );

    it("is rolled out to in spite of Swarmpit's autoredeploy where its own label says so", async () => {
      world = await matrix({ targets: [{ name: "prod", kind }] });
      const labels = { "swarmpit.service.deployment.autoredeploy": "true", "landfall.policy": "tag" };
      await world.place("prod").create("web", world.image(world.push()), { labels });
      const second = world.push();
      await world.hear("pushed", { digest: second });
      expect(await world.place("prod").writes()).toEqual([world.image(second)]);
    });
  },
);

describe("a push of a repository that is not followed", () => {
  it("asks neither registry nor target, and tells why", async () => {
    world = await matrix();
    await world.hear("pushed", { repository: "other/web" });
    expect(await world.event("pushed")).toMatchObject({
      state: "done",
      outcome: "not-followed",
      verdicts: [],
    });
    expect(world.toRegistry.passed).toEqual([]);
    expect(world.place().way.passed).toEqual([]);
    expect(await world.explain("pushed")).toContain(
      "not-followed: Its repository is not matched by `follow` in the configuration",
    );
  });
});

describe("an image for one of the platforms of a workload's nodes", () => {
  it("goes out, and the workload is bound to the image's platforms", async () => {
    world = await matrix();
    const platforms = [{ OS: "linux", Architecture: "amd64" }];
    await world.place().create("web", world.image(world.push()), { platforms });
    const second = world.push("v1", {
      platforms: [
        { os: "linux", architecture: "amd64" },
        { os: "linux", architecture: "arm64", variant: "v8" },
      ],
    });
    await world.hear("pushed", { digest: second });
    expect(await world.history("swarm/web")).toEqual(["succeeded: 1 of 1 tasks ran for 15 s"]);
    const { services } = await world.place().swarm.snapshot();
    expect(services[0]?.spec.TaskTemplate.Placement?.Platforms).toEqual([
      { OS: "linux", Architecture: "amd64" },
      { OS: "linux", Architecture: "arm64" },
    ]);
  });
});
