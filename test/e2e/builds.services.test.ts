import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import type { Digest } from "../../shared/domain/reference.ts";
import { newBudget } from "../../shared/flows/deps.ts";
import { sweep } from "../../shared/flows/sweep.ts";
import { type MadeImages, makeImages, pushMade, taggedDigest } from "./built-images.ts";
import { type GitHosting, hostGit } from "./git/commits.ts";
import type { GraphRepository } from "./git/repository.ts";
import { type Instances, startInstances } from "./orders.ts";
import { swarm } from "./services.ts";
import { testbed } from "./testbed.ts";

const bed = testbed();
const engine = swarm();
const run = Date.now().toString(36);
const path = `e2e-built-services/${run}`;
const prefix = `e2e-built-${run}-`;
const commits = ["c0", "c1", "c2", "c3", "c4"];
const newest = "c4";
const kinds = ["channel", "commit"] as const;
/** How many messages are handled at once, each by an instance of its own. */
const handlers = 4;
const settledWithinMs = 90_000;

let git: GitHosting;
let repository: GraphRepository;
let images: MadeImages;
let events: Awaited<ReturnType<typeof engine.record>>;

beforeAll(async () => {
  git = await hostGit();
  repository = await git.make({
    name: "line",
    commits: commits.map((name, at) => ({
      name,
      parents: commits.slice(Math.max(0, at - 1), at),
      atS: 1_700_000_000,
    })),
    branches: { main: newest },
  });
  images = await makeImages(`${path}/made`, commits);
  events = await engine.record();
});
afterEach(() => engine.remove(prefix));
afterAll(async () => {
  events.stop();
  engine.close();
  await git.close();
});

it.each([
  { name: "newest first", heard: ["c4", "c3", "c2", "c1"] },
  { name: "newest last", heard: ["c1", "c2", "c3", "c4"] },
  { name: "to and fro", heard: ["c2", "c1", "c4", "c3"] },
])(
  "services of a Docker Swarm only go forward while builds come $name, twice, to several instances",
  async ({ name, heard }) => {
    const image = `${path}/${name.replaceAll(" ", "-")}`;
    const of: `${string}/${string}` = `${bed.registry}/${image}`;
    const service = (kind: (typeof kinds)[number]) => `${prefix}${kind}-${name.replaceAll(" ", "-")}`;
    for (const commit of commits) await pushMade(images.of(commit), image, repository.id(commit));
    await pushMade(images.of("c0"), image, "prod");
    await engine.create([
      { name: service("channel"), image: `${of}:prod@${images.digest("c0")}`, monitorMs: 500 },
      {
        name: service("commit"),
        image: `${of}:${repository.id("c0")}@${images.digest("c0")}`,
        labels: { "landfall.policy": "commit" },
        monitorMs: 500,
      },
    ]);
    const instances = await startInstances(handlers, {
      follow: [of],
      registries: [{ host: bed.registry, plainHttp: true }],
      git: [git.entry],
      images: [
        {
          image: of,
          git: { url: await git.url(repository, `line-${name.replaceAll(" ", "-")}`), branch: "main" },
          channels: [{ tag: "prod" }],
        },
      ],
      targets: [{ name: "swarm", kind: "swarm", host: bed.dockerHost }],
      defaults: { verify: { timeout: "1m", stableFor: "500ms" } },
    });
    try {
      const queue = [...heard, ...heard].map((commit, at) => ({
        messageId: `${commit}-${at}`,
        attempt: 1,
        build: { image: of, tag: repository.id(commit), digest: images.digest(commit) },
      }));
      await Promise.all(
        Array.from({ length: handlers }, async (_, handler) => {
          for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
            await instances.deliver(handler, next);
          }
        }),
      );
      await settled(instances);

      expect(await taggedDigest(image, "prod")).toBe(images.digest(newest));
      const tags = { channel: "prod", commit: repository.id(newest) };
      for (const kind of kinds) {
        expect(await engine.runningImages(service(kind))).toEqual([
          `${of}:${tags[kind]}@${images.digest(newest)}`,
        ]);
        const writes = writesOf(service(kind)).map(images.named);
        expect(writes, service(kind)).toEqual([...new Set(writes)].toSorted());
        expect(writes.at(-1)).toBe(newest);
        expect(commits).toEqual(expect.arrayContaining(writes));
      }
      const accepted = instances.accepted();
      expect(accepted.filter(({ kind }) => kind === "plan").length).toBeGreaterThanOrEqual(kinds.length);
      for (const { kind, to, head } of accepted) {
        expect(commits.indexOf(images.named(to)), `${kind} ${images.named(to)}`).toBeGreaterThanOrEqual(
          commits.indexOf(images.named(head)),
        );
      }
    } finally {
      await instances.close();
      await engine.remove(prefix);
      await engine.removeImages(of);
    }
  },
  180_000,
);

/** Sweeps until no rollout is open. */
async function settled({ ledger, later }: Instances): Promise<void> {
  const { flows, clock } = later(0);
  const deps = await flows();
  const open = async () => (await ledger.workloads()).filter(({ value }) => value.open !== undefined);
  for (const deadline = clock.monotonic() + settledWithinMs; (await open()).length > 0; ) {
    await sweep(deps, newBudget(clock));
    if (clock.monotonic() > deadline) throw new Error(`still open: ${JSON.stringify(await open())}`);
    await clock.sleep(200);
  }
}

/** Digests that Docker was told to bring a service to, in order; what came with its creation is left out. */
function writesOf(service: string): readonly Digest[] {
  return events.events.flatMap(({ service: about, attributes }) => {
    const digest = about === service ? attributes["image.new"]?.split("@")[1] : undefined;
    return digest === undefined ? [] : [digest as Digest];
  });
}
