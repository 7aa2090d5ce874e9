import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Digest, parseReference } from "../../shared/domain/reference.ts";
import type { Platform } from "../../shared/domain/workload.ts";
import { cluster } from "./cluster.ts";
import { driftSentences, type Stand } from "./drift-sentences.ts";
import { type Report, startReconciled, type TestRepository, testRepository } from "./reconciled.ts";
import { swarm } from "./services.ts";
import { testbed } from "./testbed.ts";

const bed = testbed();
/** What the cluster's node runs containers with. */
const engine = swarm();
const k8s = cluster("e2e-drift");
const [shop, multi] = k8s.namespaces;
const env = { KUBE_TOKEN: bed.kubeToken };
const pod = { terminationGracePeriodSeconds: 0 };

beforeAll(() => k8s.open());
afterAll(async () => {
  await k8s.close();
  for (const each of [shop, multi]) await engine.removeImages(`${bed.registry}/e2e-drift/${each}-*`);
  engine.close();
});

driftSentences("a real Kubernetes cluster", {
  prefix: `${shop}-`,
  env,
  target: async () => targetOf(shop),
  async create(workloads) {
    for (const { name, image } of workloads) {
      const read = parseReference(image);
      if (read.kind === "invalid") throw new Error(`${image}: ${read.reason}`);
      await k8s.create(shop, { kind: "Deployment", name, image: read.reference, pod });
    }
    await Promise.all(workloads.map(({ name }) => k8s.rolledOut(shop, `deployment/${name}`)));
  },
  addressOf: (name) => `${shop}/deployment/${name}`,
  stand: (name) => standOf(shop, name),
  async putBack(name, image) {
    await bed.kubectl("--namespace", shop, "set", "image", `deployment/${name}`, `app=${image}`);
    await k8s.rolledOut(shop, `deployment/${name}`);
  },
});

describe("a full run over pods of images for several platforms", () => {
  it("finds what they really run, whichever name their node has for it", async (test) => {
    const platforms = ["amd64", "arm64"].map((architecture) => ({ os: "linux", architecture }));
    const kinds = ["pinned", "child", "loaded", "repacked", "behind"] as const;
    const run = Date.now().toString(36);
    const nameOf = (kind: string) => `${kind}-${run}`;
    const repositories = {
      pinned: testRepository(`${multi}-pinned-`),
      child: testRepository(`${multi}-child-`),
      loaded: testRepository(`${multi}-loaded-`),
      repacked: testRepository(`${multi}-repacked-`),
      behind: testRepository(`${multi}-behind-`),
    };
    const { pinned, child, loaded, repacked, behind } = repositories;
    const index = await bed.pushIndex(pinned.path, "v1", platforms, { labels: { image: pinned.path } });
    const ofChild = await bed.pushIndex(child.path, "v1", platforms, { labels: { image: child.path } });
    const own = await childOf(child, ofChild);
    // The node got the image by the name of its own platform's manifest, and gives it the tag's name itself.
    await bed.docker("pull", "--quiet", `${child.name}@${own}`);
    await bed.docker("tag", `${child.name}@${own}`, `${child.name}:v1`);
    // Nobody ever pushed what the node has under that tag.
    const container = `${multi}-loaded`;
    await bed.docker("create", "--name", container, "--network", "host", bed.baseImage);
    await bed.docker("commit", "--change", `LABEL loaded=${loaded.path}`, container, `${loaded.name}:v1`);
    await bed.docker("rm", container);
    const pushed = {
      loaded: await loaded.push("v1"),
      repacked: await repacked.push("v1"),
      behind: await behind.push("v1"),
    };
    for (const kind of kinds) {
      const { name } = repositories[kind];
      const image = { repository: name, tag: "v1", ...(kind === "pinned" ? { digest: index } : {}) };
      await k8s.create(multi, { kind: "Deployment", name: nameOf(kind), image, pod });
    }
    await Promise.all(kinds.map((kind) => k8s.rolledOut(multi, `deployment/${nameOf(kind)}`)));
    const repackedAs = await repack(repacked, pushed.repacked);
    const newer = await behind.push("v1");
    expect(await Promise.all(kinds.map((kind) => imageIdOf(nameOf(kind))))).toEqual([
      `docker-pullable://${pinned.name}@${index}`,
      `docker-pullable://${child.name}@${own}`,
      expect.stringMatching(/^docker:\/\/sha256:/),
      `docker-pullable://${repacked.name}@${pushed.repacked}`,
      `docker-pullable://${behind.name}@${pushed.behind}`,
    ]);

    const landfall = await startReconciled(test, {
      follow: Object.values(repositories),
      target: targetOf(multi),
      env,
    });
    const before = await Promise.all(kinds.map((kind) => standOf(multi, nameOf(kind))));
    const found = async (asked: Promise<Report>) =>
      Object.fromEntries(
        (await asked).rows.map(({ workload, wanted, verdict }) => [
          workload.replace(/^.*\//, "").replace(`-${run}`, ""),
          [verdict, wanted],
        ]),
      );
    const expected = {
      pinned: ["in-sync", index],
      child: ["in-sync", ofChild],
      loaded: ["unknown", pushed.loaded],
      repacked: ["in-sync", repackedAs],
      behind: ["new", newer],
    };
    for (let times = 0; times < 2; times++) expect(await found(landfall.full())).toEqual(expected);
    expect(await Promise.all(kinds.map((kind) => standOf(multi, nameOf(kind))))).toEqual(before);

    const newest = await behind.push("v1");
    expect(await found(landfall.full())).toEqual({ ...expected, behind: ["missed", newest] });
    await landfall.ended(1);
    expect(await found(landfall.smartRedeploy())).toEqual({ ...expected, behind: ["in-sync", newest] });
    expect(await landfall.ended(1)).toHaveLength(1);
    const after = await Promise.all(kinds.map((kind) => standOf(multi, nameOf(kind))));
    expect(after.slice(0, -1)).toEqual(before.slice(0, -1));
    expect(after.at(-1)?.image).toBe(`${behind.name}:v1@${newest}`);
    process.stdout.write(
      "      4 of 5 untouched in 4 runs, the one whose tag had moved on is brought there\n",
    );
  });
});

function targetOf(namespace: string): object {
  return {
    kind: "kubernetes",
    server: bed.kubeServer,
    ca: `\${file:${bed.kubeCaFile}}`,
    token: "${KUBE_TOKEN}",
    namespaces: [namespace],
  };
}

async function standOf(namespace: string, name: string): Promise<Stand> {
  const { metadata, spec } = await k8s.read(namespace, "deployment", name);
  const listed = ["get", "replicasets", "--selector", `app=${name}`, "--output=name"];
  const replicaSets = await bed.kubectl("--namespace", namespace, ...listed);
  return {
    image: spec.template.spec.containers[0]?.image ?? "",
    mark: `${metadata.generation} ${replicaSets}`,
  };
}

/** What the node says that the one pod's container runs. */
async function imageIdOf(name: string): Promise<string | undefined> {
  const [only] = await k8s.pods(multi, name);
  return only?.status.containerStatuses?.[0]?.imageID;
}

/** The manifest of the node's own platform in an index. */
async function childOf({ path }: TestRepository, index: Digest): Promise<Digest> {
  const { manifests } = (await manifestOf(path, index)) as {
    readonly manifests: readonly { readonly digest: Digest; readonly platform: Platform }[];
  };
  const own = manifests.find(({ platform }) => platform.architecture === "amd64");
  if (own === undefined) throw new Error(`${path}@${index} has no image for amd64`);
  return own.digest;
}

/** The same image under other bytes: as a build does that changes nothing. */
async function repack({ path }: TestRepository, digest: Digest): Promise<Digest> {
  const same = Object.entries(await manifestOf(path, digest)).toReversed();
  const type = "application/vnd.docker.distribution.manifest.v2+json";
  const repacked = await bed.pushManifest(path, "v1", type, Object.fromEntries(same));
  expect(repacked).not.toBe(digest);
  return repacked;
}

async function manifestOf(path: string, digest: Digest): Promise<object> {
  const types = ["list.v2", "v2"].map((type) => `application/vnd.docker.distribution.manifest.${type}+json`);
  const headers = { accept: types.join(", ") };
  return (await (
    await fetch(`http://${bed.registry}/v2/${path}/manifests/${digest}`, { headers })
  ).json()) as object;
}
