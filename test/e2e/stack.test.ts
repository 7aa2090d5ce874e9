import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, it, onTestFinished } from "vitest";
import type { Digest } from "../../shared/domain/reference.ts";
import type { Platform } from "../../shared/domain/workload.ts";
import { distributionDelivery } from "../deliveries.ts";
import { startLandfall } from "./landfall.ts";
import { swarm } from "./services.ts";
import { testbed } from "./testbed.ts";

const bed = testbed();
const engine = swarm();
const stack = "e2e-stack";
const service = `${stack}_web`;
const path = `e2e-stack/${Date.now().toString(36)}`;
const repository = `${bed.registry}/${path}`;
const secret = "the-secret-of-a-stack";

interface Case {
  readonly name: string;
  readonly tag: string;
  /** Those of the index; absent: an image without one. */
  readonly platforms?: readonly Platform[];
}

afterEach(() => bed.docker("stack", "rm", "--detach=true", stack));
afterAll(async () => {
  await engine.removeImages(repository);
  engine.close();
});

describe("docker stack deploy of the same file after a rollout", () => {
  it.each<Case>([
    { name: "a single image", tag: "single" },
    {
      name: "an index",
      tag: "index",
      platforms: [
        { os: "linux", architecture: "amd64" },
        { os: "linux", architecture: "arm64", variant: "v8" },
      ],
    },
  ])("starts no task, and the next push is rolled out as before: $name", async ({ tag, platforms }) => {
    const push = (content: string): Promise<Digest> => {
      const behaviour = { labels: { content: `${path} ${content}` } };
      return platforms === undefined
        ? bed.pushImage(path, tag, behaviour)
        : bed.pushIndex(path, tag, platforms, behaviour);
    };
    const images = () => engine.runningImages(service);
    await push("first");
    const deploy = await stackOf(`${repository}:${tag}`);
    await deploy();
    await expect.poll(running, { timeout: 30_000 }).toHaveLength(2);
    const landfall = await start();
    const pushAndReport = async (content: string) => {
      const digest = await push(content);
      const report = { host: bed.registry, repository: path, tag, digest };
      await landfall.deliver(distributionDelivery(secret, [report]));
      return digest;
    };

    const second = await pushAndReport("second");
    expect(await landfall.ended(1)).toMatchObject([{ state: "succeeded" }]);
    const before = await running();
    const template = await taskTemplate();
    await deploy();
    expect(await taskTemplate()).toEqual(template);
    expect(await bed.inspectService(service)).not.toHaveProperty(["Spec", "Labels", "landfall.seq"]);
    expect(await running()).toEqual(before);
    await expect.poll(images, { timeout: 10_000 }).toEqual(Array(2).fill(`${repository}:${tag}@${second}`));

    const third = await pushAndReport("third");
    expect(await landfall.ended(2)).toMatchObject([{ state: "succeeded" }, { state: "succeeded", seq: 2 }]);
    await expect.poll(images, { timeout: 10_000 }).toEqual(Array(2).fill(`${repository}:${tag}@${third}`));
    expect((await engine.tasks(service)).length, "two tasks a digest, from first to third").toBe(6);
  });
});

/** Deploys always the same file, and waits until the engine has nothing more to do for it. */
async function stackOf(image: string): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), "landfall-stack-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = join(folder, "stack.yaml");
  await writeFile(
    file,
    [
      'version: "3.8"',
      `services: { web: { image: "${image}", networks: [hostnet], stop_grace_period: 1s, environment: { A: b },`,
      "  deploy: { replicas: 2, labels: { team: forms }, update_config: { order: start-first, parallelism: 2, monitor: 1s } } } }",
      "networks: { hostnet: { external: true, name: host } }",
    ].join("\n"),
  );
  return async () => {
    await bed.docker("stack", "deploy", "--detach=true", "--compose-file", file, stack);
    const updating = async () => JSON.parse(await engine.inspect(service)).UpdateStatus?.State === "updating";
    await expect.poll(updating, { timeout: 30_000 }).toBe(false);
  };
}

async function start() {
  const landfall = await startLandfall({
    config: {
      follow: [repository],
      webhooks: [{ source: "distribution", secrets: [secret] }],
      registries: [{ host: bed.registry, plainHttp: true }],
      targets: [{ name: "prod", kind: "swarm", host: bed.dockerHost }],
      defaults: { verify: { timeout: "1m", stableFor: "1s" } },
    },
  });
  onTestFinished(() => landfall.remove());
  return landfall;
}

async function taskTemplate(): Promise<object> {
  return JSON.parse(await engine.inspect(service)).Spec.TaskTemplate;
}

/** Ids of the tasks that run and are wanted to. */
async function running(): Promise<readonly string[]> {
  const tasks = (await engine.tasks(service)).filter(
    (task) => task.Status.State === "running" && task.DesiredState === "running",
  );
  return tasks.map((task) => task.ID).sort();
}
