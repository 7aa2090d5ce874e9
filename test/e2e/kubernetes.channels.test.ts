import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Digest, Repository } from "../../shared/domain/reference.ts";
import type { Rollout } from "../../shared/domain/rollout.ts";
import type { Channel } from "../../shared/ledger/image-document.ts";
import { taggedDigest } from "./built-images.ts";
import { type BuiltLine, commitLine, ended, publish, until } from "./built-line.ts";
import { cluster } from "./cluster.ts";
import { type Landfall, startLandfall } from "./landfall.ts";
import { runProgram } from "./program.ts";
import { type ImageBehaviour, testbed } from "./testbed.ts";

const bed = testbed();
const k8s = cluster("e2e-channels");
const [int, prod] = k8s.namespaces;
const run = Date.now().toString(36);
const path = `e2e-channels/${run}`;
/** On `int` a service of a Docker Swarm. */
const service = `e2e-channels-${run}`;
const soakMs = 5_000;
const timerToken = "the-token-of-a-test-in-place-of-a-timer";
const repositoryOf = (name: string): Repository => `${bed.registry}/${path}/${name}`;

let line: BuiltLine;
let landfall: Landfall;

beforeAll(async () => {
  await k8s.open();
  line = await commitLine(2);
  for (const name of ["well", "ill", "hand"]) {
    for (const tag of ["int", "prod"]) await push(name, tag, { env: ["BUILD=c1"] });
  }
  await push("well", line.id("c2"), { env: ["BUILD=c2"] });
  await push("ill", line.id("c2"), { cmd: ["sh", "-c", "exit 3"] });
  await push("hand", line.id("c2"), { env: ["BUILD=c2"] });
  for (const name of ["rule", "label"]) {
    for (const commit of ["c1", "c2"]) await push(name, line.id(commit), { env: [`BUILD=${commit}`] });
  }
  landfall = await startLandfall({ config: configuration(), env: { LANDFALL_TOKEN: bed.kubeToken } });
  await Promise.all([
    bed.createService(service, `${repositoryOf("well")}:int`, "--update-monitor", "1s"),
    deploy(int, "well", "int", { spec: { minReadySeconds: 5 } }),
    deploy(int, "ill", "int"),
    deploy(int, "hand", "int"),
    ...["well", "ill", "hand"].map((name) => deploy(prod, name, "prod")),
    deploy(int, "rule", line.id("c1")),
    k8s.create(int, {
      kind: "Deployment",
      name: "left",
      image: { repository: repositoryOf("rule"), tag: line.id("c1") },
      annotations: { "landfall.policy": "none" },
      spec: { replicas: 0 },
    }),
    deploy(int, "label", line.id("c1"), {
      annotations: { "landfall.policy.app": "commit", "landfall.policy.side": "none" },
      pod: {
        terminationGracePeriodSeconds: 0,
        containers: ["app", "side"].map((name) => ({
          name,
          image: `${repositoryOf("label")}:${line.id("c1")}`,
        })),
      },
    }),
  ]);
}, 180_000);

afterAll(async () => {
  await landfall?.remove();
  await line?.close();
  await bed.removeServices(service);
  await k8s.close();
});

describe.concurrent("channels over two targets", () => {
  it("moves on only what every workload before has verified, and has run for the soak", async () => {
    const { workload: first, digest } = await build("well", `swarm/${service}`);
    const second = await rolledOut(`int/${int}/deployment/well`);
    for (const { state } of [first, second]) expect(state).toBe("succeeded");
    expect(await taggedDigest(`${path}/well`, "int")).toBe(digest);
    expect(await taggedDigest(`${path}/well`, "prod")).not.toBe(digest);

    const deployed = await rolledOut(`prod/${prod}/deployment/well`);
    expect(deployed).toMatchObject({ state: "succeeded", cause: { kind: "build" } });
    expect(await imagesOf(prod, "well")).toEqual([`${repositoryOf("well")}:prod@${digest}`]);
    expect(await taggedDigest(`${path}/well`, "prod")).toBe(digest);
    const { promotedMs = 0 } = (await channel("well", "prod")) ?? {};
    const verifiedMs = [first, second].map(({ times }) => times.finished ?? Number.POSITIVE_INFINITY);
    expect(promotedMs - Math.max(...verifiedMs)).toBeGreaterThanOrEqual(soakMs);
  });

  it("stops at a failure, and says which", async () => {
    const { workload, digest } = await build("ill", `int/${int}/deployment/ill`);
    expect(workload).toMatchObject({ blame: "image", reason: expect.stringContaining("exited with code 3") });
    await untilSwept(
      "it is stopped",
      async () => (await channel("ill", "prod"))?.soak?.stopped !== undefined,
    );
    const { soak, promoted } = (await channel("ill", "prod")) ?? {};
    expect(soak).toMatchObject({ digest, stopped: expect.stringContaining(`int/${int}/deployment/ill`) });
    expect(promoted).toBeUndefined();
    expect(await taggedDigest(`${path}/ill`, "prod")).not.toBe(digest);
    expect(await imagesOf(prod, "ill")).toEqual([`${repositoryOf("ill")}:prod`]);
  });

  it("leaves to a person what goes by hand, and does it when told to", async () => {
    const { workload, digest } = await build("hand", `int/${int}/deployment/hand`);
    expect(workload).toMatchObject({ state: "succeeded" });
    // By now another image with the same channels went all the way.
    await rolledOut(`prod/${prod}/deployment/well`);
    expect(await taggedDigest(`${path}/hand`, "prod")).not.toBe(digest);
    expect(await imagesOf(prod, "hand")).toEqual([`${repositoryOf("hand")}:prod`]);

    await runProgram(["promote", repositoryOf("hand"), "prod", "--wait", "--timeout", "90s"], landfall.env);
    expect(await taggedDigest(`${path}/hand`, "prod")).toBe(digest);
    expect(await imagesOf(prod, "hand")).toEqual([`${repositoryOf("hand")}:prod@${digest}`]);
    const moved = await rolledOut(`prod/${prod}/deployment/hand`);
    expect(moved).toMatchObject({ state: "succeeded", cause: { kind: "promote" } });
  });
});

describe.concurrent("a workload that goes by commits", () => {
  it("gets the newest commit's own tag, where the image says so", async () => {
    const { digest } = await build("rule", `int/${int}/deployment/rule`);
    expect(await imagesOf(int, "rule")).toEqual([`${repositoryOf("rule")}:${line.id("c2")}@${digest}`]);
    expect(await imagesOf(int, "left")).toEqual([`${repositoryOf("rule")}:${line.id("c1")}`]);
    const [{ value } = { value: undefined }] = await landfall.ledger.events(
      { repository: repositoryOf("rule"), nowMs: Date.now() },
      1,
    );
    expect(value?.verdicts).toContainEqual(
      expect.objectContaining({ workload: `int/${int}/deployment/left`, reason: "policy-none" }),
    );
  });

  it("gets it container by container, where its annotations say so", async () => {
    const { digest } = await build("label", `int/${int}/deployment/label`);
    expect(await imagesOf(int, "label")).toEqual([
      `${repositoryOf("label")}:${line.id("c2")}@${digest}`,
      `${repositoryOf("label")}:${line.id("c1")}`,
    ]);
  });
});

function configuration(): object {
  const there = { server: bed.kubeServer, ca: `\${file:${bed.kubeCaFile}}`, token: "${LANDFALL_TOKEN}" };
  const cluster = { kind: "kubernetes", ...there };
  const channels = (targets: readonly string[], next: object) => [
    { tag: "int", targets },
    { tag: "prod", targets: ["prod"], after: "int", ...next },
  ];
  const soak = { soak: `${soakMs}ms` };
  const { git } = line;
  return {
    follow: [repositoryOf("*")],
    registries: [{ host: bed.registry, plainHttp: true }],
    git: line.hosts,
    targets: [
      { name: "swarm", kind: "swarm", host: bed.dockerHost },
      { name: "int", ...cluster, namespaces: [int] },
      { name: "prod", ...cluster, namespaces: [prod] },
    ],
    images: [
      { image: repositoryOf("well"), git, channels: channels(["swarm", "int"], soak) },
      { image: repositoryOf("ill"), git, channels: channels(["int"], soak) },
      { image: repositoryOf("hand"), git, channels: channels(["int"], { by: "hand" }) },
      { image: repositoryOf("rule"), git, policy: "commit" },
      { image: repositoryOf("label"), git },
    ],
    defaults: { maxParallel: 8, verify: { timeout: "60s", stableFor: "2s" } },
    reconcile: { auth: [{ kind: "bearer", token: timerToken }] },
  };
}

function push(name: string, tag: string, behaviour: ImageBehaviour): Promise<Digest> {
  return bed.pushImage(`${path}/${name}`, tag, { labels: { e2e: `${path}/${name}` }, ...behaviour });
}

async function deploy(
  namespace: string,
  name: string,
  tag: string,
  more: Partial<Parameters<typeof k8s.create>[1]> = {},
): Promise<void> {
  const pod = { terminationGracePeriodSeconds: 0 };
  const image = { repository: repositoryOf(name), tag };
  await k8s.create(namespace, { kind: "Deployment", name, image, pod, ...more });
  await k8s.rolledOut(namespace, `deployment/${name}`);
}

/** CI builds c2; the first rollout that comes of it, once it has ended. */
async function build(
  name: string,
  workload: string,
): Promise<{ readonly workload: Rollout; readonly digest: string | undefined }> {
  await publish(landfall, repositoryOf(name), line.id("c2"));
  const digest = await taggedDigest(`${path}/${name}`, line.id("c2"));
  return { workload: await rolledOut(workload), digest };
}

/** The first rollout of a workload, once it has ended. */
async function rolledOut(workload: string): Promise<Rollout> {
  let found: Rollout | undefined;
  await untilSwept(`${workload} is rolled out`, async () => {
    found = (await ended(landfall)).find((each) => each.workload === workload);
    return found !== undefined;
  });
  if (found === undefined) throw new Error(`${workload} has no rollout`);
  return found;
}

/** Waits, and has unfinished work carried on meanwhile, as a timer does each minute. */
function untilSwept(what: string, met: () => Promise<boolean>): Promise<void> {
  const headers = { authorization: `Bearer ${timerToken}`, "content-type": "application/json" };
  const sweep = { method: "POST", headers, body: '{"mode":"sweep"}' };
  const metOrSwept = async () => {
    if (await met()) return true;
    expect((await fetch(`${landfall.url}/reconcile`, sweep)).status).toBe(200);
    return false;
  };
  return until(landfall, what, metOrSwept, 1_000);
}

async function channel(name: string, tag: string): Promise<Channel | undefined> {
  return (await landfall.ledger.get("images", repositoryOf(name)))?.value.channels[tag];
}

async function imagesOf(namespace: string, name: string): Promise<readonly string[]> {
  const { spec } = await k8s.read(namespace, "deployment", name);
  return spec.template.spec.containers.map(({ image }) => image);
}
