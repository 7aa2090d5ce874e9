import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Standing } from "../../shared/domain/workload.ts";
import type { Json } from "../doubles/kubernetes-api.ts";
import { type SmallCluster, smallCluster } from "./small-cluster.ts";

const digest = (letter: string) => `sha256:${letter.repeat(64)}`;

let cluster: SmallCluster;
beforeEach(async () => {
  cluster = await smallCluster();
});
afterEach(() => cluster.close());

describe("what a cluster's lists say of workloads", () => {
  interface Case {
    readonly name: string;
    readonly kind: string;
    readonly spec?: Json;
    readonly status?: Json;
    readonly standing: Standing | undefined;
  }
  const behind = "1 of 3 pods are of an earlier version of it";
  it.each<Case>([
    {
      name: "a Deployment whose pods all run",
      kind: "deployments",
      spec: { replicas: 3 },
      status: { observedGeneration: 1, replicas: 3, updatedReplicas: 3, availableReplicas: 3 },
      standing: { wanted: 3, running: 3 },
    },
    {
      name: "a Deployment of which one pod is down and one is old",
      kind: "deployments",
      spec: { replicas: 3 },
      status: { observedGeneration: 1, replicas: 3, updatedReplicas: 2, availableReplicas: 2 },
      standing: { wanted: 3, running: 2, outdated: behind },
    },
    {
      name: "a Deployment that nobody has looked at",
      kind: "deployments",
      standing: { wanted: 1, running: 0, unobserved: true },
    },
    {
      name: "a StatefulSet that is whole, though its controller counts no pod as updated",
      kind: "statefulsets",
      spec: { replicas: 3 },
      status: {
        observedGeneration: 1,
        replicas: 3,
        readyReplicas: 3,
        currentRevision: "a",
        updateRevision: "a",
      },
      standing: { wanted: 3, running: 3 },
    },
    {
      name: "a StatefulSet in between",
      kind: "statefulsets",
      spec: { replicas: 3 },
      status: {
        observedGeneration: 1,
        replicas: 3,
        readyReplicas: 3,
        updatedReplicas: 2,
        currentRevision: "a",
        updateRevision: "b",
      },
      standing: { wanted: 3, running: 3, outdated: behind },
    },
    {
      name: "a DaemonSet on three nodes",
      kind: "daemonsets",
      status: {
        observedGeneration: 1,
        desiredNumberScheduled: 3,
        numberAvailable: 3,
        updatedNumberScheduled: 2,
      },
      standing: { wanted: 3, running: 3, outdated: behind },
    },
  ])("$name", async ({ kind, spec, status, standing }) => {
    const template = { spec: { containers: [{ name: "app", image: "reg.example/acme/web:v1" }] } };
    cluster.api.put(`/apis/apps/v1/namespaces/shop/${kind}/web`, {
      metadata: { generation: 1 },
      spec: { ...spec, template },
      ...(status === undefined ? {} : { status }),
    });
    expect((await cluster.target.list()).map((each) => each.standing)).toEqual([standing]);
  });

  it("say what the pods of every workload report, but of those that are about to go", async () => {
    const pods: readonly {
      readonly name: string;
      readonly owner: Json;
      readonly more?: Json;
      readonly id: string;
    }[] = [
      {
        name: "web-7f-a",
        owner: { kind: "ReplicaSet", name: "web-7f" },
        id: `docker-pullable://r@${digest("a")}`,
      },
      { name: "web-7f-b", owner: { kind: "ReplicaSet", name: "web-7f" }, id: `r@${digest("b")}` },
      {
        name: "web-7f-c",
        owner: { kind: "ReplicaSet", name: "web-7f" },
        more: { deletionTimestamp: "2026-01-05T12:00:00Z" },
        id: `r@${digest("c")}`,
      },
      { name: "db-0", owner: { kind: "StatefulSet", name: "db" }, id: digest("d") },
      { name: "node-1", owner: { kind: "DaemonSet", name: "node" }, id: "" },
      { name: "job-1", owner: { kind: "Job", name: "job" }, id: `r@${digest("e")}` },
    ];
    for (const { name, owner, more, id } of pods) {
      cluster.api.put(`/api/v1/namespaces/shop/pods/${name}`, {
        metadata: {
          labels: { "pod-template-hash": "7f" },
          ownerReferences: [{ uid: "u", controller: true, ...owner }],
          ...more,
        },
        spec: { containers: [{ name: "app", image: "r:v1" }] },
        status: { phase: "Running", containerStatuses: [{ name: "app", imageID: id }] },
      });
    }
    expect(Object.fromEntries((await cluster.target.reported?.()) ?? [])).toEqual({
      "shop/deployment/web": { app: [digest("a"), digest("b")] },
      "shop/statefulset/db": { app: [undefined] },
      "shop/daemonset/node": { app: [undefined] },
    });
    const lists = cluster.api.requests.filter(({ path }) => path.endsWith("/pods"));
    expect(lists).toHaveLength(1);
  });
});
