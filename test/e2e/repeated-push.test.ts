import { randomBytes } from "node:crypto";
import { afterAll, afterEach, describe, expect, it, onTestFinished } from "vitest";
import { distributionDelivery, dockerhubDelivery, type SampleDelivery } from "../deliveries.ts";
import { startLandfall } from "./landfall.ts";
import { swarm } from "./services.ts";
import { testbed } from "./testbed.ts";

const bed = testbed();
const engine = swarm();
const run = randomBytes(4).toString("hex");
const prefix = `e2e-repeated-${run}-`;
const path = `e2e-repeated/${run}`;
const services = [1, 2, 3].map((number) => ({ name: `${prefix}web-${number}`, replicas: 2 }));
const secret = "the-secret-of-a-repeated-push";
/** Pub/Sub has few deliveries under way at once, and one that names no digest may look again 10 s later. */
const patient = { timeout: 60_000 };

interface Case {
  readonly name: string;
  readonly delivery: (digest: string) => SampleDelivery;
}

const reports: readonly Case[] = [
  {
    name: "the registry, which names the digest",
    delivery: (digest) =>
      distributionDelivery(secret, [{ host: bed.registry, repository: path, tag: "v1", digest }]),
  },
  {
    name: "Docker Hub, which names none",
    delivery: () => dockerhubDelivery(secret, { repository: path, tag: "v1" }),
  },
];

afterEach(() => engine.remove(prefix));
afterAll(async () => {
  await engine.removeImages(`${bed.registry}/${path}`);
  engine.close();
});

describe("a push that is heard more than once", () => {
  it.each(reports)("replaces no task when the digest runs already: $name", async ({ delivery }) => {
    const digest = await push("same");
    await create(digest);
    const before = await taskIds();
    const landfall = await start();

    expect(await push("same")).toBe(digest);
    await landfall.deliver(delivery(digest));
    await expect.poll(async () => (await landfall.events()).length, patient).toBe(1);

    const [event] = await landfall.events();
    const verdicts = event?.verdicts.map(({ workload, kind, reason }) => `${workload} ${kind} ${reason}`);
    expect(verdicts?.toSorted()).toEqual(services.map(({ name }) => `prod/${name} skipped already-running`));
    expect(await landfall.rollouts()).toEqual([]);
    expect(await taskIds()).toEqual(before);
  });

  it.each(reports)(
    "six times at once, then once more, replaces each slot's task once: $name",
    async ({ delivery }) => {
      await create(await push("old"));
      const before = await taskIds();
      const landfall = await start();

      const digest = await push("new");
      await Promise.all(Array.from({ length: 6 }, () => landfall.deliver(delivery(digest))));
      const rollouts = await landfall.ended(services.length);
      await expect.poll(async () => (await landfall.events()).length, patient).toBe(6);

      expect(rollouts.map(({ workload, state }) => `${workload} ${state}`).toSorted()).toEqual(
        services.map(({ name }) => `prod/${name} succeeded`),
      );
      const after = await taskIds();
      expect(after.filter((id) => before.includes(id))).toEqual([]);
      for (const { name, replicas } of services) {
        const tasks = await engine.tasks(name);
        expect(tasks.length, "tasks in the history").toBe(2 * replicas);
        for (const slot of Array.from({ length: replicas }, (_, index) => index + 1)) {
          const images = tasks
            .filter((task) => task.Slot === slot)
            .sort((one, other) => one.CreatedAt.localeCompare(other.CreatedAt))
            .map((task) => task.Spec.ContainerSpec.Image.split("@")[1]);
          expect(images).toEqual([expect.not.stringMatching(digest), digest]);
        }
      }

      expect(await push("new")).toBe(digest);
      await landfall.deliver(delivery(digest));
      await expect.poll(async () => (await landfall.events()).length, patient).toBe(7);
      expect((await landfall.rollouts()).length).toBe(services.length);
      expect(await taskIds()).toEqual(after);
      const outcomes = (await landfall.events()).map(({ outcome }) => outcome).join(", ");
      console.log(`six deliveries: ${rollouts.length} rollouts of ${services.length} services; ${outcomes}`);
    },
  );
});

/** The same content has the same digest. */
function push(content: string) {
  return bed.pushImage(path, "v1", { labels: { content } });
}

async function create(digest: string): Promise<void> {
  const image = `${bed.registry}/${path}:v1@${digest}`;
  await engine.create(services.map((each) => ({ ...each, image, parallelism: 2 })));
}

async function start() {
  const hostAliases = { "docker.io": bed.registry };
  const landfall = await startLandfall({
    config: {
      follow: [`${bed.registry}/${path}`],
      webhooks: [
        { source: "distribution", secrets: [secret] },
        { source: "dockerhub", secrets: [secret], hostAliases },
      ],
      registries: [{ host: bed.registry, plainHttp: true }],
      targets: [{ name: "prod", kind: "swarm", host: bed.dockerHost }],
      defaults: { verify: { timeout: "1m", stableFor: "1s" } },
    },
  });
  onTestFinished(() => landfall.remove());
  return landfall;
}

/** The tasks that are wanted to run. */
async function taskIds(): Promise<readonly string[]> {
  const all = await Promise.all(services.map(({ name }) => engine.tasks(name)));
  const wanted = all.flat().filter((task) => task.DesiredState === "running");
  return wanted.map((task) => task.ID).sort();
}
