import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Digest, printReference, type Reference } from "../../shared/domain/reference.ts";
import type { Blame, Rollout } from "../../shared/domain/rollout.ts";
import { type BuiltLine, commitLine, ended, publish, until } from "./built-line.ts";
import { cluster } from "./cluster.ts";
import { type Landfall, startLandfall } from "./landfall.ts";
import { type ImageBehaviour, testbed } from "./testbed.ts";

const bed = testbed();
const k8s = cluster("e2e-failures");
const [space] = k8s.namespaces;
const path = `e2e-failures/${Date.now().toString(36)}`;
const app = `${bed.registry}/${path}/app` as const;
/** In a registry that wants a password, of the nodes too. */
const locked = `${bed.registryAuth}/${path}/locked` as const;
const torn = `${bed.registry}/${path}/torn` as const;
const sleep = { command: ["/bin/busybox", "sleep", "1000000"] };
const secret = "registry";

let line: BuiltLine;
let landfall: Landfall;
let folder: string;
let after: Digest;
/** What cannot run, or not where it is to. */
let newest: readonly Digest[] = [];

beforeAll(async () => {
  await k8s.open();
  line = await commitLine(2);
  folder = await mkdtemp(join(tmpdir(), "landfall-failures-"));
  await push("app", "prod", { env: ["BUILD=c1"] });
  after = await push("app", line.id("c2"), { env: ["BUILD=c2"], cmd: ["sh", "-c", "exit 3"] });
  await push("locked", "prod", { on: "protected" });
  const unreachable = await push("locked", line.id("c2"), { on: "protected", env: ["BUILD=c2"] });
  await push("torn", line.id("c1"));
  const incomplete = await push("torn", line.id("c2"), { env: ["BUILD=c2"] });
  await tear(incomplete);
  newest = [after, unreachable, incomplete];
  const docker = { auths: { [bed.registryAuth]: { auth: btoa("landfall:landfall-secret") } } };
  await writeFile(join(folder, "config.json"), JSON.stringify(docker));
  landfall = await startLandfall({
    config: configuration(),
    env: { LANDFALL_TOKEN: bed.kubeToken, REGISTRY_PASSWORD: "landfall-secret" },
  });
  await pullSecret("landfall-secret");
  await Promise.all([
    deploy("fine", { repository: app, tag: "prod" }, sleep),
    deploy("crashes", { repository: app, tag: "prod" }),
    deploy("never-ready", { repository: app, tag: "prod" }, { ...sleep, readinessProbe: isBuild("c1") }),
    deploy("pulls", { repository: locked, tag: "prod" }),
    deploy("torn", { repository: torn, tag: line.id("c1") }),
    k8s.create(space, { kind: "CronJob", name: "nightly", image: { repository: locked, tag: "prod" } }),
  ]);
  await pullSecret("a password of last year");
}, 180_000);

afterAll(async () => {
  await landfall?.remove();
  await line?.close();
  await k8s.close();
  if (folder !== undefined) await rm(folder, { recursive: true });
});

interface Failure {
  readonly workload: string;
  readonly name: string;
  readonly reason: RegExp;
  readonly blame: Blame;
}

describe("an image that cannot run, in a real cluster", () => {
  let rollouts: readonly Rollout[] = [];

  beforeAll(async () => {
    for (const image of [app, locked, torn]) {
      await publish(landfall, image, line.id("c2"), { DOCKER_CONFIG: folder });
    }
    await until(landfall, "all have a verdict", async () => {
      rollouts = await ended(landfall);
      return new Set(rollouts.map(({ workload }) => workload)).size === 6;
    });
  }, 150_000);

  it.each<Failure>([
    {
      workload: "crashes",
      name: "is to blame when it ends at once",
      reason: /app: exited with code 3/,
      blame: "image",
    },
    {
      workload: "never-ready",
      name: "is to blame when it never is ready, in the probe's words",
      reason: /not ready: Readiness probe failed: it is not c1/,
      blame: "image",
    },
    {
      workload: "pulls",
      name: "is not to blame when the node's password for its registry is no more",
      reason: /unauthorized|authentication required|no basic auth/,
      blame: "environment",
    },
    {
      workload: "torn",
      name: "is not to blame when the registry has it, and does not give a part of it",
      reason: /unknown blob|blob unknown/,
      blame: "environment",
    },
  ])("$name", async ({ workload, reason, blame }) => {
    const [first] = rollouts.filter((each) => each.workload === `edge/${space}/deployment/${workload}`);
    expect(first).toMatchObject({ blame, reason: expect.stringMatching(reason) });
    expect(first?.state).not.toBe("succeeded");
    // What ran before serves on, or again.
    const serving = await readyImages(workload);
    expect(serving.filter((image) => !newest.some((digest) => image.endsWith(digest)))).not.toEqual([]);
  });

  it.each(["deployment/fine", "cronjob/nightly"])(
    "does not keep other workloads of the same push from it: %s",
    async (workload) => {
      const own = rollouts.filter((each) => each.workload === `edge/${space}/${workload}`);
      expect(own).toEqual([expect.objectContaining({ state: "succeeded" })]);
      if (workload.startsWith("cronjob/")) return;
      expect(await readyImages("fine")).toEqual([
        printReference({ repository: app, tag: "prod", digest: after }),
      ]);
    },
  );
});

function push(name: string, tag: string, behaviour: ImageBehaviour = {}): Promise<Digest> {
  return bed.pushImage(`${path}/${name}`, tag, { labels: { e2e: path }, ...behaviour });
}

function configuration(): object {
  const to = { server: bed.kubeServer, ca: `\${file:${bed.kubeCaFile}}`, token: "${LANDFALL_TOKEN}" };
  const login = { username: "landfall", password: "${REGISTRY_PASSWORD}" };
  return {
    follow: [app, locked, torn],
    registries: [
      { host: bed.registry, plainHttp: true },
      { host: bed.registryAuth, plainHttp: true, ...login },
    ],
    git: line.hosts,
    targets: [{ name: "edge", kind: "kubernetes", ...to, namespaces: [space] }],
    images: [
      ...[app, locked].map((image) => ({ image, git: line.git, channels: [{ tag: "prod" }] })),
      { image: torn, git: line.git, policy: "commit" },
    ],
    defaults: { maxParallel: 8, verify: { timeout: "30s", stableFor: "2s" } },
  };
}

/** Takes a part of an image away from the registry, which goes on naming its manifest. */
async function tear(digest: Digest): Promise<void> {
  const api = `http://${bed.registry}/v2/${path}/torn`;
  const accept = "application/vnd.docker.distribution.manifest.v2+json";
  const manifest = await (await fetch(`${api}/manifests/${digest}`, { headers: { accept } })).json();
  const { status } = await fetch(`${api}/blobs/${manifest.config.digest}`, { method: "DELETE" });
  expect(status).toBe(202);
}

/** What the pods of the namespace pull with. */
async function pullSecret(password: string): Promise<void> {
  const login = [`--docker-server=${bed.registryAuth}`, "--docker-username=landfall"];
  const written = [`--docker-password=${password}`, "--dry-run=client", "-o=json"];
  const manifest = await bed.kubectl("create", "secret", "docker-registry", secret, ...login, ...written);
  await bed.kubectlApply(manifest, "-n", space);
}

async function deploy(name: string, image: Reference, container: object = {}): Promise<void> {
  await k8s.create(space, {
    kind: "Deployment",
    name,
    image,
    app: container,
    pod: { terminationGracePeriodSeconds: 0, imagePullSecrets: [{ name: secret }] },
    spec: { progressDeadlineSeconds: 15 },
  });
  await k8s.rolledOut(space, `deployment/${name}`);
}

function isBuild(name: string): object {
  const script = `[ "$BUILD" = ${name} ] || { echo it is not ${name}; exit 1; }`;
  return { exec: { command: ["/bin/busybox", "sh", "-c", script] }, periodSeconds: 1 };
}

/** The images of a Deployment's pods that are ready. */
async function readyImages(name: string): Promise<readonly string[]> {
  const pods = await k8s.pods(space, name);
  return pods
    .filter(({ metadata, status }) => {
      const isReady = status.conditions?.some(({ type, status: is }) => type === "Ready" && is === "True");
      return metadata.deletionTimestamp === undefined && isReady;
    })
    .map(({ spec }) => spec.containers[0]?.image ?? "");
}
