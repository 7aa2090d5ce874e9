import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Digest } from "../../shared/domain/reference.ts";
import { distributionDelivery } from "../deliveries.ts";
import { ask, callers, reconcile } from "./asking.ts";
import { until } from "./built-line.ts";
import { cluster, type WorkloadOptions } from "./cluster.ts";
import { type Landfall, startLandfall } from "./landfall.ts";
import { type SpaceWatch, watchSpace } from "./space-watch.ts";
import { type ImageBehaviour, testbed } from "./testbed.ts";

const bed = testbed();
const k8s = cluster("e2e-rollback");
const [space] = k8s.namespaces;
const path = `e2e-rollback-k8s/${Date.now().toString(36)}`;
const repository: `${string}/${string}` = `${bed.registry}/${path}`;
const secret = "the-secret-of-a-rollback";
const sleep = { command: ["/bin/busybox", "sleep", "1000000"] };

interface Failure {
  readonly name: string;
  readonly tag: string;
  readonly bad: ImageBehaviour;
  readonly reason: RegExp;
  /** Fields of the container. */
  readonly app?: object;
  /** Fields of a Deployment's spec. */
  readonly deployment?: object;
}

const readinessProbe = {
  exec: { command: ["/bin/busybox", "sh", "-c", '[ "$HEALTH" != bad ] || { echo it is bad; exit 1; }'] },
  periodSeconds: 1,
  // A busy node takes its time to start a probe: a good image must not fail for that.
  timeoutSeconds: 20,
};
const failures: readonly Failure[] = [
  {
    name: "exits at once",
    tag: "at-once",
    bad: { cmd: ["sh", "-c", "exit 3"] },
    reason: /do not stay up.*app: exited with code 3/,
  },
  {
    name: "exits after 8 s, before it counts as available",
    tag: "after",
    bad: { cmd: ["sh", "-c", "sleep 8; exit 3"] },
    reason: /app: exited with code 3/,
    deployment: { minReadySeconds: 10, strategy: { rollingUpdate: { maxSurge: "100%" } } },
  },
  {
    name: "exits every 8 s, when it counts as available",
    tag: "every",
    bad: { cmd: ["sh", "-c", "sleep 8; exit 3"] },
    reason: /do not stay up.*app: exited with code 3/,
  },
  {
    name: "is never ready",
    tag: "unready",
    bad: { env: ["HEALTH=bad"] },
    reason: /not ready/,
    app: { readinessProbe },
    deployment: { progressDeadlineSeconds: 40 },
  },
  {
    name: "cannot be started",
    tag: "start",
    bad: { entrypoint: ["/nope"], cmd: [] },
    reason: /nope|exited with code 127/,
  },
];

interface Case {
  readonly name: string;
  readonly failure: Failure;
  readonly kind: "Deployment" | "StatefulSet" | "DaemonSet";
  readonly app: string;
  readonly replicas: number;
}

const kinds = [
  { kind: "Deployment", replicas: 1 },
  { kind: "Deployment", replicas: 3 },
  { kind: "StatefulSet", replicas: 1 },
  { kind: "StatefulSet", replicas: 3 },
  { kind: "DaemonSet", replicas: 1 },
] as const;
/** Pods of a StatefulSet go one by one: a few of them are enough. */
const left = ["after StatefulSet 1", "after StatefulSet 3", "every StatefulSet 3", "start StatefulSet 3"];
const cases = failures.flatMap((failure) =>
  kinds.flatMap(({ kind, replicas }): readonly Case[] => {
    if (left.includes(`${failure.tag} ${kind} ${replicas}`)) return [];
    if (kind === "DaemonSet" && failure.tag !== "at-once") return [];
    const app = `${failure.tag}-${kind.toLowerCase()}-${replicas}`;
    return [{ name: `that ${failure.name}: ${kind} of ${replicas}`, failure, kind, app, replicas }];
  }),
);
const tags = failures.map(({ tag }) => tag);
const bystander = "bystander";

let landfall: Landfall;
let watch: SpaceWatch;
let good: ReadonlyMap<string, Digest>;
let bad: ReadonlyMap<string, Digest>;
let badEvents: readonly string[];

beforeAll(async () => {
  await k8s.open();
  await bed.kubectl("-n", space, "create", "role", "pods", "--verb=delete", "--resource=pods");
  await bed.kubectl("-n", space, "create", "rolebinding", "pods", "--role=pods", "--user=landfall");
  good = await pushAll({}, "good");
  const startingMs = Date.now();
  await Promise.all([
    ...cases.map((each) => k8s.create(space, optionsOf(each, good))),
    k8s.create(space, {
      kind: "Deployment",
      name: bystander,
      image: { repository, tag: "at-once", digest: digestIn(good, "at-once") },
      app: sleep,
      pod: { terminationGracePeriodSeconds: 0 },
    }),
  ]);
  for (const { kind, app } of cases) await k8s.rolledOut(space, `${kind.toLowerCase()}/${app}`);
  const createdMs = Date.now();
  watch = watchSpace(space);
  landfall = await startLandfall({ config: configuration(), env: { LANDFALL_TOKEN: bed.kubeToken } });
  bad = await pushAll(Object.fromEntries(failures.map((each) => [each.tag, each.bad])), "bad");
  badEvents = await deliver(bad);
  await settled("the bad images are gone");
  console.log(`created in ${createdMs - startingMs} ms, bad and back after ${Date.now() - createdMs} ms`);
}, 600_000);

afterAll(async () => {
  await watch?.stop();
  await landfall?.remove();
  await k8s.close();
}, 60_000);

describe("an image, in a Kubernetes cluster,", () => {
  it.each(cases)("$name", async (each) => {
    const { app, kind, replicas, failure } = each;
    const [failed, undoing] = await rolloutsOf(kind, app);
    expect(failed).toMatchObject({ seq: 1, state: "rolled-back", blame: "image" });
    expect(failed?.reason).toMatch(failure.reason);
    const { metadata, spec } = await k8s.read(space, kind.toLowerCase(), app);
    const [goodImage, badImage] = [imageOf(good, failure.tag), imageOf(bad, failure.tag)];
    expect(spec.template).toMatchObject({ spec: { containers: [{ image: goodImage }] } });
    expect(metadata.annotations).toMatchObject({ "landfall.seq": "2" });
    expect(await readyImages(app)).toEqual(Array(replicas).fill(goodImage));
    // There and back, once.
    const templates = watch.templates(app).map(({ image }) => image);
    expect(templates).toEqual([goodImage, badImage, goodImage]);
    if (kind === "Deployment") expect(await replicaSets(app)).toBe(2);

    expect(undoing).toMatchObject({ seq: 2, state: "succeeded", cause: { kind: "rollback", of: 1 } });
    expect(await heldBy(kind, app)).toEqual([bad.get(failure.tag)]);
    console.log(await timesOf(each));
  });

  it("that fails for some runs on where it does not", async () => {
    expect(await readyImages(bystander)).toEqual([imageOf(bad, "at-once")]);
    expect(await heldBy("Deployment", bystander)).toEqual([]);
  });

  it("that failed is left alone by full runs, by the same report once more and by its replay", async () => {
    const before = await facts();
    const rows = await reconcile(landfall, { mode: "full" });
    const own = rows.filter(({ workload }) => !workload.endsWith(`/${bystander}`));
    expect(own.map(({ verdict }) => verdict)).toEqual(cases.map(() => "skipped"));
    expect(own.map(({ reason }) => reason?.split(":")[0])).toEqual(cases.map(() => "held"));
    await deliver(bad);
    for (const of of badEvents) expect(await ask(landfall, { do: "replay", of })).toMatch(/^ordered: /);
    await reconcile(landfall, { mode: "sweep" });
    await reconcile(landfall, { mode: "full" });
    await until(landfall, "all events are done", async () =>
      (await landfall.events()).every(({ state }) => state === "done"),
    );
    expect(await facts()).toEqual(before);
  });

  it("that is newer goes out, and lifts what was held", async () => {
    const newer = await pushAll({}, "newer");
    await deliver(newer);
    const met = async () => {
      const newest = await Promise.all(
        cases.map(async ({ kind, app }) => (await rolloutsOf(kind, app)).at(-1)),
      );
      return newest.every(
        (each) => each?.state === "succeeded" && newer.get(each.to.app?.tag ?? "") === each.to.app?.digest,
      );
    };
    await until(landfall, "the newer images run", met, 500, 240_000);
    for (const { app, kind, failure, replicas } of cases) {
      expect(await readyImages(app)).toEqual(Array(replicas).fill(imageOf(newer, failure.tag)));
      expect(await heldBy(kind, app)).toEqual([]);
    }
  }, 300_000);
});

function configuration(): object {
  const to = { server: bed.kubeServer, ca: `\${file:${bed.kubeCaFile}}`, token: "${LANDFALL_TOKEN}" };
  return {
    follow: [repository],
    webhooks: [{ source: "distribution", secrets: [secret] }],
    registries: [{ host: bed.registry, plainHttp: true }],
    targets: [{ name: "edge", kind: "kubernetes", ...to, namespaces: [space] }],
    // Long enough to see what exits every 8 s, however late a busy kubelet reports it.
    defaults: { maxParallel: 50, verify: { timeout: "90s", stableFor: "30s" } },
    reconcile: callers,
  };
}

function optionsOf(
  { kind, app, replicas, failure }: Case,
  images: ReadonlyMap<string, Digest>,
): WorkloadOptions {
  const { tag, app: container, deployment } = failure;
  const digest = digestIn(images, tag);
  return {
    kind,
    name: app,
    image: { repository, tag, digest },
    pod: {
      terminationGracePeriodSeconds: 0,
      containers: [{ name: "app", image: `${repository}:${tag}@${digest}`, ...container }],
    },
    spec: {
      ...(kind === "DaemonSet" ? {} : { replicas }),
      ...(kind === "Deployment" ? deployment : {}),
    },
  };
}

async function pushAll(
  behaviours: Readonly<Record<string, ImageBehaviour>>,
  build: string,
): Promise<ReadonlyMap<string, Digest>> {
  const images = new Map<string, Digest>();
  // One after the other: the registry takes the same layer only once at a time.
  for (const tag of tags) {
    const labels = { build: `${path} ${build}` };
    images.set(tag, await bed.pushImage(path, tag, { labels, ...behaviours[tag] }));
  }
  return images;
}

function deliver(images: ReadonlyMap<string, Digest>): Promise<readonly string[]> {
  return Promise.all(
    [...images].map(([tag, digest]) =>
      landfall.deliver(distributionDelivery(secret, [{ host: bed.registry, repository: path, tag, digest }])),
    ),
  );
}

/** Waits until each workload has had a rollout, and none is open. */
function settled(what: string): Promise<void> {
  const met = async () => {
    const workloads = await landfall.workloads();
    return (
      workloads.length === cases.length + 1 &&
      workloads.every(({ seq, open }) => seq > 0 && open === undefined)
    );
  };
  return until(landfall, what, met, 500, 240_000);
}

function digestIn(images: ReadonlyMap<string, Digest>, tag: string): Digest {
  const digest = images.get(tag);
  if (digest === undefined) throw new Error(`nothing was pushed as ${tag}`);
  return digest;
}

function imageOf(images: ReadonlyMap<string, Digest>, tag: string): string {
  return `${repository}:${tag}@${digestIn(images, tag)}`;
}

function idOf(kind: string, app: string): `${string}/${string}` {
  return `edge/${space}/${kind.toLowerCase()}/${app}`;
}

async function rolloutsOf(kind: string, app: string) {
  const found = await landfall.ledger.rollouts({ workload: idOf(kind, app) }, 20);
  return found.map(({ value }) => value).toReversed();
}

async function heldBy(kind: string, app: string): Promise<readonly Digest[]> {
  const stored = await landfall.ledger.get("workloads", idOf(kind, app));
  return stored?.value.holds.map(({ digest }) => digest) ?? [];
}

/** The images of the pods that are ready. */
async function readyImages(app: string): Promise<readonly string[]> {
  const pods = await k8s.pods(space, app);
  return pods
    .filter(({ metadata, status }) => {
      const isReady = status.conditions?.some(({ type, status: is }) => type === "Ready" && is === "True");
      return metadata.deletionTimestamp === undefined && isReady;
    })
    .map(({ spec }) => spec.containers[0]?.image ?? "");
}

async function replicaSets(app: string): Promise<number> {
  const names = await bed.kubectl("-n", space, "get", "replicasets", "-l", `app=${app}`, "-o=name");
  return names.split("\n").length;
}

/** Annotations and templates of all, and the pods that they have. */
async function facts(): Promise<readonly string[]> {
  const read = async (what: string) =>
    JSON.parse(await bed.kubectl("-n", space, "get", what, "-o=json")) as {
      readonly items: readonly {
        readonly metadata: {
          readonly name: string;
          readonly uid: string;
          readonly deletionTimestamp?: string;
          readonly annotations?: object;
        };
        readonly spec: { readonly template?: object };
      }[];
    };
  const [workloads, pods] = [await read("deployments,statefulsets,daemonsets"), await read("pods")];
  return [
    ...workloads.items.map(({ metadata: { name, annotations }, spec }) =>
      JSON.stringify([name, annotations, spec.template]),
    ),
    ...pods.items
      .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
      .map(({ metadata: { name, uid } }) => `${name} ${uid}`),
  ].toSorted();
}

/** From the first look that saw a pod fail. */
async function timesOf({ name, kind, app, failure, replicas }: Case): Promise<string> {
  const firstMs = watch.failed(app, imageOf(bad, failure.tag)) ?? Number.NaN;
  const backMs = watch.templates(app).at(-1)?.sinceMs ?? Number.NaN;
  const wellMs = watch.well(app, imageOf(good, failure.tag), replicas, backMs) ?? Number.NaN;
  const [failed, undoing] = await rolloutsOf(kind, app);
  const { finished: judgedMs = Number.NaN } = failed?.times ?? {};
  const { finished: provenMs = Number.NaN } = undoing?.times ?? {};
  return `${name.padEnd(80)} judged +${judgedMs - firstMs}, issued +${backMs - firstMs}, all run +${wellMs - firstMs}, proven +${provenMs - firstMs} ms: ${failed?.reason?.slice(0, 120)}`;
}
