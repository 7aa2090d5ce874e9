import { readFileSync } from "node:fs";
import { Agent } from "undici";
import { cluster } from "../e2e/cluster.ts";
import { cronJobsVersion } from "../e2e/kubernetes-rights.ts";
import { testbed } from "../e2e/testbed.ts";
import { type BareTarget, bareCall } from "./bare-calls.ts";
import { pushesTo, type Systems } from "./systems.ts";

const needed = [
  "TESTBED_REGISTRY",
  "TESTBED_BASE_IMAGE",
  "TESTBED_KUBECONFIG",
  "TESTBED_KUBE_SERVER",
  "TESTBED_KUBE_CA_FILE",
  "TESTBED_KUBE_TOKEN",
] as const;
export const kubernetesVariables = needed.join(", ");

/**
 * The real registry and the real cluster that the environment names, with a namespace of this run and the rights of the
 * manifest that ships; `undefined` when it names none.
 */
export async function kubernetesSystems(): Promise<Systems | undefined> {
  if (needed.some((name) => (process.env[name] ?? "") === "")) return undefined;
  const bed = testbed();
  const k8s = cluster("bench");
  const [namespace] = k8s.namespaces;
  const cronJobs = await cronJobsVersion();
  await k8s.open();
  return {
    name: "real registry and cluster",
    registry: bed.registry,
    target: {
      name: "k8s",
      kind: "kubernetes",
      server: bed.kubeServer,
      ca: `\${file:${bed.kubeCaFile}}`,
      token: "${TESTBED_KUBE_TOKEN}",
      namespaces: [namespace],
    },
    bare: () => bareCluster(namespace, cronJobs),
    push: pushesTo(bed),
    stop: () => k8s.close(),
  };
}

function bareCluster(namespace: string, cronJobs: string): BareTarget {
  const bed = testbed();
  const agent = new Agent({ connect: { ca: readFileSync(bed.kubeCaFile) } });
  const call = (method: "GET" | "PATCH", path: string, body?: object) =>
    bareCall(agent, {
      origin: bed.kubeServer,
      path,
      method,
      headers: {
        accept: "application/json",
        authorization: `Bearer ${bed.kubeToken}`,
        "content-type": "application/strategic-merge-patch+json",
      },
      body: body === undefined ? null : JSON.stringify(body),
    });
  const within = (groupVersion: string, kind: string) =>
    `/apis/${groupVersion}/namespaces/${namespace}/${kind}`;
  const lists = [
    within("apps/v1", "deployments"),
    within("apps/v1", "statefulsets"),
    within("apps/v1", "daemonsets"),
    within(cronJobs, "cronjobs"),
  ];

  return {
    async list() {
      const read = lists.map(async (path) => JSON.parse((await call("GET", `${path}?limit=500`)).toString()));
      await Promise.all(read);
    },
    async write(name, image) {
      const path = `${within("apps/v1", "deployments")}/${name}`;
      const { metadata } = JSON.parse((await call("GET", path)).toString());
      const { resourceVersion } = metadata as { readonly resourceVersion: string };
      await call("PATCH", path, {
        metadata: { resourceVersion },
        spec: { template: { spec: { containers: [{ name: "app", image }] } } },
      });
    },
    async create(workloads) {
      const items = workloads.map(({ name, image }) => {
        const labels = { app: name };
        const template = { metadata: { labels }, spec: { containers: [{ name: "app", image }] } };
        // A patch is accepted alike, and no node is kept busy by what is not measured.
        const spec = { replicas: 0, revisionHistoryLimit: 0, selector: { matchLabels: labels }, template };
        return { apiVersion: "apps/v1", kind: "Deployment", metadata: { namespace, name }, spec };
      });
      await bed.kubectlApply(JSON.stringify({ apiVersion: "v1", kind: "List", items }));
    },
    // They go with their namespace.
    remove: async () => {},
    close: () => agent.close(),
  };
}
