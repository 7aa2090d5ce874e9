import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Digest } from "../../shared/domain/reference.ts";
import { firestoreProject } from "../emulators/firestore-emulator.ts";
import { pubsubProject } from "../emulators/pubsub-emulator.ts";
import { taggedDigest } from "./built-images.ts";
import { type BuiltLine, commitLine, ended, publish, until } from "./built-line.ts";
import { cluster, type WorkloadOptions } from "./cluster.ts";
import { type Landfall, startLandfall } from "./landfall.ts";
import { runProgram } from "./program.ts";
import { testbed } from "./testbed.ts";
import { type WatchedApi, watchApi } from "./watched-api.ts";

const bed = testbed();
const k8s = cluster("e2e-builds");
const [web, ops] = k8s.namespaces;
const path = `e2e-builds/${Date.now().toString(36)}`;
const repository: `${string}/${string}` = `${bed.registry}/${path}/app`;
const prod = { repository, tag: "prod" };
/** Beside the image, in one of the workloads. */
const sidecar = `${bed.registry}/${path}/proxy:v1`;
const pubsub = pubsubProject();
const firestore = firestoreProject();

/** Where the image is followed: which containers, and how the workload is called at its namespace. */
const followers = [
  { namespace: web, workload: "deployment/web", containers: ["app"] },
  { namespace: web, workload: "deployment/init", containers: ["app", "migrate"] },
  { namespace: web, workload: "statefulset/db", containers: ["app"] },
  { namespace: ops, workload: "daemonset/agent", containers: ["app"] },
  { namespace: ops, workload: "cronjob/nightly", containers: ["app"] },
] as const;
const withPods = followers.filter(({ workload }) => !workload.startsWith("cronjob/"));

/** What is left alone, with the reason. */
const bystanders: readonly (Omit<WorkloadOptions, "kind"> & { readonly reason: string })[] = [
  {
    name: "dirty",
    reason: "dirty",
    image: { repository, tag: "prod-dirty" },
    annotations: { "landfall.policy": "commit" },
  },
  { name: "pinned", reason: "digest-pinned", image: { repository, digest: `sha256:${"1".repeat(64)}` } },
  { name: "held", reason: "paused", image: prod, annotations: { "landfall.pause": "true" } },
  { name: "stopped", reason: "not-rolling", image: prod, spec: { paused: true } },
  {
    name: "argo",
    reason: "managed-elsewhere",
    image: prod,
    labels: { "argocd.argoproj.io/instance": "shop" },
  },
];

let line: BuiltLine;
let api: WatchedApi;
let topic: string;
let landfall: Landfall;
const digests = new Map<string, Digest>();
const eventOf = new Map<string, string>();

beforeAll(async () => {
  await k8s.open();
  api = await watchApi();
  line = await commitLine(3);
  ({ topic } = await pubsub.createTopic("landfall"));
  await push("old", "prod");
  for (const name of ["c1", "c2", "c3"]) await push(name, line.id(name));
  await bed.pushImage(`${path}/proxy`, "v1", { labels: { e2e: path } });
  landfall = await startLandfall({
    config: configuration(),
    env: {
      LANDFALL_BUS: "pubsub-pull:landfall-builds",
      GOOGLE_CLOUD_PROJECT: pubsub.project,
      METADATA_SERVER_DETECTION: "none",
      PUBSUB_EMULATOR_HOST: pubsub.host,
      FIRESTORE_EMULATOR_HOST: firestore.host,
      LANDFALL_TOKEN: bed.kubeToken,
      STRANGER_TOKEN: bed.kubeStrangerToken,
    },
    ledger: { setting: `firestore:${firestore.project}`, open: () => firestore.ledger() },
  });
  // Nobody waits for a pod that is to end.
  const pod = { terminationGracePeriodSeconds: 0 };
  const image = prod;
  const containers = [
    { name: "app", image: `${repository}:prod` },
    { name: "proxy", image: sidecar },
  ];
  await k8s.create(web, { kind: "Deployment", name: "web", image, pod: { ...pod, containers } });
  // What it runs, as the node saw it.
  const command = ["/bin/busybox", "sh", "-c", "echo -n $BUILD > /dev/termination-log"];
  const migrate = { name: "migrate", image: `${repository}:prod`, command };
  await k8s.create(web, {
    kind: "Deployment",
    name: "init",
    image,
    pod: { ...pod, initContainers: [migrate] },
  });
  await k8s.create(web, { kind: "StatefulSet", name: "db", image, pod });
  await k8s.create(ops, { kind: "DaemonSet", name: "agent", image, pod });
  await k8s.create(ops, { kind: "CronJob", name: "nightly", image });
  for (const { reason: _, spec, ...more } of bystanders) {
    await k8s.create(web, { kind: "Deployment", ...more, spec: { replicas: 0, ...spec } });
  }
  await Promise.all(withPods.map(({ namespace, workload }) => k8s.rolledOut(namespace, workload)));
}, 180_000);

afterAll(async () => {
  await landfall?.remove();
  await api?.close();
  await line?.close();
  for (const each of [topic, `${topic}-dead-letter`]) await pubsub.call("DELETE", each);
  await k8s.close();
});

describe("builds that arrive in another order than their commits, in a real cluster", () => {
  it("end with the channel and every workload at the newest commit", async () => {
    const before = await Promise.all(bystanders.map(({ name }) => k8s.read(web, "deployment", name)));
    const bus = { LANDFALL_BUS: `pubsub:${topic}` };
    for (const name of ["c3", "c1", "c2"]) {
      eventOf.set(name, await publish(landfall, repository, line.id(name), bus));
    }
    const areAll = async () => (await ended(landfall)).length === followers.length;
    await until(landfall, "all are rolled out", areAll);

    expect(await outcomes()).toEqual({ c3: "head", c1: "superseded", c2: "superseded" });
    expect(await taggedDigest(`${path}/app`, "prod")).toBe(digests.get("c3"));
    for (const { workload, state, seq } of await ended(landfall)) {
      expect([workload, seq, state]).toEqual([workload, 1, "succeeded"]);
    }
    await Promise.all(followers.map(expectNewest));
    // One new revision, for two containers as for one.
    expect(await replicaSetsOf("web")).toHaveLength(2);
    expect(await replicaSetsOf("init")).toHaveLength(2);

    expect(patched(200)).toEqual(
      followers.map(({ namespace, workload }) => `${namespace}/${workload}`).toSorted(),
    );
    for (const { metadata, spec } of before) {
      const after = await k8s.read(web, "deployment", metadata.name);
      expect(after.spec, metadata.name).toEqual(spec);
      expect(after.metadata.annotations, metadata.name).toEqual(metadata.annotations);
    }
    await tell();
  });

  it("tell of each workload that was left alone why", async () => {
    const event = eventOf.get("c3") ?? "";
    const { verdicts } = JSON.parse(await explain(event, "--json")).event;
    const told = await explain(event);
    for (const { name, reason } of bystanders) {
      const workload = `shop/${web}/deployment/${name}`;
      const own = verdicts.filter((each: { readonly workload: string }) => each.workload === workload);
      expect(own, name).toEqual([expect.objectContaining({ kind: "skipped", reason })]);
      expect(told).toMatch(new RegExp(`${workload} +${reason} `));
    }
  });

  it("do nothing to a target that gives no rights, and tell what to apply there", async () => {
    const theirs = api.calls.filter(({ token }) => token === bed.kubeStrangerToken);
    expect(theirs.length).toBeGreaterThan(0);
    expect(theirs.filter(({ method, status }) => method !== "GET" || status !== 403)).toEqual([]);
    const told = await explain(eventOf.get("c3") ?? "");
    expect(told).toMatch(/strange\/\* +target-denied/);
    expect(told).toMatch(
      /stranger may not list \S+ in the namespace \S+: apply infra\/kubernetes\/role\.yaml/,
    );
    expect((await landfall.workloads()).filter(({ target }) => target === "strange")).toEqual([]);
  });

  it("change nothing when the same message comes twenty times more", async () => {
    const before = await revisions();
    const callsBefore = api.calls.length;
    const message = Buffer.from(JSON.stringify(buildOf("c3"))).toString("base64");
    const messages = Array.from({ length: 20 }, () => ({ data: message }));
    await pubsub.call("POST", `${topic}:publish`, { messages });
    const again = async () => (await landfall.events()).filter(({ outcome }) => outcome === "current");
    await until(landfall, "all twenty are done", async () => (await again()).length === messages.length);
    expect((await again()).every(({ state }) => state === "done")).toBe(true);
    expect(api.calls.slice(callsBefore).filter(({ method }) => method !== "GET")).toEqual([]);
    expect(await revisions()).toEqual(before);
    expect(await ended(landfall)).toHaveLength(followers.length);
  });
});

async function push(name: string, tag: string): Promise<void> {
  const env = [`BUILD=${name}`];
  digests.set(name, await bed.pushImage(`${path}/app`, tag, { env, labels: { e2e: path } }));
}

function configuration(): object {
  const there = { kind: "kubernetes", ...api.access };
  return {
    follow: [`${bed.registry}/${path}/*`],
    registries: [{ host: bed.registry, plainHttp: true }],
    git: line.hosts,
    targets: [
      { name: "shop", ...there, token: "${LANDFALL_TOKEN}", namespaces: [web, ops] },
      { name: "strange", ...there, token: "${STRANGER_TOKEN}", namespaces: [web] },
    ],
    images: [{ image: repository, git: line.git, channels: [{ tag: "prod" }] }],
    defaults: { maxParallel: 8, verify: { timeout: "90s", stableFor: "2s" } },
  };
}

function buildOf(name: string): object {
  const id = line.id(name);
  return { image: repository, tag: id, digest: digests.get(name), commit: id };
}

function explain(...words: readonly string[]): Promise<string> {
  return runProgram(["explain", ...words], landfall.env);
}

async function outcomes(): Promise<Readonly<Record<string, string | undefined>>> {
  const known = [...eventOf].map(async ([name, event]) => {
    const { value } = (await landfall.ledger.get("events", event)) ?? {};
    return [name, value?.outcome] as const;
  });
  return Object.fromEntries(await Promise.all(known));
}

/** The workload says it, its pods' specs say it, the node says it, and so does what runs. */
async function expectNewest({ namespace, workload, containers }: (typeof followers)[number]): Promise<void> {
  const [kind = "", name = ""] = workload.split("/");
  const { spec } = await k8s.read(namespace, kind, name);
  const template = kind === "cronjob" ? spec.jobTemplate.spec.template : spec.template;
  const wanted = `${repository}:prod@${digests.get("c3")}`;
  const all = [...template.spec.containers, ...(template.spec.initContainers ?? [])];
  const own = (name: string) => (containers as readonly string[]).includes(name);
  expect(all.filter((each) => own(each.name)).map(({ image }) => image)).toEqual(
    containers.map(() => wanted),
  );
  expect(all.filter((each) => !own(each.name)).map(({ image }) => image)).toEqual(
    workload === "deployment/web" ? [sidecar] : [],
  );
  if (kind === "cronjob") return;
  const pods = (await k8s.pods(namespace, name)).filter(
    ({ metadata }) => metadata.deletionTimestamp === undefined,
  );
  expect(pods, workload).toHaveLength(1);
  for (const { status } of pods) {
    const ids = status.containerStatuses?.filter((each) => own(each.name)).map(({ imageID }) => imageID);
    expect(ids, workload).toEqual([expect.stringContaining(digests.get("c3") ?? "none")]);
    const said = status.initContainerStatuses?.map(({ state }) => state.terminated?.message);
    expect(said, workload).toEqual(name === "init" ? ["c3"] : undefined);
  }
}

async function replicaSetsOf(name: string): Promise<readonly string[]> {
  const listed = await bed.kubectl("-n", web, "get", "replicasets", "-l", `app=${name}`, "-o=name");
  return listed.split("\n");
}

/** What a rollout makes another of. */
async function revisions(): Promise<readonly string[]> {
  const kinds = "replicasets,controllerrevisions";
  return Promise.all([web, ops].map((each) => bed.kubectl("-n", each, "get", kinds, "-o=name")));
}

/** Workloads that a patch was answered for with that status, e.g. `ns/deployment/web`. */
function patched(status: number): readonly string[] {
  return api.calls
    .filter((call) => call.method === "PATCH" && call.status === status)
    .map(({ path: at }) => at.replace(/^.*\/namespaces\/([^/]+)\/([a-z]+)s\/([^/?]+)\?.*$/, "$1/$2/$3"))
    .toSorted();
}

/** Prints how long each rollout took, and how many calls it cost. */
async function tell(): Promise<void> {
  const heard = (await landfall.ledger.get("events", eventOf.get("c3") ?? ""))?.value.heardMs ?? 0;
  for (const { workload, times } of await ended(landfall)) {
    const [, namespace, kind, name] = workload.split("/");
    const calls = api.calls.filter(
      ({ path: at, token }) =>
        token === bed.kubeToken &&
        at.includes(`/namespaces/${namespace}/`) &&
        (at.includes(`${kind}s/${name}`) || at.includes(`labelSelector=app=${name}`)),
    );
    const { accepted = Number.NaN, finished = Number.NaN } = times;
    process.stdout.write(
      `      ${kind}/${name}: accepted ${accepted - heard} ms and verified ${finished - heard} ms after the message, ${calls.length} calls\n`,
    );
  }
}
