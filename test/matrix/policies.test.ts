import { afterEach, describe, expect, it, onTestFinished } from "vitest";
import type { SkipReason } from "../../shared/domain/reasons.ts";
import type { Digest } from "../../shared/domain/reference.ts";
import { logLinear } from "../contracts/history-graphs.ts";
import { memoryGraph } from "../doubles/commit-graph.ts";
import { gitServer } from "../doubles/git-server.ts";
import type { Place, PlaceOptions } from "./place.ts";
import { type Matrix, type MatrixOptions, matrix } from "./world.ts";
// Loaded before time stands still: the world does not wait for a module, and its deadlines would pass.
import "../../shared/history/git/git.ts";

/** A service, what it runs at first, and its labels without their `landfall.`. */
interface Service {
  readonly runs: string;
  readonly labels?: Readonly<Record<string, string>>;
}

let world: Matrix;
let place: Place;
const digests = new Map<string, Digest>();
afterEach(async () => {
  await world.close();
  digests.clear();
});

describe.each<PlaceOptions["kind"]>(["swarm", "swarmpit"])("services of a %s", (kind) => {
  async function start(services: Readonly<Record<string, Service>>, options: MatrixOptions = {}) {
    world = await matrix({ targets: [{ name: "prod", kind }], ...options });
    place = world.place("prod");
    for (const [name, { runs, labels = {} }] of Object.entries(services)) {
      if (!digests.has(runs)) push(runs);
      const own = Object.entries(labels).map(([label, value]) => [`landfall.${label}`, value]);
      await place.create(name, image(runs), { labels: Object.fromEntries(own) });
    }
  }

  function push(tag: string): Digest {
    const digest = world.push(tag);
    digests.set(tag, digest);
    return digest;
  }

  function digestOf(tag: string): Digest {
    const digest = digests.get(tag);
    if (digest === undefined) throw new Error(`${tag} was not pushed`);
    return digest;
  }
  const image = (tag: string) => world.image(digestOf(tag), tag);

  async function hear(...tags: readonly string[]): Promise<void> {
    for (const tag of tags) await world.publish(tag, { tag, digest: digestOf(tag) });
    await world.rest();
    await world.carryOn();
  }

  /** Why a service was passed by. */
  async function skipped(event: string, service: string) {
    const { verdicts } = await world.event(event);
    const { reason, detail } = verdicts.find(({ workload }) => workload === `prod/${service}`) ?? {};
    return { reason, detail };
  }

  interface Case extends Service {
    readonly name: string;
    readonly reason: SkipReason;
    readonly detail?: string | RegExp;
  }

  const passedBy: readonly Case[] = [
    { name: "by-tag", runs: "v1.2.0", reason: "other-tag", detail: "it follows v1.2.0" },
    {
      name: "narrow",
      runs: "v1.2.0",
      labels: { policy: "semver:~1.2" },
      reason: "other-tag",
      detail: "v1.3.0 is not in the range ~1.2",
    },
    {
      name: "ahead",
      runs: "v1.4.0",
      labels: { policy: "semver:^1.2" },
      reason: "older",
      detail: "it runs v1.4.0",
    },
    {
      name: "moving",
      runs: "latest",
      labels: { policy: "semver:^1.2" },
      reason: "unordered",
      detail: /^it runs latest, which is not a whole version/,
    },
    { name: "dirty", runs: "v1.2.0-dirty", labels: { policy: "semver:^1.2" }, reason: "dirty" },
    {
      name: "builds",
      runs: "v1.2.0",
      labels: { policy: "pattern:build-(?<number>\\d+)" },
      reason: "other-tag",
      detail: "v1.3.0 is not matched by the pattern with a number in its group",
    },
    {
      name: "commits",
      runs: "v1.2.0",
      labels: { policy: "commit" },
      reason: "other-tag",
      detail: /^it follows the newest commit, and its image has no `git`/,
    },
    { name: "none", runs: "v1.2.0", labels: { policy: "none" }, reason: "policy-none" },
    {
      name: "comma",
      runs: "v1.2.0",
      labels: { policy: "semver:>=1.2,<2" },
      reason: "unsupported-policy",
      detail: /^landfall\.policy has a range that .*space/,
    },
    {
      name: "bare",
      runs: "v1.2.0",
      labels: { policy: "^1.2" },
      reason: "unsupported-policy",
      detail: "landfall.policy seems to be a range; write `semver:` before it",
    },
    {
      name: "unnamed",
      runs: "v1.2.0",
      labels: { policy: "semver:^1.2", "policy.unnamed": "pattern:v(\\d+).*" },
      reason: "unsupported-policy",
      detail: /^landfall\.policy\.unnamed has no group that orders tags/,
    },
  ];

  it("move to a version that their range has, and others do not and are told why", async () => {
    const moved: Readonly<Record<string, Service>> = {
      caret: { runs: "v1.2.0", labels: { policy: "semver:^1.2" } },
      every: { runs: "1.2.1_3f2c1d0", labels: { policy: "semver" } },
      own: { runs: "v1.2.0", labels: { policy: "none", "policy.own": "semver:1.x" } },
    };
    await start({ ...moved, ...Object.fromEntries(passedBy.map((each) => [each.name, each])) });
    push("v1.3.0");
    await hear("v1.3.0");

    for (const name of Object.keys(moved)) {
      expect([name, await place.imageOf(name)]).toEqual([name, image("v1.3.0")]);
      expect(await world.history(`prod/${name}`)).toEqual(["succeeded: 1 of 1 tasks ran for 15 s"]);
    }
    expect(await place.writes()).toHaveLength(3);
    for (const { name, runs, reason, detail } of passedBy) {
      expect([name, await place.imageOf(name)]).toEqual([name, image(runs)]);
      const told = await skipped("v1.3.0", name);
      expect([name, told.reason]).toEqual([name, reason]);
      if (detail !== undefined) expect(told.detail).toMatch(detail);
    }
    expect(await world.explain("v1.3.0")).toContain("seems to be a range; write `semver:` before it");
  });

  it("move to a pre-release only if their range names one, and never to a tag of work in progress", async () => {
    await start({
      stable: { runs: "v1.2.0", labels: { policy: "semver:^1.2" } },
      early: { runs: "v1.2.0", labels: { policy: "semver:^1.2 || >=1.3.0-0" } },
    });
    push("v1.3.0-rc.1");
    push("v1.3.0-dirty");
    await hear("v1.3.0-rc.1", "v1.3.0-dirty");
    expect(await place.imageOf("stable")).toBe(image("v1.2.0"));
    expect(await place.imageOf("early")).toBe(image("v1.3.0-rc.1"));
    for (const name of ["stable", "early"]) {
      expect(await skipped("v1.3.0-dirty", name)).toEqual({
        reason: "other-tag",
        detail: "v1.3.0-dirty says of itself that it is work in progress",
      });
    }
    push("v1.3.0");
    await hear("v1.3.0");
    expect(await place.running()).toEqual([image("v1.3.0"), image("v1.3.0")]);
  });

  it("move by the number that their pattern names, and not by the text around it", async () => {
    const policy = "pattern:(?:build|rc)-(?<number>\\d+)";
    await start({ web: { runs: "build-9", labels: { policy } } });
    for (const tag of ["rc-10", "build-8", "build-11-dirty", "build-12x"]) push(tag);
    await hear("rc-10", "build-8", "build-11-dirty", "build-12x");
    expect(await place.writes()).toEqual([image("rc-10")]);
    expect(["older", "superseded"]).toContain((await skipped("build-8", "web")).reason);
  });

  it.each([
    ["v1.2.1", "v1.3.0", "v1.2.9"],
    ["v1.3.0", "v1.2.9", "v1.2.1"],
    ["v1.2.9", "v1.2.1", "v1.3.0"],
  ])("end at the highest version however pushes of several arrive: %s, %s, %s", async (...tags) => {
    await start({ web: { runs: "v1.2.0", labels: { policy: "semver:^1.2" } } });
    for (const tag of tags) push(tag);
    await hear(...tags);
    expect(await place.running()).toEqual([image("v1.3.0")]);
    expect((await world.workload("prod/web")).deployed).toEqual({ web: digestOf("v1.3.0") });
    const writes = (await place.writes()).map((each) => /:(v[^@]+)@/.exec(each)?.[1] ?? "");
    expect(writes).toEqual(writes.toSorted());
    await world.hear("late", { tag: "v1.2.9" });
    expect(await skipped("late", "web")).toEqual({ reason: "older", detail: "it runs v1.3.0" });
  });

  it("take another digest of the version that they run, and are not restarted for one that they run", async () => {
    await start({ web: { runs: "v1.2.0", labels: { policy: "semver" } } });
    push("v1.2.0");
    await hear("v1.2.0");
    expect(await place.running()).toEqual([image("v1.2.0")]);
    world.registry.push("acme/web", "v1.3.0", { content: "push 2" });
    await world.hear("v1.3.0", { tag: "v1.3.0" });
    expect(await skipped("v1.3.0", "web")).toEqual({ reason: "already-running" });
    push("v1.2.9");
    await hear("v1.2.9");
    expect(await place.writes()).toEqual([image("v1.2.0")]);
    expect(await skipped("v1.2.9", "web")).toEqual({
      reason: "superseded",
      detail: "it is to run v1.3.0, which is higher",
    });
  });

  it("are measured by the older version that a person put back, not by the one that they had", async () => {
    await start({ web: { runs: "v1.2.0", labels: { policy: "semver" } } });
    push("v1.3.0");
    await hear("v1.3.0");
    await place.change("web", (spec) => ({
      ...spec,
      TaskTemplate: { ...spec.TaskTemplate, ContainerSpec: { Image: image("v1.2.0") } },
    }));
    await world.hear("again", { tag: "v1.3.0", digest: digestOf("v1.3.0") });
    expect((await skipped("again", "web")).reason).toBe("changed-outside");
    push("v1.2.9");
    await hear("v1.2.9");
    expect(await place.running()).toEqual([image("v1.2.9")]);
  });

  it("follow their label before their image's entry, and that before the defaults", async () => {
    const services = {
      label: { runs: "v1.2.0", labels: { policy: "semver:^1" } },
      entry: { runs: "v1.2.0" },
    };
    const more = (repository: string) => `images: [{ image: "${repository}", policy: "semver:~1.2" }]`;
    await start(services, { defaults: "policy: none", more });
    push("v1.2.1");
    push("v1.3.0");
    await hear("v1.2.1", "v1.3.0");
    expect(await place.imageOf("label")).toBe(image("v1.3.0"));
    expect(await place.imageOf("entry")).toBe(image("v1.2.1"));
  });

  it.each([
    { defaults: "policy: none", reason: "policy-none" },
    { defaults: "policy: 'semver:~1.2'", reason: "other-tag" },
  ])("follow the defaults ($defaults) where neither says anything", async ({ defaults, reason }) => {
    await start(
      { label: { runs: "v1.2.0", labels: { policy: "semver:^1" } }, plain: { runs: "v1.2.0" } },
      { defaults },
    );
    push("v1.3.0");
    await hear("v1.3.0");
    expect(await place.imageOf("label")).toBe(image("v1.3.0"));
    expect((await skipped("v1.3.0", "plain")).reason).toBe(reason);
  });

  it("move with commits and with their channel, which older and unordered builds do not move", async () => {
    const graph = memoryGraph(logLinear);
    const server = await gitServer();
    onTestFinished(() => server.close());
    server.add("web", graph);
    const [c2, c3, c5] = [graph.id("c2"), graph.id("c3"), graph.id("c5")];
    await start(
      {
        newest: { runs: graph.id("c1"), labels: { policy: "commit" } },
        channel: { runs: "prod", labels: { policy: "semver" } },
        version: { runs: "v1.2.0", labels: { policy: "semver" } },
        "by-tag": { runs: graph.id("c1"), labels: { policy: "tag" } },
      },
      {
        more: (repository) => `
git: [{ host: git.example, kind: git, url: "${server.origin}", plainHttp: true }]
images:
  - image: "${repository}"
    git: { url: "https://git.example/web", branch: main }
    channels: [{ tag: prod }]
`,
      },
    );
    for (const commit of [c2, c3, c5]) push(commit);
    await hear(c3);
    await hear(c2);
    expect(await place.imageOf("newest")).toBe(image(c3));
    expect(await place.imageOf("channel")).toBe(world.image(digestOf(c3), "prod"));
    expect(await place.writes()).toHaveLength(2);
    expect(await world.event(c2)).toMatchObject({ outcome: "superseded" });
    await hear(c5);
    expect(await world.event(c5)).toMatchObject({ outcome: "held-back" });
    expect(await place.writes()).toHaveLength(2);
    expect(await skipped(c3, "by-tag")).toMatchObject({ reason: "other-tag" });
    expect(await skipped(c3, "version")).toMatchObject({ reason: "other-tag" });
    await hear("prod", "v1.2.0");
    expect(await place.writes()).toHaveLength(2);
  });
});
