import { setTimeout as pause } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { engineAt } from "../../functions/local/sandbox/swarmpit/engine.ts";
import {
  type SandboxSwarmpit,
  startSandboxSwarmpit,
} from "../../functions/local/sandbox/swarmpit/swarmpit.ts";
import { systemClock } from "../../shared/clock.ts";
import { type Digest, printReference } from "../../shared/domain/reference.ts";
import { create } from "../../shared/targets/swarmpit/swarmpit.ts";
import type { Change, Look, Target } from "../../shared/targets/target.ts";
import { logLinear } from "../contracts/history-graphs.ts";
import { targetContract } from "../contracts/target.ts";
import { dockerhubDelivery } from "../deliveries.ts";
import { hostGit } from "./git/commits.ts";
import { startLandfall } from "./landfall.ts";
import { type ImageBehaviour, testbed } from "./testbed.ts";

const prefix = "e2e-swarmpit";
const bed = testbed();
const pushed: { readonly repository: string; readonly digest: Digest }[] = [];

afterAll(async () => {
  const all = new Map(pushed.map((each) => [`${each.repository}@${each.digest}`, each]));
  for (const { repository, digest } of all.values()) await bed.deleteManifest(repository, digest);
});

targetContract(
  "a Swarmpit (over a real Docker Swarm)",
  { pins: false, fences: false, rollsBackTo: "previous", losesAnswers: true },
  async () => {
    const engine = engineAt(bed.dockerHost);
    const swarmpit = await startSandboxSwarmpit({
      engine,
      clock: systemClock,
      registryAccounts: [{ url: `http://${bed.registry}` }],
    });
    const target = targetAt(swarmpit.url, swarmpit.token());
    const own = `${prefix}-contract-`;
    return {
      target,
      unreachable: targetAt("http://127.0.0.1:1/api", "token"),
      prefix: own,
      async publish(tag, behaviour) {
        const cmd = behaviour === "exits" ? { cmd: ["sh", "-c", "exit 3"] } : {};
        const digest = await push("contract", { ...cmd, labels: { build: String(pushed.length) } }, tag);
        return { repository: `${bed.registry}/e2e-swarmpit/contract`, tag, digest };
      },
      async createWorkload(name, image, { tasks = 1, labels = {}, containerLabels = {} } = {}) {
        const options = ["--replicas", String(tasks), "--update-monitor", "1s"];
        for (const [key, value] of Object.entries(labels)) options.push("--label", `${key}=${value}`);
        for (const [key, value] of Object.entries(containerLabels)) {
          options.push("--container-label", `${key}=${value}`);
        }
        await bed.createService(name, printReference(image), ...options);
      },
      touch: async (name) =>
        void (await bed.docker("service", "update", "-d", "--label-add", "touched=yes", name)),
      remove: async (name) => void (await bed.docker("service", "rm", name)),
      async rest(name) {
        const { Spec } = (await bed.inspectService(name)) as { Spec: object };
        const given = (key: string, value: unknown) =>
          ["Image", "ForceUpdate"].includes(key) ? undefined : value;
        return JSON.parse(JSON.stringify(Spec, given));
      },
      writeUnchanged: async (name) => void (await bed.docker("service", "update", "-d", name)),
      loseNextAnswer: (of) =>
        swarmpit.fail(of === "update" ? "redeploy" : "rollback", { kind: "lose-answer" }),
      pass: () => pause(250),
      async close() {
        await bed.removeServices(own);
        await target.close();
        await swarmpit.close();
        await engine.close();
      },
    };
  },
);

describe("a Swarmpit over a real Docker Swarm", () => {
  let engine: ReturnType<typeof engineAt>;
  let swarmpit: SandboxSwarmpit;
  let token: string;
  let target: Target;

  beforeAll(async () => {
    engine = engineAt(bed.dockerHost);
    swarmpit = await startSandboxSwarmpit({
      engine,
      clock: systemClock,
      registryAccounts: [{ url: `http://${bed.registry}` }],
    });
    token = swarmpit.token();
    target = targetAt(swarmpit.url, token);
  });
  afterEach(() => bed.removeServices(prefix));
  afterAll(async () => {
    await target.close();
    await swarmpit.close();
    await engine.close();
  });

  it("rolls the tag's new digest out to running tasks", async () => {
    const name = `${prefix}-roll`;
    const first = await push("roll", { labels: { build: "1" } });
    await bed.createService(name, image("roll"), "--replicas", "2", "--env", "PASSWORD=hidden");
    await until(target, name, (look) => runs(look, name, first) === 2);

    const second = await push("roll", { labels: { build: "2" } });
    const before = await found(target.get(name));
    expect(JSON.stringify(before)).not.toContain("hidden");
    expect(await target.update(before, toDigest(name, "roll", second))).toEqual({ kind: "accepted" });

    const look = await until(
      target,
      name,
      (each) => runs(each, name, second) === 2 && each.update === "completed",
    );
    expect(look).toMatchObject({ wantedTasks: 2, windowMs: 5_000, message: "update completed" });
    expect(look.workload.containers[0]?.reference).toEqual({
      repository: `${bed.registry}/e2e-swarmpit/roll`,
      tag: "int",
      digest: second,
    });
    expect(await specImage(name)).toBe(`${image("roll")}@${second}`);
    expect(await runningImages(name)).toEqual([`${image("roll")}@${second}`, `${image("roll")}@${second}`]);
    const old = look.tasks.filter((task) => task.images[name]?.endsWith(first));
    expect(old.map((task) => task.desired)).toEqual([false, false]);
  });

  it("refuses OCI content, which Swarmpit cannot read, and leaves the service as it is", async () => {
    const name = `${prefix}-oci`;
    const docker = await push("oci");
    await bed.createService(name, image("oci"));
    const index = await bed.pushManifest(
      "e2e-swarmpit/oci",
      "int",
      "application/vnd.oci.image.index.v1+json",
      {
        schemaVersion: 2,
        mediaType: "application/vnd.oci.image.index.v1+json",
        manifests: [
          {
            mediaType: "application/vnd.docker.distribution.manifest.v2+json",
            digest: docker,
            size: 1,
            platform: { os: "linux", architecture: "amd64" },
          },
        ],
      },
    );
    pushed.push({ repository: "e2e-swarmpit/oci", digest: index });
    const outcome = await target.update(await found(target.get(name)), toDigest(name, "oci", docker));
    expect(outcome).toMatchObject({ kind: "refused", message: expect.stringContaining("kind: swarm") });
    expect(await specImage(name)).toBe(`${image("oci")}@${docker}`);
  });

  it("reports a lost race as a conflict", async () => {
    const name = `${prefix}-race`;
    const digest = await push("race");
    await bed.createService(name, image("race"), "--replicas", "0");
    const workload = await found(target.get(name));
    swarmpit.fail("redeploy", { kind: "out-of-sequence" });
    expect(await target.update(workload, toDigest(name, "race", digest))).toEqual({ kind: "conflict" });
    // Swarm raises a new service's version by itself; a redeploy that had been written would have forced an update.
    expect(await forcedUpdates(name)).toBe("0");
  });

  it("blames the environment for a task whose image no node can pull", async () => {
    const name = `${prefix}-pull`;
    const digest = await push("pull");
    await bed.createService(name, image("pull"));
    await until(target, name, (look) => runs(look, name, digest) === 1);
    const missing: Digest = `sha256:${"0".repeat(64)}`;
    swarmpit.fail("redeploy", { kind: "resolve", digest: missing });
    await target.update(await found(target.get(name)), toDigest(name, "pull", digest));

    const look = await until(target, name, (each) => each.tasks.some((task) => task.state === "failed"));
    expect(look.tasks.find((task) => task.state === "failed")).toMatchObject({
      error: expect.stringContaining("No such image"),
      environment: true,
      images: { [name]: `${image("pull")}@${missing}` },
    });
  });

  it("reports the words of a container that ends by itself, without blaming the environment", async () => {
    const name = `${prefix}-exit`;
    await push("exit", { cmd: ["sh", "-c", "exit 3"] });
    await bed.createService(name, image("exit"), "--restart-condition", "none");
    const look = await until(target, name, (each) => each.tasks.some((task) => task.state === "failed"));
    const failed = look.tasks.find((task) => task.state === "failed");
    expect(failed?.error).toBe("task: non-zero exit (3)");
    expect(failed?.environment).toBeUndefined();
  });

  it("counts a global service's tasks by node", async () => {
    const name = `${prefix}-global`;
    const digest = await push("global");
    await bed.createService(name, image("global"), "--mode", "global");
    const look = await until(target, name, (each) => runs(each, name, digest) === 1);
    const node = await bed.docker("info", "--format", "{{.Swarm.NodeID}}");
    expect(look.wantedTasks).toBe(1);
    expect(look.tasks.map((task) => task.slot)).toEqual([node]);
  });

  it("follows versions with one service and commits with another, whatever is pushed in between", async () => {
    const [versions, commits] = [`${prefix}-versions`, `${prefix}-commits`];
    const own = `policies-${Date.now().toString(36)}`;
    const repository = `${bed.registry}/e2e-swarmpit/${own}`;
    const git = await hostGit();
    onTestFinished(() => git.close());
    const { id, ...made } = await git.make(logLinear);
    const tags = [
      "v1.2.0",
      "v1.3.0",
      "v1.2.9",
      "v1.4.0-rc.1",
      "v2.0.0",
      id("c1"),
      id("c3"),
      id("c2"),
      id("c5"),
    ];
    const digests = new Map<string, Digest>();
    for (const tag of tags) digests.set(tag, await push(own, { labels: { tag } }, tag));
    const pinned = (tag: string) => `${repository}:${tag}@${digests.get(tag)}`;
    for (const [name, tag, policy] of [
      [versions, "v1.2.0", "semver:^1.2"],
      [commits, id("c1"), "commit"],
    ] as const) {
      const options = ["--label", `landfall.policy=${policy}`, "--update-monitor", "1s"];
      await bed.createService(name, pinned(tag), ...options);
      await until(target, name, (look) => look.tasks.some(({ state }) => state === "running"));
    }
    const secret = "a-secret-that-docker-hub-knows";
    const landfall = await startLandfall({
      config: {
        follow: [repository],
        webhooks: [{ source: "dockerhub", secrets: [secret], hostAliases: { "docker.io": bed.registry } }],
        registries: [{ host: bed.registry, plainHttp: true }],
        git: [git.entry],
        targets: [{ name: "pit", kind: "swarmpit", url: swarmpit.url, token }],
        images: [
          { image: repository, git: { url: await git.url({ id, ...made }), branch: "main" }, policy: "none" },
        ],
        defaults: { verify: { timeout: "1m", stableFor: "1s" } },
      },
    });
    onTestFinished(() => landfall.remove());
    swarmpit.requests.length = 0;
    const hear = (tag: string) =>
      landfall.deliver(dockerhubDelivery(secret, { repository: `e2e-swarmpit/${own}`, tag }));

    for (const tag of ["v1.3.0", id("c3")]) await hear(tag);
    await landfall.ended(2);
    for (const tag of ["v1.2.9", "v1.4.0-rc.1", "v2.0.0", id("c2"), id("c5")]) await hear(tag);
    const states = async () => (await landfall.events()).map(({ state }) => state);
    await expect.poll(states, { timeout: 30_000 }).toEqual(Array(7).fill("done"));

    expect((await landfall.rollouts()).map(({ workload, state }) => `${workload} ${state}`).sort()).toEqual([
      `pit/${commits} succeeded`,
      `pit/${versions} succeeded`,
    ]);
    expect(await runningImages(versions)).toEqual([pinned("v1.3.0")]);
    expect(await runningImages(commits)).toEqual([pinned(id("c3"))]);
    const posts = swarmpit.requests.filter(({ method }) => method === "POST").map(({ path }) => path);
    expect(posts.map((path) => path.replace(/.*\?/, "")).sort()).toEqual(
      ["v1.3.0", id("c3")].map((tag) => `tag=${tag}`).sort(),
    );
  });

  it("lists labels that act and labels that do not, and finds services by their exact name only", async () => {
    const name = `${prefix}-labels`;
    await push("labels");
    await bed.createService(
      name,
      image("labels"),
      ...["--replicas", "0", "--label", "landfall.policy=none", "--container-label", "landfall.pause=true"],
    );
    const listed = (await target.list()).find((workload) => workload.name === name);
    expect(listed).toMatchObject({ settings: { policy: "none" }, misplacedSettings: ["landfall.pause"] });
    expect(await target.get(name)).toEqual(listed);
    const id = await bed.docker("service", "inspect", "--format", "{{.ID}}", name);
    expect(await target.get(id)).toBeUndefined();
    expect(await target.get(`${prefix}-label`)).toBeUndefined();
    expect(await target.look(`${prefix}-label`)).toBeUndefined();
  });

  it("says that a removed service is gone", async () => {
    const name = `${prefix}-gone`;
    const digest = await push("gone");
    await bed.createService(name, image("gone"), "--replicas", "0");
    const workload = await found(target.get(name));
    await bed.removeServices(name);
    expect(await target.update(workload, toDigest(name, "gone", digest))).toEqual({ kind: "gone" });
  });
});

function targetAt(url: string, token: string): Target {
  return create(
    { name: "e2e", kind: "swarmpit", url, token: "token" },
    { secret: () => () => token, pullCredentials: () => undefined },
  );
}

async function push(repository: string, behaviour: ImageBehaviour = {}, tag = "int"): Promise<Digest> {
  const digest = await bed.pushImage(`e2e-swarmpit/${repository}`, tag, behaviour);
  pushed.push({ repository: `e2e-swarmpit/${repository}`, digest });
  return digest;
}

function image(repository: string): string {
  return `${bed.registry}/e2e-swarmpit/${repository}:int`;
}

function toDigest(name: string, repository: string, digest: Digest): Change {
  return {
    seq: 1,
    images: { [name]: { repository: `${bed.registry}/e2e-swarmpit/${repository}`, tag: "int", digest } },
  };
}

function runs(look: Look, name: string, digest: Digest): number {
  return look.tasks.filter(
    (task) => task.desired && task.state === "running" && task.images[name]?.endsWith(`@${digest}`),
  ).length;
}

function forcedUpdates(name: string): Promise<string> {
  return bed.docker("service", "inspect", "--format", "{{.Spec.TaskTemplate.ForceUpdate}}", name);
}

async function specImage(name: string): Promise<string> {
  return bed.docker("service", "inspect", "--format", "{{.Spec.TaskTemplate.ContainerSpec.Image}}", name);
}

/** What the engine's own containers were made from. */
async function runningImages(service: string): Promise<readonly string[]> {
  const ids = await bed.docker("ps", "-q", "--filter", `label=com.docker.swarm.service.name=${service}`);
  return (await bed.docker("inspect", "--format", "{{.Config.Image}}", ...ids.split("\n"))).split("\n");
}

async function found<T>(promise: Promise<T | undefined>): Promise<T> {
  const value = await promise;
  if (value === undefined) throw new Error("the service is not there");
  return value;
}

async function until(target: Target, name: string, holds: (look: Look) => boolean): Promise<Look> {
  for (const deadline = Date.now() + 60_000; ; await pause(250)) {
    const look = await found(target.look(name));
    if (holds(look)) return look;
    if (Date.now() > deadline) throw new Error(`${name} did not get there: ${JSON.stringify(look)}`);
  }
}
