import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Digest, printReference as print, type Reference } from "../../shared/domain/reference.ts";
import type { Target, TaskLook } from "../../shared/targets/target.ts";
import { cluster, type KubernetesObject, lookUntil, rollOut } from "./cluster.ts";
import { type ImageBehaviour, testbed } from "./testbed.ts";

const bed = testbed();
const repository = "e2e-targets/app";
const k8s = cluster();
const [spaceA, spaceB, spaceFull] = k8s.namespaces;
const ghost: Digest = `sha256:${"0".repeat(64)}`;
let built = 0;

describe.concurrent("a real Kubernetes cluster", () => {
  let target: Target;
  let first: Image;
  let second: Image;

  beforeAll(async () => {
    await k8s.open();
    first = await push();
    second = await push();
    target = k8s.target(bed.kubeToken);
  });
  afterAll(async () => {
    await target?.close();
    await k8s.close();
  });

  it("patches one container on the version that was read, and leaves the rest as it was", async () => {
    const name = `${spaceA}/deployment/sidecar`;
    await k8s.create(spaceA, {
      kind: "Deployment",
      name: "sidecar",
      image: first,
      annotations: { "landfall.pause": "false", team: "forms" },
      app: { imagePullPolicy: "Always" },
      spec: { replicas: 2 },
      pod: {
        containers: [
          { name: "app", image: print(first), imagePullPolicy: "Always" },
          { name: "proxy", image: bed.baseImage },
        ],
      },
    });
    const stale = await read(name);
    expect(stale).toMatchObject({ settings: { pause: "false" }, fence: 0 });
    await lookUntil(target, name, ({ update }) => update === "completed");
    // The controller has written its status since.
    const images = { app: second };
    expect(await target.update(stale, { seq: 5, images })).toEqual({ kind: "conflict" });

    const before = await k8s.read(spaceA, "deployment", "sidecar");
    expect(await rollOut(target, name, images)).toEqual({
      kind: "succeeded",
      reason: "2 of 2 tasks ran for 2 s",
    });
    const after = await k8s.read(spaceA, "deployment", "sidecar");
    const expected = before.spec.template.spec.containers.map((each) =>
      each.name === "app" ? { ...each, image: print(second) } : each,
    );
    expect(after.spec.template.spec.containers).toEqual(expected);
    expect({ ...after.spec, template: after.spec.template.metadata }).toEqual({
      ...before.spec,
      template: before.spec.template.metadata,
    });
    expect(after.metadata.annotations).toMatchObject({
      team: "forms",
      "landfall.seq": "1",
      "landfall.what": `app=${print(second)}`,
      "landfall.why": "push e2e",
      "kubernetes.io/change-cause": expect.stringContaining(second.digest),
    });
    expect(after.metadata.managedFields?.map(({ manager }) => manager)).toContain("landfall");
    expect(await read(name)).toMatchObject({ fence: 1, settings: { pause: "false" } });

    // The same once more, and the same but for its number: no pod is replaced for it.
    const pods = await podNames(spaceA, "sidecar");
    const written = await read(name);
    const same = { seq: 1, images, note: { why: "push e2e", atMs: noteMs(after) } };
    expect(await target.update(written, same)).toEqual({ kind: "accepted" });
    expect((await read(name)).version).toBe(written.version);
    expect(await target.update(written, { ...same, seq: 2 })).toEqual({ kind: "accepted" });
    const look = await lookUntil(target, name, ({ update }) => update === "completed");
    expect(look.workload.fence).toBe(2);
    expect(await podNames(spaceA, "sidecar")).toEqual(pods);
    expect(await replicaSets("sidecar")).toBe(2);
  });

  it("brings init container and container of one image to it in one new revision", async () => {
    const name = `${spaceA}/deployment/init`;
    const init = [{ name: "migrate", image: print(first), command: ["/bin/busybox", "true"] }];
    await k8s.create(spaceA, {
      kind: "Deployment",
      name: "init",
      image: first,
      pod: { initContainers: init },
    });
    await lookUntil(target, name, ({ update }) => update === "completed");
    expect((await read(name)).containers.map((container) => container.name)).toEqual(["app", "migrate"]);
    const verdict = await rollOut(target, name, { app: second, migrate: second });
    expect(verdict).toMatchObject({ kind: "succeeded" });
    const { spec } = await k8s.read(spaceA, "deployment", "init");
    expect(spec.template.spec.initContainers?.map(({ image }) => image)).toEqual([print(second)]);
    expect(await replicaSets("init")).toBe(2);
  });

  it("rolls a StatefulSet out", async () => {
    await k8s.create(spaceA, { kind: "StatefulSet", name: "st", image: first });
    const name = `${spaceA}/statefulset/st`;
    await lookUntil(target, name, ({ update }) => update === "completed");
    const verdict = await rollOut(target, name, { app: second });
    expect(verdict).toEqual({ kind: "succeeded", reason: "1 of 1 tasks ran for 2 s" });
    const look = await target.look(name);
    expect(running(look?.tasks ?? [], second).map(({ slot }) => slot)).toEqual(["st-0"]);
  });

  it("rolls a DaemonSet out, node by node", async () => {
    await k8s.create(spaceA, { kind: "DaemonSet", name: "ds", image: first });
    const name = `${spaceA}/daemonset/ds`;
    await lookUntil(target, name, ({ update }) => update === "completed");
    const verdict = await rollOut(target, name, { app: second });
    expect(verdict).toMatchObject({ kind: "succeeded", reason: expect.stringContaining("ran for 2 s") });
  });

  it("changes CronJobs in two namespaces for their next run", async () => {
    for (const space of [spaceA, spaceB]) {
      await k8s.create(space, { kind: "CronJob", name: "nightly", image: first });
      const verdict = await rollOut(target, `${space}/cronjob/nightly`, { app: second });
      expect(verdict).toEqual({ kind: "succeeded", reason: "unproven: takes effect at the next run" });
      const { spec } = await k8s.read(space, "cronjob", "nightly");
      expect(spec.jobTemplate.spec.template.spec.containers[0]?.image).toBe(print(second));
    }
    const listed = (await target.list()).map(({ name }) => name).filter((name) => name.endsWith("/nightly"));
    expect(listed.toSorted()).toEqual([spaceA, spaceB].map((space) => `${space}/cronjob/nightly`));
  });

  it("refuses a container that the workload does not have, and sends nothing", async () => {
    await k8s.create(spaceA, {
      kind: "Deployment",
      name: "known",
      image: first,
      spec: { replicas: 0, minReadySeconds: 3 },
    });
    const name = `${spaceA}/deployment/known`;
    const before = await lookUntil(target, name, ({ update }) => update === "completed");
    expect(before).toMatchObject({ windowMs: 3_000, wantedTasks: 0, tasks: [] });
    expect(await target.update(before.workload, { seq: 1, images: { app: second, web: second } })).toEqual({
      kind: "refused",
      message: "it has no container web, only app",
    });
    expect((await read(name)).version).toBe(before.workload.version);
    const verdict = await rollOut(target, name, { app: second });
    expect(verdict).toEqual({ kind: "succeeded", reason: "unproven: no tasks" });
    await bed.kubectl("-n", spaceA, "delete", "deployment", "known");
    expect(await target.update(before.workload, { seq: 9, images: { app: first } })).toEqual({
      kind: "gone",
    });
    expect(await target.get(name)).toBeUndefined();
    expect(await target.look(name)).toBeUndefined();
  });

  it("blames an image that the registry does not have on the image, while the old pod serves", async () => {
    const name = await deployment("ghost", { spec: { progressDeadlineSeconds: 15 } });
    const verdict = await rollOut(target, name, { app: { ...first, digest: ghost } });
    expect(verdict).toMatchObject({
      kind: "failed",
      blame: "image",
      reason: expect.stringMatching(/timed out progressing.*manifest unknown/),
    });
    const look = await target.look(name);
    expect(look).toMatchObject({ update: "paused", message: expect.stringContaining("timed out") });
    const old = look?.tasks.filter((task) => task.images.app === print(first));
    expect(old).toEqual([expect.objectContaining({ state: "running", desired: true })]);
    // Back to what serves: it is done as soon as the broken pod is on its way out.
    expect(await rollOut(target, name, { app: first })).toEqual({
      kind: "succeeded",
      reason: "1 of 1 tasks ran for 2 s",
    });
  });

  it("blames an image that ends at once on the image, in its words", async () => {
    const name = await deployment("crash");
    const crashing = await push({ cmd: ["sh", "-c", "exit 3"] });
    expect(await rollOut(target, name, { app: crashing })).toMatchObject({
      kind: "failed",
      blame: "image",
      reason: expect.stringMatching(/^its tasks do not stay up: .*app: exited with code 3/),
    });
  });

  it("blames an entry point that is not there on the image", async () => {
    const name = await deployment("start");
    const broken = await push({ entrypoint: ["/nope"] });
    expect(await rollOut(target, name, { app: broken })).toMatchObject({
      kind: "failed",
      blame: "image",
      reason: expect.stringMatching(/nope|exited with code 127/),
    });
  });

  it("blames what is never ready on the image, with what the probe said", async () => {
    const readinessProbe = { exec: { command: ["/bin/busybox", "false"] }, periodSeconds: 1 };
    const name = `${spaceA}/deployment/cold`;
    await k8s.create(spaceA, { kind: "Deployment", name: "cold", image: first, app: { readinessProbe } });
    const verdict = await rollOut(target, name, { app: second }, { timeoutMs: 20_000, stableForMs: 1_000 });
    expect(verdict).toMatchObject({
      kind: "failed",
      blame: "image",
      reason: expect.stringMatching(/20 s: 0 of 1 .*not ready: Readiness probe failed/),
    });
  });

  it("blames a missing ConfigMap on the environment", async () => {
    const configMapKeyRef = { name: "nope", key: "x" };
    await k8s.create(spaceA, {
      kind: "Deployment",
      name: "config",
      image: first,
      spec: { progressDeadlineSeconds: 15 },
      app: { env: [{ name: "X", valueFrom: { configMapKeyRef } }] },
    });
    expect(await rollOut(target, `${spaceA}/deployment/config`, { app: second })).toMatchObject({
      kind: "failed",
      blame: "environment",
      reason: expect.stringMatching(/timed out progressing.*configmap "nope" not found/),
    });
  });

  it("blames nodes without room on the environment", async () => {
    const resources = { requests: { memory: "900Ti" } };
    await k8s.create(spaceA, { kind: "Deployment", name: "big", image: first, app: { resources } });
    const name = `${spaceA}/deployment/big`;
    const verdict = await rollOut(target, name, { app: second }, { timeoutMs: 5_000, stableForMs: 1_000 });
    expect(verdict).toMatchObject({
      kind: "failed",
      blame: "environment",
      reason: expect.stringMatching(/5 s: 0 of 1 .*Unschedulable.*memory/),
    });
  });

  it.for(["Deployment", "StatefulSet", "DaemonSet"] as const)(
    "tells why there is no pod at all: a %s in a namespace that is full",
    async (kind) => {
      await k8s.create(spaceFull, { kind, name: "full", image: first });
      const name = `${spaceFull}/${kind.toLowerCase()}/full`;
      const verdict = await rollOut(target, name, { app: second }, { timeoutMs: 8_000, stableForMs: 1_000 });
      expect(verdict).toMatchObject({
        kind: "failed",
        blame: "environment",
        reason: expect.stringMatching(/8 s: 0 of 1 .*exceeded quota/),
      });
    },
  );

  it("ends with a verdict of its own where nothing rolls", async () => {
    const paused = await deployment("paused", { spec: { paused: true } });
    expect(await read(paused)).toMatchObject({ notRolling: "the Deployment is paused" });
    expect(await rollOut(target, paused, { app: second })).toMatchObject({
      kind: "failed",
      blame: "environment",
      reason: expect.stringContaining("is paused"),
    });

    await k8s.create(spaceA, {
      kind: "DaemonSet",
      name: "manual",
      image: first,
      spec: { updateStrategy: { type: "OnDelete" } },
    });
    const manual = `${spaceA}/daemonset/manual`;
    await lookUntil(target, manual, ({ update }) => update === "completed");
    expect(await read(manual)).toMatchObject({ notRolling: expect.stringContaining("OnDelete") });
    expect(await rollOut(target, manual, { app: second })).toEqual({
      kind: "succeeded",
      reason: "unproven: updated, waits for somebody to delete its pods (OnDelete)",
    });
  });

  it("judges a partitioned StatefulSet by the pods above the partition", async () => {
    const name = `${spaceA}/statefulset/part`;
    const updateStrategy = { type: "RollingUpdate", rollingUpdate: { partition: 1 } };
    await k8s.create(spaceA, {
      kind: "StatefulSet",
      name: "part",
      image: first,
      spec: { replicas: 2, updateStrategy, podManagementPolicy: "Parallel" },
    });
    await lookUntil(target, name, ({ tasks }) => running(tasks, first).length === 2);
    expect(await read(name)).toMatchObject({ notRolling: expect.stringContaining("partition 1") });
    expect(await rollOut(target, name, { app: second })).toEqual({
      kind: "succeeded",
      reason: "1 of 1 tasks ran for 2 s",
    });
  });

  it("succeeds although the node's imageID names an older manifest of the same configuration", async () => {
    const name = await deployment("twin");
    await lookUntil(target, name, ({ update }) => update === "completed");
    const twin = await twinOf(first);
    expect(await rollOut(target, name, { app: twin })).toMatchObject({ kind: "succeeded" });
    const pods = await k8s.pods(spaceA, "twin");
    const ids = pods.flatMap(({ status }) => status.containerStatuses?.map(({ imageID }) => imageID) ?? []);
    expect(ids.filter((id) => id !== "").every((id) => id.includes(first.digest))).toBe(true);
  });

  it("tells whom to delete when a StatefulSet waits for its broken pod, and deletes it where it may", async () => {
    const name = `${spaceB}/statefulset/stuck`;
    await k8s.create(spaceB, { kind: "StatefulSet", name: "stuck", image: { ...first, digest: ghost } });
    await lookUntil(target, name, ({ tasks }) => tasks.some(({ state }) => state === "failed"));
    const impatient = { timeoutMs: 4_000, stableForMs: 1_000 };
    expect(await rollOut(target, name, { app: first }, impatient)).toMatchObject({
      kind: "failed",
      blame: "environment",
      reason: expect.stringMatching(/waits for its earlier revision's stuck-0.*delete it/),
    });
    await bed.kubectl("-n", spaceB, "create", "role", "delete-pods", "--verb=delete", "--resource=pods");
    await bed.kubectl("-n", spaceB, "create", "rolebinding", "pods", "--role=delete-pods", "--user=landfall");
    expect(await rollOut(target, name, { app: first })).toMatchObject({ kind: "succeeded" });
  });

  it("tells a user without rights which one is missing, and changes nothing", async () => {
    const name = await deployment("strange");
    const before = await read(name);
    const stranger = k8s.target(bed.kubeStrangerToken);
    const wide = k8s.target(bed.kubeStrangerToken, ["*"]);
    const denied = (message: RegExp) => ({ code: "TARGET_DENIED", message: expect.stringMatching(message) });
    await expect(wide.list()).rejects.toMatchObject(
      denied(/stranger may not list \w+\.\w+ in all namespaces/),
    );
    await expect(stranger.list()).rejects.toMatchObject(denied(/stranger may not list .* in the namespace/));
    await expect(stranger.get(name)).rejects.toMatchObject(denied(/stranger may not get deployments\.apps/));
    expect(await stranger.update(before, { seq: 1, images: { app: second } })).toMatchObject({
      kind: "refused",
      message: expect.stringMatching(/stranger may not patch deployments\.apps in the namespace/),
    });
    const nobody = k8s.target("no-such-token");
    await expect(nobody.list()).rejects.toMatchObject(denied(/does not accept our credentials \(401\)/));
    expect((await read(name)).containers[0]?.reference).toEqual(first);
    for (const each of [stranger, wide, nobody]) await each.close();
  });

  it("lists the cluster page by page, without the namespaces of the cluster itself", async () => {
    const everywhere = k8s.target(bed.kubeToken, ["*"]);
    await k8s.create(spaceB, {
      kind: "Deployment",
      name: "listed",
      image: first,
      spec: { replicas: 0 },
    });
    const names = (await everywhere.list()).map(({ name }) => name);
    expect(names).toContain(`${spaceB}/deployment/listed`);
    expect(names.filter((name) => name.startsWith("kube-"))).toEqual([]);
    expect(await target.get(`kube-system/deployment/listed`)).toBeUndefined();
    await everywhere.close();
  });

  async function deployment(
    name: string,
    more: Partial<Parameters<typeof k8s.create>[1]> = {},
  ): Promise<string> {
    await k8s.create(spaceA, { kind: "Deployment", name, image: first, ...more });
    const workload = `${spaceA}/deployment/${name}`;
    if (more.spec === undefined || !("paused" in more.spec)) {
      await lookUntil(target, workload, ({ update }) => update === "completed");
    }
    return workload;
  }

  async function read(name: string) {
    const found = await target.get(name);
    if (found === undefined) throw new Error(`${name} is not there`);
    return found;
  }
});

type Image = Required<Pick<Reference, "repository" | "tag" | "digest">>;

async function push(behaviour: ImageBehaviour = {}): Promise<Image> {
  const tag = `v${++built}`;
  const labels = { build: `${spaceA}-${built}` };
  const digest = await bed.pushImage(repository, tag, { ...behaviour, labels });
  return { repository: `${bed.registry}/${repository}`, tag, digest };
}

/** Another manifest of the same configuration and layers, whose digest a node lists after the first one's. */
async function twinOf({ repository: _, ...image }: Image): Promise<Image> {
  const url = `http://${bed.registry}/v2/${repository}/manifests/${image.digest}`;
  const mediaType = "application/vnd.docker.distribution.manifest.v2+json";
  const manifest = (await (await fetch(url, { headers: { accept: mediaType } })).json()) as object;
  for (let copy = 1; ; copy++) {
    const twin = { ...manifest, annotations: { copy: String(copy) } };
    const digest = await bed.pushManifest(repository, "twin", mediaType, twin);
    if (digest > image.digest) return { repository: `${bed.registry}/${repository}`, tag: "twin", digest };
  }
}

function running(tasks: readonly TaskLook[], image: Image): readonly TaskLook[] {
  return tasks.filter(
    ({ state, desired, images }) => desired && state === "running" && images.app === print(image),
  );
}

async function podNames(namespace: string, name: string): Promise<readonly string[]> {
  const pods = await k8s.pods(namespace, name);
  return pods
    .flatMap(({ metadata }) => (metadata.deletionTimestamp === undefined ? [metadata.name] : []))
    .toSorted();
}

async function replicaSets(name: string): Promise<number> {
  const names = await bed.kubectl("-n", spaceA, "get", "replicasets", "-l", `app=${name}`, "-o=name");
  return names.split("\n").length;
}

function noteMs({ metadata }: KubernetesObject): number {
  return Date.parse(metadata.annotations?.["landfall.when"] ?? "");
}
