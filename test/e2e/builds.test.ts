import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import type { Digest } from "../../shared/domain/reference.ts";
import { distributionDelivery } from "../deliveries.ts";
import { firestoreProject } from "../emulators/firestore-emulator.ts";
import { pubsubProject } from "../emulators/pubsub-emulator.ts";
import { taggedDigest } from "./built-images.ts";
import { type GitHosting, hostGit } from "./git/commits.ts";
import type { GraphRepository } from "./git/repository.ts";
import { hearPushes, type Landfall, notifySecret, startLandfall } from "./landfall.ts";
import { runProgram } from "./program.ts";
import { registryLog } from "./registry-log.ts";
import { swarm } from "./services.ts";
import { testbed } from "./testbed.ts";

const bed = testbed();
const engine = swarm();
const run = Date.now().toString(36);
const prefix = "e2e-builds-";
const secret = "a-secret-of-a-test-that-is-long-enough";
const patient = { timeout: 60_000, interval: 50 };
const commits = ["c0", "c1", "c2", "c3", "c4"];

let git: GitHosting;
let repository: GraphRepository;
beforeAll(async () => {
  git = await hostGit();
  repository = await git.make({
    name: "line",
    commits: commits.map((name, at) => ({
      name,
      parents: commits.slice(Math.max(0, at - 1), at),
      atS: 1_700_000_000,
    })),
    branches: { main: "c4" },
  });
});
afterEach(() => engine.remove(prefix));
afterAll(async () => {
  await git.close();
  engine.close();
});

/** Where a Landfall keeps its ledger, and what its messages travel by. */
interface Store {
  readonly name: string;
  readonly start: (config: object) => Promise<Landfall>;
}
const embedded: Store = {
  name: "in the embedded ledger",
  start: (config) => startLandfall({ config }),
};
const google: Store = {
  name: "in Firestore, with Pub/Sub that pushes to the builds function",
  async start(config) {
    const [firestore, pubsub] = [firestoreProject(), pubsubProject()];
    const landfall = await startLandfall({
      config,
      env: {
        LANDFALL_BUS: `pubsub:projects/${pubsub.project}/topics/landfall`,
        FIRESTORE_EMULATOR_HOST: firestore.host,
        PUBSUB_EMULATOR_HOST: pubsub.host,
        METADATA_SERVER_DETECTION: "none",
      },
      ledger: { setting: `firestore:${firestore.project}`, open: () => firestore.ledger() },
    });
    for (const id of ["landfall", "landfall-commands"]) {
      const pushEndpoint = `${landfall.url}/events`;
      await pubsub.createTopic(id, { pushEndpoint, ackDeadlineSeconds: 600, maxDeliveryAttempts: 50 });
    }
    return landfall;
  },
};

interface PlaceOptions {
  readonly name: string;
  readonly store?: Store;
  readonly webhook?: object;
}

/** An image whose commits have an order, with a channel `prod`, and a Landfall that deploys it to the Swarm. */
async function place({ name, store = embedded, webhook }: PlaceOptions) {
  const path = `e2e-builds/${run}-${name}`;
  const image: `${string}/${string}` = `${bed.registry}/${path}`;
  const landfall = await store.start({
    follow: [image],
    webhooks: webhook === undefined ? [] : [webhook],
    registries: [{ host: bed.registry, plainHttp: true }],
    git: [git.entry],
    images: [
      {
        image,
        git: { url: await git.url(repository, `line-${name}`), branch: "main" },
        channels: [{ tag: "prod" }],
      },
    ],
    targets: [{ name: "swarm", kind: "swarm", host: bed.dockerHost }],
    defaults: { verify: { timeout: "1m", stableFor: "500ms" } },
  });
  onTestFinished(async () => {
    await landfall.remove();
    await engine.remove(`${prefix}${run}-${name}`);
    await engine.removeImages(image);
  });
  const here = {
    path,
    image,
    landfall,
    service: (of: string) => `${prefix}${run}-${name}-${of}`,
    push: (commit: string, more: Readonly<Record<string, string>> = {}): Promise<Digest> =>
      bed.pushImage(path, repository.id(commit), { labels: { commit, path, ...more } }),
    /** `landfall` of the command line, on the same machine; what it prints. */
    cli: (...words: readonly string[]) => runProgram(words, landfall.env),
    /** Publishes a build as CI does; the id of its event. */
    async publish(commit: string): Promise<string> {
      const printed = await here.cli("publish", `${image}:${repository.id(commit)}`, "--json");
      return (JSON.parse(printed) as { readonly event: string }).event;
    },
    async outcome(event: string, outcome: string): Promise<void> {
      await vi.waitFor(async () => {
        const stored = (await landfall.ledger.get("events", event))?.value;
        expect([stored?.state, stored?.outcome], event).toEqual(["done", outcome]);
      }, patient);
    },
    channel: async () => (await landfall.ledger.get("images", image))?.value.channels.prod,
    /** What Docker was told that the service is to run. */
    spec: async (of: string): Promise<string> => {
      const { Spec } = (await bed.inspectService(here.service(of))) as {
        readonly Spec: { readonly TaskTemplate: { readonly ContainerSpec: { readonly Image: string } } };
      };
      return Spec.TaskTemplate.ContainerSpec.Image;
    },
    async runs(of: string, reference: string): Promise<void> {
      await vi.waitFor(async () => {
        expect(await here.spec(of)).toBe(`${image}:${reference}`);
        expect(await engine.runningImages(here.service(of))).toEqual([`${image}:${reference}`]);
        const id = `swarm/${here.service(of)}` as const;
        expect((await landfall.ledger.get("workloads", id))?.value.open).toBeUndefined();
      }, patient);
    },
    create: (of: string, reference: string, labels: Readonly<Record<string, string>> = {}) =>
      engine.create([{ name: here.service(of), image: `${image}:${reference}`, labels, monitorMs: 500 }]),
  };
  return here;
}

describe("builds that CI publishes", () => {
  it.each([embedded, google])("last one first, $name: what runs is the newest", async (store) => {
    const here = await place({ name: store === embedded ? "order" : "google", store });
    const old = await here.push("c0");
    await bed.pushImage(here.path, "prod", { labels: { commit: "c0", path: here.path } });
    await here.create("prod", `prod@${old}`);
    await here.create("commit", `${repository.id("c0")}@${old}`, { "landfall.policy": "commit" });
    for (const commit of ["c1", "c2"]) await here.push(commit);
    const newest = await here.push("c3");
    const log = await registryLog();
    const asked = git.seen.length;

    const publishingMs = Date.now();
    const third = await here.publish("c3");
    const publishedMs = Date.now();
    // One that is judged at the same time may be the head for a moment.
    await here.outcome(third, "head");
    const [first, second] = [await here.publish("c1"), await here.publish("c2")];
    await here.outcome(first, "superseded");
    await here.outcome(second, "superseded");
    await here.runs("prod", `prod@${newest}`);
    await here.runs("commit", `${repository.id("c3")}@${newest}`);

    expect(await taggedDigest(here.path, "prod")).toBe(newest);
    expect(await here.channel()).toMatchObject({ promoted: { commit: repository.id("c3"), digest: newest } });
    const rollouts = await here.landfall.ended(2);
    expect(rollouts.map(({ state, seq, cause }) => [state, seq, cause])).toEqual(
      rollouts.map(() => ["succeeded", 1, { kind: "build", event: third }]),
    );
    expect(rollouts).toHaveLength(2);
    const calls = (await log.calls()).filter(
      ({ repository: of, agent }) => of === here.path && agent.startsWith("landfall/"),
    );
    expect(calls.filter(({ method }) => method === "PUT")).toMatchObject([
      { reference: "prod", status: 201 },
    ]);
    const { heardMs = 0 } = (await here.landfall.ledger.get("events", third))?.value ?? {};
    const { promotedMs = 0 } = (await here.channel()) ?? {};
    const times = rollouts.map(({ times: { accepted = 0, finished = 0 } }) => ({ accepted, finished }));
    const since = {
      heard: heardMs,
      promoted: promotedMs,
      accepted: Math.max(...times.map(({ accepted }) => accepted)),
      proven: Math.max(...times.map(({ finished }) => finished)),
    };
    const steps = Object.entries(since).map(([step, timeMs]) => `${step} +${timeMs - publishedMs}`);
    process.stdout.write(
      `      ${store.name}: landfall publish ${publishedMs - publishingMs} ms; since then, ms: ${steps.join(", ")}; ` +
        `${git.seen.length - asked} requests to git, ${calls.length} to the registry for three builds\n`,
    );
  });

  it("once more for a commit that runs bring its new image to it", async () => {
    const here = await place({ name: "rebuild" });
    const first = await here.push("c1");
    await bed.pushImage(here.path, "prod", { labels: { commit: "c0" } });
    await here.create("commit", `${repository.id("c1")}@${first}`, { "landfall.policy": "commit" });
    await here.outcome(await here.publish("c1"), "head");
    await here.outcome(await here.publish("c1"), "current");
    const again = await here.push("c1", { build: "2" });
    await here.outcome(await here.publish("c1"), "rebuild");
    await here.runs("commit", `${repository.id("c1")}@${again}`);
    expect(await taggedDigest(here.path, "prod")).toBe(again);
    expect(await here.landfall.ended(1)).toMatchObject([{ state: "succeeded", seq: 1 }]);
  });

  it("wait while the git host is down, and are ordered when it is back", async () => {
    const here = await place({ name: "down" });
    await here.push("c0");
    await here.outcome(await here.publish("c0"), "head");
    await here.push("c1");
    const newest = await here.push("c2");
    const before = await taggedDigest(here.path, "prod");

    await git.goDown();
    const events = [await here.publish("c2"), await here.publish("c1")];
    try {
      for (const event of events) {
        await vi.waitFor(async () => {
          const stored = (await here.landfall.ledger.get("events", event))?.value;
          expect([stored?.state, stored?.outcome]).toEqual(["waiting", "history-unavailable"]);
        }, patient);
      }
      expect(await here.cli("explain", events[0] ?? "")).toContain("git");
      expect(await taggedDigest(here.path, "prod")).toBe(before);
    } finally {
      await git.comeBack();
    }
    const backMs = Date.now();
    await vi.waitFor(async () => {
      const stored = await Promise.all(events.map((event) => here.landfall.ledger.get("events", event)));
      expect(stored.map((event) => event?.value.state)).toEqual(["done", "done"]);
    }, patient);
    await vi.waitFor(async () => expect(await taggedDigest(here.path, "prod")).toBe(newest), patient);
    process.stdout.write(`      ordered ${Date.now() - backMs} ms after git was back\n`);
  });
});

describe("the channel's tag", () => {
  it("is Landfall's: its own pushes are known, another's is a conflict that a person decides", async () => {
    const webhook = { source: "distribution", secrets: [notifySecret()] };
    const here = await place({ name: "channel", webhook });
    await hearPushes(here.landfall);
    const { landfall, path, image } = here;
    const foreign = (name: string) => bed.pushImage(path, "prod", { labels: { foreign: name, path } });
    const heard = async (digest: Digest, outcome: string) =>
      vi.waitFor(async () => {
        const events = (await landfall.events()).filter(({ push }) => push?.tag === "prod");
        const found = events.find(({ push }) => push?.digest === digest);
        expect([found?.state, found?.outcome], landfall.log()).toEqual(["done", outcome]);
      }, patient);
    const old = await foreign("before Landfall came");
    await heard(old, "not-promoted");
    await here.create("web", `prod@${old}`);

    // The registry itself tells of the image that CI has pushed, and of what Landfall makes of it.
    const first = await here.push("c1");
    await here.runs("web", `prod@${first}`);
    await heard(first, "own-promotion");

    const theirs = await foreign("somebody else's");
    await heard(theirs, "conflict");
    const second = await here.push("c2");
    await vi.waitFor(async () => {
      expect((await landfall.ledger.get("images", image))?.value.head?.digest).toBe(second);
    }, patient);
    expect(await taggedDigest(path, "prod")).toBe(theirs);
    expect((await here.channel())?.conflict).toMatchObject({ found: theirs });
    expect(await here.spec("web")).toBe(`${image}:prod@${first}`);
    expect(await landfall.ended(1)).toHaveLength(1);

    await here.cli("promote", image, "prod", "--adopt", "--wait", "--timeout", "60s");
    await here.runs("web", `prod@${theirs}`);
    expect((await here.channel())?.conflict).toBeUndefined();
    expect(await taggedDigest(path, "prod")).toBe(theirs);
    const third = await here.push("c3");
    await here.runs("web", `prod@${third}`);

    const again = await foreign("somebody else's once more");
    await heard(again, "conflict");
    await here.cli("promote", image, "prod", "--restore", "--wait", "--timeout", "60s");
    expect(await taggedDigest(path, "prod")).toBe(third);
    expect((await here.channel())?.conflict).toBeUndefined();
    expect(await here.spec("web")).toBe(`${image}:prod@${third}`);
    expect(await landfall.ended(3)).toHaveLength(3);
  });
});

describe("a service that follows versions", () => {
  it("goes up within its range, never out of it, and never down", async () => {
    const webhook = { source: "distribution", secrets: [secret] };
    const here = await place({ name: "semver", webhook });
    const { landfall, path } = here;
    const push = async (version: string) => {
      const digest = await bed.pushImage(path, version, { labels: { version, path } });
      const pushed = { host: bed.registry, repository: path, tag: version, digest };
      return { digest, event: await landfall.deliver(distributionDelivery(secret, [pushed])) };
    };
    const old = await bed.pushImage(path, "1.0.0", { labels: { version: "1.0.0", path } });
    await here.create("versions", `1.0.0@${old}`, { "landfall.policy": "semver:^1" });
    const newer = await push("1.1.0");
    await here.runs("versions", `1.1.0@${newer.digest}`);
    for (const version of ["2.0.0", "1.0.5"]) {
      const { event } = await push(version);
      await here.outcome(event, "observed");
      const verdicts = (await landfall.ledger.get("events", event))?.value.verdicts;
      expect(verdicts).toMatchObject([{ workload: `swarm/${here.service("versions")}`, kind: "skipped" }]);
    }
    expect(await here.spec("versions")).toBe(`${here.image}:1.1.0@${newer.digest}`);
    expect(await landfall.ended(1)).toHaveLength(1);
  });
});
